"""Joining a team, and two processes that torchrun has started."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cars_hw.weights.distributed.team import joined_team
from devices.foundation.errors import ConfigError

_ROOT = Path(__file__).parents[4]


def test_a_process_that_torchrun_has_not_started_is_told_how_to_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    expected = "RANK, .*MASTER_PORT not set, as torchrun does; start with `torchrun --nproc-per-node N FILE`"
    with pytest.raises(ConfigError, match=expected), joined_team():
        pass


def test_a_device_that_is_not_there_is_refused_before_anybody_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(ConfigError, match="torch_device 'warp:1' cannot be used"), joined_team("warp:1"):
        pass


def started(*words: str) -> subprocess.CompletedProcess[str]:
    """Return what two processes gave that torchrun has started."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launch, *words], cwd=_ROOT, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.slow
def test_two_processes_agree_with_torchs_own_and_with_one_that_runs_their_pairs_in_turn() -> None:
    ended = started("-m", "tests.fakes.ranks")
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "2 ranks, 12 steps: alike to the bit" in ended.stdout
    assert "as in turn" in ended.stdout
    assert "as DistributedDataParallel" in ended.stdout


@pytest.mark.slow
def test_a_search_by_two_processes_goes_on_where_it_ended(tmp_path: Path) -> None:
    words = ("examples/search_on_several.py", str(tmp_path / "run"))
    ended = started(*words)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "generation 2: front of" in ended.stdout
    found = re.search(r"^(\d+) images in (\d+) steps of 2 processes$", ended.stdout, re.MULTILINE)
    assert found
    assert int(found[1]) == int(found[2]) * 2 * 32
    again = started(*words)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stdout.strip() == found[0]
