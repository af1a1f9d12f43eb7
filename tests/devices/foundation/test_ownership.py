"""One owner of a folder at a time: among processes, threads and children, and when the folder goes away."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devices.foundation.errors import StorageError
from devices.foundation.ownership import owned
from tests.fakes.owners import ALONE, another_owner

_FORKING_OWNER = """
import os, sys, time
from pathlib import Path
from devices.foundation.ownership import owned
with owned(Path(sys.argv[1])):
    if os.fork() == 0:
        print("mine", flush=True)
        time.sleep(60)
        os._exit(0)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_in_one_line_that_names_the_first_and_the_remedy(tmp_path: Path) -> None:
    with another_owner(tmp_path / "run") as process:
        expected = f"process {process.pid}; wait .* another folder$"
        with pytest.raises(StorageError, match=expected), owned(tmp_path / "run"):
            pytest.fail("two owners")
        with owned(tmp_path / "other"):
            pass


@pytest.mark.parametrize("way", ["a link", "another spelling", "a relative path"])
def test_the_same_folder_is_the_same_by_whatever_path(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner").mkdir()
    (tmp_path / "link").symlink_to("run")
    paths = {
        "a link": tmp_path / "link",
        "another spelling": tmp_path / "inner" / ".." / "run",
        "a relative path": Path("run"),
    }
    with (
        another_owner(tmp_path / "run"),
        pytest.raises(StorageError, match="is being written by process"),
        owned(paths[way]),
    ):
        pytest.fail("two owners")


@pytest.mark.parametrize("code", [ALONE, _FORKING_OWNER], ids=["alone", "with a child that goes on"])
def test_a_killed_owner_leaves_the_folder_free(code: str, tmp_path: Path) -> None:
    with another_owner(tmp_path, code) as process:
        process.kill()
        process.wait(timeout=30)
        with owned(tmp_path):
            pass


def test_an_owner_may_own_again_and_gives_back_with_the_last(tmp_path: Path) -> None:
    with owned(tmp_path) as first:
        with owned(tmp_path) as second:
            second.require_in_place()
        first.require_in_place()
        assert _refused_elsewhere(tmp_path)
    assert not _refused_elsewhere(tmp_path)


def test_another_thread_is_another_writer(tmp_path: Path) -> None:
    refusals = []

    def write() -> None:
        try:
            with owned(tmp_path):
                pass
        except StorageError as error:
            refusals.append(str(error))

    with owned(tmp_path):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(timeout=30)
    assert len(refusals) == 1
    assert f"another thread of process {os.getpid()}" in refusals[0]
    write()
    assert len(refusals) == 1


@pytest.mark.parametrize("fate", ["removed", "moved", "replaced", "copied over"])
def test_a_folder_that_goes_away_is_noticed(fate: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with owned(folder) as ownership:
        ownership.require_in_place()
        if fate == "removed":
            shutil.rmtree(folder)
        elif fate == "moved":
            folder.rename(tmp_path / "elsewhere")
        elif fate == "replaced":
            shutil.rmtree(folder)
            folder.mkdir()
        else:
            shutil.copytree(folder, tmp_path / "copy")
            folder.rename(tmp_path / "elsewhere")
            (tmp_path / "copy").rename(folder)
        expected = "was replaced" if fate == "copied over" else "is gone"
        with pytest.raises(StorageError, match=expected):
            ownership.require_in_place()


@pytest.mark.parametrize("obstacle", ["a file in its place", "a link for a lock", "a folder for a lock"])
def test_a_folder_that_cannot_be_owned_is_one_clear_error(obstacle: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    if obstacle == "a file in its place":
        folder.write_text("")
    else:
        folder.mkdir()
        if obstacle == "a link for a lock":
            (folder / ".lock").symlink_to(tmp_path / "victim")
        else:
            (folder / ".lock").mkdir()
    with pytest.raises(StorageError, match=r"cannot write to .*choose another folder"), owned(folder):
        pytest.fail("owned")
    assert not (tmp_path / "victim").exists()


def test_a_folder_of_ours_that_is_gone_is_not_made_again_by_owning_it_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with owned(folder):
        shutil.rmtree(folder)
        with pytest.raises(StorageError, match="is gone"), owned(folder):
            pytest.fail("made again")
    assert not folder.exists()
    with owned(folder):
        pass


def test_a_stale_lock_of_any_content_hinders_nobody(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_bytes(b"\xff\n" * 1000)
    with owned(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def _refused_elsewhere(folder: Path) -> bool:
    """Tell whether another process may not own ``folder``."""
    code = "import sys; from pathlib import Path; from devices.foundation.ownership import owned\n"
    code += "with owned(Path(sys.argv[1])): pass"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0 or "is being written by" in done.stderr, done.stderr
    return done.returncode != 0
