"""Every verb on systems and disks without locks, without folders that are synced, without POSIX."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.configurations import TINY

#: Runs the verbs of standard input, one a line, on another system; prints each one's exit status.
_RUN = """
import shlex, sys
import torch
from tests.fakes import systems
getattr(systems, sys.argv[1])()
from cars_hw.cli import main
for line in sys.stdin:
    sys.argv = ["cars-hw", *shlex.split(line)]
    try:
        main()
        code = 0
    except SystemExit as stopped:
        code = stopped.code or 0
    print("status", code, line, end="", file=sys.stderr)
"""

_CONFIG = f"""{TINY}
[search]
warm_up_epochs = 0.01
epochs_per_generation = 0.01
generations = 0
[strategy]
population_size = 2
[latency]
device = "fake"
runtime = "fake"
table = "t.jsonl"
"""

_VERBS = [
    "init new.toml",
    "profile --config c.toml --spread-s 0",
    "table validate --config c.toml --spread-s 0",
    "table show t.jsonl",
    "table repair t.jsonl --write",
    "search --config c.toml --run run",
    "search --config c.toml --run run --resume",
    "export run --pick 0 --allow-infeasible",
    "report run",
    "bench run/export/member-000.onnx --spread-s 0",
]


@pytest.mark.slow
@pytest.mark.parametrize("system", ["without_posix", "without_locks"])
def test_every_verb_runs_without_locks_and_posix(system: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(_CONFIG)
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{_RUN}", system],
        input="\n".join(_VERBS) + "\n",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    statuses = [line for line in done.stderr.splitlines() if line.startswith("status ")]
    for verb, status in zip(_VERBS, statuses, strict=True):
        allowed = {0, 3} if verb.startswith("search") else {0}  # so short a search learns nothing
        assert int(status.split()[1]) in allowed, done.stderr
    assert not list(tmp_path.rglob("*.owner"))
    assert not list(tmp_path.rglob("*.tmp"))
