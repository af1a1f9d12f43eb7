"""Programs for devices: the stand-ins of this folder as single executable files."""

import sys
from pathlib import Path

_FOLDER = Path(__file__).parent


def benchmark_model(*, generation: str = "new", fault: str = "") -> bytes:
    """Return a stand-in for ``benchmark_model`` that runs under this interpreter.

    Args:
        generation: ``"new"``, ``"old"``, ``"compiled"`` or ``"quiet"``: what it can do, and prints.
        fault: ``"hang"``, ``"crash"``, ``"unwritten"`` (exit 0 with crash text), ``"truncated"`` (half a
            file of results), ``"wrong"``, ``"short"`` or
            ``"infinite"`` (numbers), ``"fallback"`` (a node outside of any delegate), or the
            name of a flag that it lists and does not know.
    """
    return _program("benchmark_model.py", GENERATION=("new", generation), FAULT=("", fault))


def perf_test(*, fault: str = "") -> bytes:
    """Return a stand-in for ``onnxruntime_perf_test``.

    Args:
        fault: ``"crash"``, ``"truncated"`` (a row less) or ``"unprofiled"`` (no profile).
    """
    return _program("onnxruntime_perf_test.py", FAULT=("", fault))


def _program(name: str, **constants: tuple[str, str]) -> bytes:
    source = (_FOLDER / name).read_text(encoding="utf-8")
    for constant, (default, value) in constants.items():
        line = f'\n{constant} = "{default}"\n'
        assert source.count(line) == 1
        source = source.replace(line, f'\n{constant} = "{value}"\n')
    return f"#!{sys.executable}\n{source}".encode()
