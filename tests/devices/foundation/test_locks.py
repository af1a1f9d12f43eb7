"""One owner at a time: with the kernel's locks, and where a file system or a system has none."""

import errno
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import devices
from devices.foundation.errors import StorageError
from devices.foundation.files import cache_folder
from devices.foundation.locks import held, lock
from devices.foundation.owners import Owner, disown, own
from latency_tables import LatencyTable, TableError
from latency_tables.journal import Journal, read_lines
from tests.fakes.played_phone import PlayedPhone

#: Holds the owner file that it is given until it is killed.
_OWNER = """
import sys, time
from pathlib import Path
from devices.foundation.owners import own
print(own(Path(sys.argv[1])) is not None, flush=True)
time.sleep(60)
"""

#: Locks, owns a folder and fills a table, on another system.
_ELSEWHERE = """
import sys
from tests.fakes import systems
getattr(systems, sys.argv[1])()
from pathlib import Path
from devices import Fake
from devices.foundation import owned, replace_file
from devices.foundation.locks import held
from latency_tables import LatencyTable, OpSpec
from profilers import MeasurementPlan, Profiler, Workload, runtimes
from profilers.runtimes.fake import FakeRuntime
folder = Path(sys.argv[2])
with held("phone") as first, held("phone") as second:
    print(first, second)
owner = Profiler(Fake(), FakeRuntime(), MeasurementPlan(spread_s=0.0, keep_every_s=0.0))
with owned(folder / "run") as ownership:
    ownership.require_in_place()
    replace_file(folder / "run" / "file", b"content")
    for kind in ("conv", "pool"):
        with LatencyTable.open_for_writing(folder / "t.jsonl", owner.header()) as table:
            list(owner.fill(table, [Workload(OpSpec.of(kind, (1, 8, 4, 4)), Path())]))
"""

_ROOT = Path(devices.__file__).parents[1]


@pytest.fixture(params=[errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def without_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks."""

    def flock(file: object, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@contextmanager
def owner(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", _OWNER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"True\n"
            yield process
        finally:
            process.kill()


def test_a_lock_is_ours_once_and_free_again_after() -> None:
    for _ in range(2):
        with held("phone") as first, held("phone") as second, held("other") as third:
            assert (first, second, third) == (True, False, True)


@pytest.mark.usefixtures("without_flock")
def test_without_flock_a_lock_is_ours_once_and_free_again_after() -> None:
    for _ in range(2):
        with held("phone") as first, held("phone") as second, held("other") as third:
            assert (first, second, third) == (True, False, True)
    assert list(cache_folder().rglob("*.owner")) == []


@pytest.mark.usefixtures("without_flock")
def test_without_flock_a_phone_is_measured_all_the_same(tmp_path: Path) -> None:
    PlayedPhone(tmp_path / "phone").device().close()


@pytest.mark.usefixtures("without_flock")
def test_without_flock_a_journal_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Journal.create(path, {"n": 0}) as journal:
        with pytest.raises(TableError, match="is being written already"):
            Journal.open(path)
        journal.append({"n": 1})
    with Journal.open(path) as journal:
        journal.append({"n": 2})
    assert [fields["n"] for _, fields in read_lines(path)] == [0, 1, 2]
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("system", ["without_posix", "without_locks"])
def test_a_system_without_locks_and_posix_has_one_owner_all_the_same(system: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _ELSEWHERE, system, str(tmp_path)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True False\n", "")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.parent.name != "locks") == [
        ".lock",
        "cache",
        "cars_hw",
        "file",
        "locks",
        "run",
        "t.jsonl",
    ]
    assert {spec.kind for spec in LatencyTable.open(tmp_path / "t.jsonl").measurements} == {"conv", "pool"}


@pytest.mark.parametrize("number", [errno.EIO, errno.EBADF])
def test_a_disk_that_fails_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StorageError, match=os.strerror(number)), held("phone"):
        pass


def test_the_owner_file_of_a_killed_process_is_taken_over_and_of_a_stalled_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.owner"
    with owner(path) as process:
        assert own(path) is None
        process.send_signal(signal.SIGSTOP)
        assert own(path) is None
        process.kill()
        process.wait()
        content = own(path)
    assert content is not None
    disown(path, content)
    assert os.listdir(tmp_path) == []


def test_a_killed_process_that_nobody_has_waited_for_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "x.owner"
    with owner(path) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert own(path) is not None


def _left(path: Path, **changes: str | int) -> None:
    path.write_text(json.dumps(asdict(replace(Owner.this_process(), **changes))))  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"boot": "an earlier one"}, {"started": "1"}, {"pid": 2**22 + 1}])
def test_a_process_of_an_earlier_boot_or_whose_number_another_has_now_is_dead(
    tmp_path: Path, changes: dict[str, str | int]
) -> None:
    path = tmp_path / "x.owner"
    _left(path, **changes)
    assert own(path) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "elsewhere"},
        {"machine": "another"},
        {"namespace": "pid:[1]"},
        {"boot": ""},
        {"host": "elsewhere", "boot": "another"},
        {"machine": "another", "pid": 2**22 + 1},
    ],
)
def test_a_process_elsewhere_is_never_taken_for_dead_and_the_message_names_the_file(
    tmp_path: Path, changes: dict[str, str | int]
) -> None:
    path = tmp_path / "x.owner"
    _left(path, **changes)
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"x\.owner says that process \d+ of .*; if it has ended, delete"):
        own(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b"x" * 99, b'{"pid": 1e999}'])
def test_an_owner_file_that_names_nobody_is_left_to_the_user(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.owner"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="delete that file"):
        own(path)


def test_of_many_processes_that_find_a_dead_owner_one_takes_over(tmp_path: Path) -> None:
    path = tmp_path / "x.owner"
    for _ in range(3):
        _left(path, pid=2**22 + 1)
        command = [sys.executable, "-c", _OWNER, str(path)]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT) for _ in range(6)]
        try:
            lines = [process.stdout.readline() for process in processes if process.stdout is not None]
            assert sorted(lines) == [b"False\n"] * 5 + [b"True\n"]
            assert os.listdir(tmp_path) == ["x.owner"]
        finally:
            for process in processes:
                process.kill()
                process.communicate()


def test_what_another_owns_by_now_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.owner"
    content = own(path)
    assert content is not None
    _left(path, host="elsewhere")
    disown(path, content)
    assert path.exists()


def test_a_claim_that_a_killed_process_left_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.owner"
    _left(path, pid=2**22 + 1)
    first = own(path)
    assert first is not None
    _left(path, pid=2**22 + 1)
    claim = tmp_path / f"x.owner.{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    _left(claim, pid=2**22 + 2)
    with pytest.raises(StorageError, match="was left by a process that was killed; delete that file"):
        own(path)


def test_a_released_lock_may_be_released_again(tmp_path: Path) -> None:
    with (tmp_path / "x").open("ab") as file:
        ours = lock(file, tmp_path / "x")
        assert ours is not None
        ours.release()
        ours.release()
