"""Processes: what the contract of all executors does not say."""

import time
from pathlib import Path

from cars_hw.executors import Executor, Shared

_LIMIT_S = 20.0


def made(path: str, shared: Shared) -> str:
    """Make a file."""
    if path:
        Path(path).touch()
    return path


def test_a_worker_goes_on_while_a_result_is_looked_at(workers: Executor, tmp_path: Path) -> None:
    last = tmp_path / "last"
    next(results := workers.map(made, ["", "", str(last)]))
    limit_s = time.monotonic() + _LIMIT_S
    while not last.exists():
        assert time.monotonic() < limit_s
        time.sleep(0.01)
    assert len(list(results)) == 2
