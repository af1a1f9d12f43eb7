"""Files are whole: the old content or the new one, and never a part."""

import contextlib
import errno
import io
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.foundation.files import cache_folder, read_regular, sync_folder, write_durably
from devices.foundation.temporaries import replace_file


class Stubborn(io.FileIO):
    """A file that takes three bytes at a time, as a file may."""

    def write(self, content: bytes | memoryview) -> int:  # type: ignore[override]
        return super().write(bytes(content[:3]))


def test_a_file_that_takes_a_part_gets_the_rest(tmp_path: Path) -> None:
    with Stubborn(tmp_path / "file", "w") as file:
        write_durably(file, b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_file_is_replaced_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for content in (b"first", b"second"):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_replaced_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        replace_file(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_the_disk_takes_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    replace_file(path, b"content")
    assert path.read_bytes() == b"content"


#: Replaces a file many times by a letter that is repeated.
_WRITER = """
import sys
from collections.abc import Callable
from pathlib import Path
from devices.foundation.temporaries import replace_file
for _ in range(60):
    replace_file(Path(sys.argv[1]), sys.argv[2].encode() * 100_000)
"""


def test_of_several_processes_that_write_a_file_a_reader_finds_what_one_wrote(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"-" * 100_000)
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, path, letter]) for letter in "abc"]
    found = set()
    while any(writer.poll() is None for writer in writers):
        content = path.read_bytes()
        assert content == content[:1] * 100_000
        found.add(content[:1])
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(found) > 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("value", "expected"), [("/elsewhere", "/elsewhere"), ("", "/home/me/.cache")])
def test_what_can_be_made_again_lies_where_the_user_wants_it(
    value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path(expected) / "cars_hw"


def _refusing(number: int) -> Callable[[int], None]:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    return fsync


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_that_syncs_no_folders_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", _refusing(number))
    sync_folder(tmp_path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_to_sync_a_folder_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", _refusing(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        sync_folder(tmp_path)


def test_a_system_that_opens_no_folders_replaces_files_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_DIRECTORY")
    replace_file(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("size", [0, 1, 9, 10])
def test_a_file_of_up_to_the_limit_is_read_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    assert read_regular(tmp_path / "file", 10) == b"x" * size


def test_of_a_file_larger_than_the_limit_no_more_is_held_than_the_limit(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(3 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_regular(tmp_path / "sparse", 10)
    with pytest.raises(OSError, match="larger than 1048576 bytes"):
        read_regular(tmp_path / "sparse", 1 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_pipe_is_refused_at_once_though_nobody_writes_into_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="not a file"):
            read_regular(tmp_path / name, 10)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty0"])
def test_a_device_is_refused_before_a_byte_is_read(path: str) -> None:
    with pytest.raises(OSError, match=r"not a file|Permission denied|No such"):
        read_regular(Path(path), 10)


def test_a_folder_and_a_socket_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 10)
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(tmp_path):
        server.bind("socket")
        with pytest.raises(OSError, match="No such device"):
            read_regular(Path("socket"), 10)
