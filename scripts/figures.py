"""Writes docs/figures.md from the rows that the benchmarks left with ``--json``.

usage: python scripts/figures.py FILE.json [FILE.json ...] > docs/figures.md
"""

import json
import sys
from pathlib import Path
from typing import Any

_HEAD = """# Figures

Measured on one machine: a virtual machine with 2 cores of an AMD EPYC (x86-64, AVX2) under Linux, shared
with others, ONNX Runtime 1.31.1 and LiteRT 2.3.0 with one thread, torch 2.13.0. The first part of a claim
names the script in `benchmarks/` that makes it anew (with `--quick` in under 50 s, or it checks what the
last full run left): `demo` is `demo_budget.py`, `hv` is `tabular_search.py`, `webgpu` and `ssh` are
`remote.py`. Each prints spread and noise floor, and exits with 3 where a goal is missed. Quote ratios and
percentages; seconds are this machine's.
`phone_path` and `adb` run against Android's real daemon and a played phone: no figure is of a physical
phone. `scripts/figures.py` wrote this page from their `--json` files; what others than the default come to
in `hv` stands in [search-quality.md](search-quality.md).

| claim | figure | unit | 95 % spread | noise floor | peer | goal | n |
|---|---|---|---|---|---|---|---|
"""
_FOOT = """
`rmspe`: root of the mean squared relative difference between predicted and measured latency. The floor
holds the two halves of the networks' own samples against each other.
"""


def main(paths: list[str]) -> None:
    """Print the page."""
    rows = [row for path in paths for row in json.loads(Path(path).read_text())["rows"] if _is_shown(row)]
    sys.stdout.write(_HEAD + "".join(map(_line, rows)) + _FOOT)


def _is_shown(row: dict[str, Any]) -> bool:
    return bool(row["goal"]) or not row["claim"].startswith("hv.")


def _line(row: dict[str, Any]) -> str:
    spread = " .. ".join(map(_figure, row["spread"] or ()))
    peer = "" if row["peer"] is None else f"{row['peer_name']}: {_figure(row['peer'])}"
    cells = (f"`{row['claim']}`", _figure(row["figure"]), row["unit"], spread, _figure(row["floor"]), peer)
    return f"| {' | '.join(cells)} | {row['goal']} | {row['n']} |\n"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    main(sys.argv[1:])
