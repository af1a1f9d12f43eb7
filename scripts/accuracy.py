"""Writes docs/accuracy.md from the rows that the benchmarks of latency left with ``--json``.

usage: python scripts/accuracy.py FILE.json [FILE.json ...] > docs/accuracy.md
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Mapping[str, Mapping[str, Any]]

_HEAD = """# How right the latencies are

Written by `scripts/accuracy.py` from what full runs of scripts in `benchmarks/` left with `--json`. One
machine: a virtual machine with 2 cores of an AMD EPYC (x86-64, AVX2) under Linux, shared with others; ONNX
Runtime 1.31.1 and LiteRT 2.3.0 with one thread. No figure is of a phone. Each claim is made anew by the
script that its first word names; `prediction.py --quick` judges the stored results of the full run again.

## How to read it

* **RMSPE**: root of the mean squared relative difference between predicted and measured latency. No
  predictor can be seen to be better than the **floor**: the two halves of the networks' own samples against
  each other. Two **sessions** differ by more than that, whatever is predicted: the same networks, measured
  again by fresh processes and corrected by anchors.
* **Where** the networks come from matters more than how many there are. *Random* ones are what a table is
  calibrated by, and easy. The *front* is where a search ends: members of the fronts of two searches that
  believed the table, and mutants of them. *Extreme* networks are mostly of one operation. No judged network
  calibrates, and each case is three sessions, each with a table of its own.
* **By operations** is the peer, in the same sessions: a table of operations, calibrated by 16 networks,
  which is what a runtime gets that does not show what it executes.
* **90 % intervals** should hold 90 % of what is measured. They may be too narrow (less), or so wide that
  they say nothing: so their mean half-width stands beside the deviation of what they are to hold.
* A goal that is **missed** is printed in bold, and again at the end.
"""

_CASES = {
    "demo": "the demo's space",
    "darts_c16_l8": "darts, 16 channels, 8 cells",
    "mobilenet": "mobilenet, 16 channels, 2 layers",
    "tflite": "the demo's space by TFLite",
}
_SETS = ("random", "front", "extreme")


def main(paths: Sequence[str]) -> None:
    """Print the page."""
    rows = {row["claim"]: row for path in paths for row in json.loads(Path(path).read_text())["rows"]}
    sections = (
        _predictions,
        _intervals,
        _orders,
        _budget,
        _agreement,
        _repeatability,
        _whole_networks,
        _cost,
    )
    out = [_HEAD, *(section(rows) for section in sections), _missed(rows)]
    sys.stdout.write("\n".join(filter(None, out)))


def _predictions(rows: Rows) -> str:
    lines = []
    for case, title in _CASES.items():
        for name in _SETS:
            error = rows.get(f"prediction.{case}.{name}.rmspe")
            if error is not None:
                worst = rows.get(f"prediction.{case}.{name}.worst")
                between = rows.get(f"prediction.{case}.{name}.between_sessions")
                cells = (_goal(error), _goal(worst), _number(error["floor"]), _figure(between), _peer(error))
                lines.append((title, name, *cells))
    head = ("space", "networks", "RMSPE %", "worst %", "floor %", "between sessions %", "peer: RMSPE %")
    return _section("Predicted and measured", head, lines)


def _peer(row: Mapping[str, Any]) -> str:
    if row["peer_name"] == "units":  # the table's own networks, where others calibrate in the row
        return f"{_number(row['peer'])} by the table's 16 networks"
    return f"{_number(row['peer'])} by {row['peer_name']}"


def _intervals(rows: Rows) -> str:
    lines = [
        (what, _goal(rows.get(claim)), _goal(rows.get(f"{claim}.half_width")), _count(rows.get(claim)))
        for what, claim in (
            ("of the session of the table", "prediction.coverage90"),
            ("of another session, by anchors", "prediction.coverage90.another_session"),
        )
    ]
    head = ("measured networks", "inside of 90 % intervals, %", "half-width over deviation", "n")
    return _section("Intervals", head, lines)


def _orders(rows: Rows) -> str:
    lines = []
    for case, title in _CASES.items():
        tau = rows.get(f"prediction.{case}.front.kendall_tau")
        fastest = rows.get(f"prediction.{case}.front.of_20_fastest")
        if tau is not None and fastest is not None:
            by_operations = f"{_number(tau['peer'])}, {_number(fastest['peer'])}"
            lines.append((title, _goal(tau), _number(tau["floor"]), _goal(fastest), by_operations))
    head = ("space", "Kendall's tau", "its floor", "of the 20 fastest of 60", "by operations")
    return _section("The order of a front", head, lines)


def _budget(rows: Rows) -> str:
    return _listed(
        rows,
        "measure_budget.",
        "One search with a measuring budget, and without",
        "The same search, by the same table; its final front was measured both times.",
    )


def _agreement(rows: Rows) -> str:
    return _listed(
        rows,
        "demo.re",
        "The demo against itself",
        "Exported files, measured again minutes after their front was, in five runs.",
        also=("demo.inside",),
    )


def _repeatability(rows: Rows) -> str:
    return _listed(
        rows,
        "repeatability.",
        "Two independent builds of one table",
        "While another process keeps one core busy. The peer is the field's habit in the same run: one\n"
        "operation after another, ten calls to warm up and the mean of 50.",
    )


def _whole_networks(rows: Rows) -> str:
    return _listed(
        rows,
        "prediction.networks_only.",
        "From whole networks alone",
        "Ten or twenty networks of NAS-Bench-201 tell the order of all, on six devices that others measured.",
    )


def _cost(rows: Rows) -> str:
    return _listed(
        rows,
        "screening.",
        "What it costs",
        "CPU time of a search that predicts by units.",
        also=("counting.", "prediction.demo.candidate_ms", "prediction.darts_c16_l8.candidate_ms"),
    )


def _missed(rows: Rows) -> str:
    found = [row for row in rows.values() if row["goal"] and not _is_met(row)]
    lines = [
        f"* `{row['claim']}`: {_number(row['figure'])} {row['unit']}, goal {row['goal']}\n" for row in found
    ]
    text = "".join(lines) or "Every goal of this page is met.\n"
    return f"""## What does not hold

{text}
Beside that, by construction: nothing here was measured on a phone; a table is of one number of threads, and
another program beside the network is none of its conditions; two searches' fronts are not all fronts. A
front is therefore measured in any case, where its device is at hand.
"""


def _listed(rows: Rows, prefix: str, title: str, text: str, *, also: Iterable[str] = ()) -> str:
    starts = (prefix, *also)
    lines = [
        (f"`{claim}`", _goal(row), row["unit"], _spread(row), _with_name(row), row["goal"], str(row["n"]))
        for claim, row in rows.items()
        if claim.startswith(starts)
    ]
    return _section(title, ("claim", "figure", "unit", "spread", "peer", "goal", "n"), lines, text)


def _section(title: str, head: Sequence[str], lines: Sequence[Sequence[str]], text: str = "") -> str:
    """Return a section with a table; nothing where no benchmark told of it."""
    if not lines:
        return ""
    table = [head, ["---"] * len(head), *lines]
    told = f"{text}\n\n" if text else ""
    return f"## {title}\n\n{told}" + "".join(f"| {' | '.join(line)} |\n" for line in table)


def _goal(row: Mapping[str, Any] | None) -> str:
    """Return a figure, in bold where it misses its goal."""
    if row is None:
        return ""
    figure = _number(row["figure"])
    return figure if _is_met(row) else f"**{figure}**"


def _is_met(row: Mapping[str, Any]) -> bool:
    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    from _rows import Row

    return Row(**row).is_met()


def _figure(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else _number(row["figure"])


def _count(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else str(row["n"])


def _spread(row: Mapping[str, Any]) -> str:
    return " .. ".join(map(_number, row["spread"] or ()))


def _with_name(row: Mapping[str, Any]) -> str:
    return "" if row["peer"] is None else f"{row['peer_name']}: {_number(row['peer'])}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    main(sys.argv[1:])
