"""Writes docs/reliability.md from the raw results that benchmarks/kills.py and benchmarks/flips.py stored.

usage: python scripts/reliability.py > docs/reliability.md
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _rows import Row

_BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

_HEAD = """# What is promised when things break, and how it is proved

Written by `scripts/reliability.py` from what `python benchmarks/kills.py` and `python benchmarks/flips.py`
stored, with hashes, in `benchmarks/results`.

* A verb that is killed loses no more work than lies between two states that it stores, and a batch:
  `search` and `profile` say in [configuration.md](configuration.md) and [latency.md](latency.md) how often
  they store one. Run the same command again, `search` with `--resume`.
* What has been printed as finished, or stands in a table, stays.
* A search that was killed ends as one that was not: bit by bit on one machine.
* Nothing that is stored is believed because it is there: hashes and checksums are compared in every reader.
  [troubleshooting.md](troubleshooting.md) lists what a reader says, and what helps.

"""
_TABLE = """| claim | figure | unit | 95 % spread | goal | n |
|---|---|---|---|---|---|
"""

_FOOT = """## Running it

```sh
python benchmarks/kills.py            # about 40 minutes on 2 cores; interrupted, it goes on where it ended
python benchmarks/kills.py --quick    # six kills, in a minute
python benchmarks/flips.py            # about ten minutes
python benchmarks/flips.py --quick    # 40 bits of each kind, in a minute
```

`--jobs 1` runs one command at a time, `--kills N` ends after so many kills. Both exit with 3 where a goal is
missed.
"""


def main() -> None:
    """Print the page, with a section for each of the results that are there."""
    sys.path.insert(0, str(_BENCHMARKS))
    import flips
    import kills
    from _rows import stored

    out = [_HEAD]
    for title, name, script, rows in (
        ("Kills of the installed commands", "kills", kills, kills.rows),
        ("Flipped bits", "flips", flips, flips.rows),
    ):
        if (_BENCHMARKS / "results" / f"{name}.json").exists():
            about = (script.__doc__ or "").strip()
            lines = map(_line, rows(stored(name), "stored"))
            out.append(f"## {title}\n\n{about}\n\n{_TABLE}{''.join(lines)}\n")
    out.append(_FOOT)
    sys.stdout.write("".join(out))


def _line(row: "Row") -> str:
    spread = "" if row.spread is None else " .. ".join(f"{end:.4g}" for end in row.spread)
    cells = (f"`{row.claim}`", f"{row.figure:.4g}", row.unit, spread, row.goal, str(row.n))
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    main()
