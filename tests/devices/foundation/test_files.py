"""Files are whole: the old content or the new one, and never a part."""

import io
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


def test_a_disk_that_refuses_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    (tmp_path / ".file.tmp").mkdir()  # in the way of what is written
    with pytest.raises(OSError, match="Is a directory"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(("value", "expected"), [("/elsewhere", "/elsewhere"), ("", "/home/me/.cache")])
def test_what_can_be_made_again_lies_where_the_user_wants_it(
    value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path(expected) / "cars_hw"
