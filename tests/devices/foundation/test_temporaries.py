"""What a killed process was writing is removed by the next owner, and what a living one writes is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import devices
from devices.foundation.owners import Owner
from devices.foundation.ownership import owned
from devices.foundation.temporaries import remove_stale, temporary_in
from latency_tables import LatencyTable, TableHeader

#: Leaves a temporary file, and a temporary folder with a file in it, and waits.
_WRITER = """
import sys, time
from pathlib import Path
from devices.foundation.temporaries import temporary_in
folder = Path(sys.argv[1])
temporary_in(folder).write_bytes(b"half")
inner = temporary_in(folder)
inner.mkdir()
(inner / "file").write_bytes(b"half")
print(flush=True)
time.sleep(60)
"""

HEADER = TableHeader(devices.Fake().info(), "fake", "0", threads=1)


@contextmanager
def writer(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Let another process leave temporaries in ``folder``; it lives until left."""
    command = [sys.executable, "-c", _WRITER, str(folder)]
    root = Path(devices.__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            yield process
        finally:
            process.kill()


def _open_table(folder: Path) -> None:
    LatencyTable.open_for_writing(folder / "t.jsonl", HEADER).close()


def _own_folder(folder: Path) -> None:
    with owned(folder):
        pass


def test_who_owns_a_table_or_a_folder_removes_what_dead_processes_left_and_no_more(tmp_path: Path) -> None:
    run, tables = tmp_path / "run", tmp_path / "tables"
    for folder in (run / "export", tables):
        folder.mkdir(parents=True)
    with writer(run / "export") as first, writer(tables) as second:
        (tables / ".mine.tmp").touch()
        _own_folder(run)
        _open_table(tables)
        assert [len(os.listdir(folder)) for folder in (run / "export", tables)] == [2, 4]
        for process in (first, second):
            process.send_signal(signal.SIGKILL)
            process.wait()
    LatencyTable.open(tables / "t.jsonl")
    assert len(os.listdir(tables)) == 4  # a reader owns nothing
    _own_folder(run)
    _open_table(tables)
    assert os.listdir(run / "export") == []
    assert sorted(os.listdir(tables)) == [".mine.tmp", "t.jsonl"]


@pytest.mark.parametrize(
    ("changes", "is_stale"),
    [
        ({"pid": 2**22 + 1}, True),
        ({"started": "1"}, True),
        ({"boot": "an earlier one"}, True),
        ({}, False),
        ({"boot": ""}, False),
        ({"host": "elsewhere", "pid": 2**22 + 1}, False),
        ({"machine": "another", "pid": 2**22 + 1}, False),
        ({"namespace": "pid:[1]", "pid": 2**22 + 1}, False),
        ({"pid": 9_999_999_999}, False),
    ],
)
def test_only_a_process_that_is_known_to_be_dead_is_cleaned_after(
    changes: dict[str, str | int], *, is_stale: bool, tmp_path: Path
) -> None:
    path = temporary_in(tmp_path, replace(Owner.this_process(), **changes))  # type: ignore[arg-type]
    path.touch()
    remove_stale(tmp_path)
    assert path.exists() != is_stale


def test_a_link_of_that_name_is_removed_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        process.kill()
        process.wait()
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").touch()
    first, *others = (path for path in tmp_path.iterdir() if path.name.startswith(".cars-hw-"))
    link = first.with_name(first.name[:-20] + "0" * 16 + ".tmp")
    link.symlink_to(victim)
    remove_stale(tmp_path)
    assert os.listdir(tmp_path) == ["victim"]
    assert (victim / "file").exists()
    assert others
