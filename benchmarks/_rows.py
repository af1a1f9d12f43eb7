"""What all benchmarks share: their options, their rows, and the exit status that the rows come to."""

import argparse
import hashlib
import json
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent / "results"

_MET, _MISSED, _TOO_NOISY = 0, 3, 4
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda figure, bound: figure >= bound,
    "<=": lambda figure, bound: figure <= bound,
    "<": lambda figure, bound: figure < bound,
}


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpack an archive of our own; Python 3.11 has filters from its fourth patch on."""
    known: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    archive.extractall(folder, **known)  # noqa: S202 (we packed it)


@dataclass(frozen=True)
class Row:
    """One figure beside its goal.

    Attributes:
        claim: What is claimed, as a dotted name.
        figure: What was measured.
        unit: Unit of figure, spread, floor and peer; empty for ratios and correlations.
        goal: ``">= 0.7"``; empty where the figure is for information.
        spread: 95 % interval of the figure, (low, high); ``None`` where it is exact.
        floor: What noise alone would give for the figure; ``None`` where there is no noise.
        peer: The same figure of a peer, from the same run; ``None`` where there is none.
        peer_name: Who that is.
        n: Samples behind it.
        source: "fresh", or "stored" where raw results of an earlier full run were analysed again.
    """

    claim: str
    figure: float
    unit: str = ""
    goal: str = ""
    spread: tuple[float, float] | None = None
    floor: float | None = None
    peer: float | None = None
    peer_name: str = ""
    n: int = 1
    source: str = "fresh"

    def is_met(self) -> bool:
        """Tell whether the figure reaches its goal."""
        if not self.goal:
            return True
        sign, bound = self.goal.split(" ", 1)
        return _COMPARE[sign](self.figure, float(bound))


def parse_options(description: str) -> argparse.Namespace:
    """Read ``--quick`` and ``--json FILE``."""
    return option_parser(description).parse_args()


def option_parser(description: str) -> argparse.ArgumentParser:
    """Return what reads ``--quick`` and ``--json FILE``, for a script that adds options of its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="at most 50 s on 2 cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    return parser


def store(name: str, raw: object) -> None:
    """Keep the raw results of a full run, with their hash, for later ``--quick`` runs."""
    _RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"sha256": digest(raw), "raw": raw}, indent=1) + "\n"
    (_RESULTS / f"{name}.json").write_text(text)


def stored(name: str) -> Any:
    """Return the raw results of the last full run.

    Raises:
        SystemExit: There are none, or their hash does not hold.
    """
    path = _RESULTS / f"{name}.json"
    if not path.exists():
        sys.exit(f"{path} is missing: run without --quick first")
    content = json.loads(path.read_text())
    if content["sha256"] != digest(content["raw"]):
        sys.exit(f"{path} was changed by hand: its hash does not hold")
    return content["raw"]


def digest(raw: object) -> str:
    """Return the hash of what can be written as JSON, however that is laid out."""
    return hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()


def finish(rows: Sequence[Row], options: argparse.Namespace, *, is_noisy: bool = False) -> None:
    """Print and write the rows; exit with 0 all goals met, 3 one missed, 4 too noisy to decide."""
    for row in rows:
        spread = f" [{row.spread[0]:.4g}, {row.spread[1]:.4g}]" if row.spread else ""
        floor = f", floor {row.floor:.4g}" if row.floor is not None else ""
        goal = f", goal {row.goal}: {'met' if row.is_met() else 'MISSED'}" if row.goal else ""
        peer = f", {row.peer_name} {row.peer:.4g}" if row.peer is not None else ""
        print(
            f"{row.claim}: {row.figure:.4g} {row.unit}{spread}{floor}{peer}{goal} (n {row.n}, {row.source})"
        )
    if options.json is not None:
        options.json.write_text(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    if is_noisy:
        print("the machine was too noisy to decide")
        sys.exit(_TOO_NOISY)
    sys.exit(_MET if all(row.is_met() for row in rows) else _MISSED)
