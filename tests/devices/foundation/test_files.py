"""Files are whole: the old content or the new one, and never a part."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from devices.foundation.files import cache_folder, replace_file, write_durably


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
from pathlib import Path
from devices.foundation.files import replace_file
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
