"""What is kept is found by what it follows from, whole or not at all, and within its bound."""

import logging
import os
import sys
from pathlib import Path

import pytest

from devices.foundation.kept_files import KeptFiles, code_digest, key_of

_KEY, _OTHER, _THIRD = key_of("a"), key_of("b"), key_of("c")


def files_of(kept: KeptFiles) -> list[Path]:
    return sorted(kept.folder.iterdir())


def aged(kept: KeptFiles, key: str, seconds: int) -> None:
    [path] = kept.folder.glob(f"{key}*")
    os.utime(path, (seconds, seconds))


def test_what_was_kept_is_read_by_its_key_alone(own_cache: Path) -> None:
    KeptFiles("models", 1000).write(_KEY, b"content\nof bytes\x00")
    later = KeptFiles("models", 1000)
    assert later.read(_KEY) == b"content\nof bytes\x00"
    assert later.read(_OTHER) is None
    assert KeptFiles("graphs", 1000).read(_KEY) is None


def test_keys_differ_where_any_text_or_border_between_texts_does() -> None:
    keys = [key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("ab", "c", ""), key_of("ab", "d")]
    assert len(set(keys)) == len(keys)
    assert key_of("ab", "c") == keys[0]


def test_a_key_is_no_path(own_cache: Path) -> None:
    for key in ("../" * 3 + "x", "a" * 63, _KEY.upper(), f"{_KEY}\n"):
        with pytest.raises(ValueError, match="is no key"):
            KeptFiles("models", 1000).write(key, b"")


@pytest.mark.parametrize("damage", ["torn", "flipped", "longer", "empty"])
def test_a_damaged_file_counts_as_missing_and_is_replaced(own_cache: Path, damage: str) -> None:
    kept = KeptFiles("models", 1000)
    kept.write(_KEY, b"0123456789")
    [path] = files_of(kept)
    held = path.read_bytes()
    flipped = held[:-1] + bytes([held[-1] ^ 1])
    path.write_bytes({"torn": held[:-3], "flipped": flipped, "longer": held + b"1", "empty": b""}[damage])
    assert kept.read(_KEY) is None
    assert files_of(kept) == []
    kept.write(_KEY, b"0123456789")
    assert kept.read(_KEY) == b"0123456789"


def test_what_was_not_used_for_longest_makes_room(own_cache: Path) -> None:
    kept = KeptFiles("models", 300)
    for seconds, key in enumerate((_KEY, _OTHER), start=1):
        kept.write(key, b"x" * 80)
        aged(kept, key, seconds)
    assert kept.read(_KEY) is not None  # used later than the other now
    kept.write(_THIRD, b"x" * 80)
    assert [kept.read(key) is not None for key in (_KEY, _OTHER, _THIRD)] == [True, False, True]
    assert sum(path.stat().st_size for path in files_of(kept)) <= 300


def test_what_is_larger_than_the_bound_is_not_kept_and_removes_nothing(own_cache: Path) -> None:
    kept = KeptFiles("models", 300)
    kept.write(_KEY, b"x" * 80)
    kept.write(_OTHER, b"x" * 300)
    assert kept.read(_OTHER) is None
    assert kept.read(_KEY) is not None


def test_nothing_is_left_but_whole_files(own_cache: Path) -> None:
    kept = KeptFiles("models", 1000)
    for content in (b"first", b"second"):
        kept.write(_KEY, content)
    assert kept.read(_KEY) == b"second"
    assert len(files_of(kept)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="its folders have no such modes")
def test_a_folder_that_others_may_write_to_is_not_used(
    own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = KeptFiles("models", 1000)
    kept.write(_KEY, b"content")
    kept.folder.chmod(0o777)
    assert kept.read(_KEY) is None
    with caplog.at_level(logging.WARNING):
        kept.write(_OTHER, b"content")
        kept.write(_THIRD, b"content")
    assert len(files_of(kept)) == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{kept.folder} is not used, since others may write to it; remove it; until then, what could be kept "
        "is made again each time"
    ]


def test_a_link_in_place_of_the_folder_is_not_followed(own_cache: Path, tmp_path: Path) -> None:
    kept = KeptFiles("models", 1000)
    kept.folder.parent.mkdir(parents=True)
    kept.folder.symlink_to(tmp_path)
    kept.write(_KEY, b"content")
    assert list(tmp_path.iterdir()) == []
    assert kept.read(_KEY) is None


def test_a_folder_that_cannot_be_made_is_told_once_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    kept = KeptFiles("models", 1000)
    with caplog.at_level(logging.WARNING):
        kept.write(_KEY, b"content")
        kept.write(_OTHER, b"content")
    assert kept.read(_KEY) is None
    [record] = caplog.records
    assert "cannot be written to: Not a directory; set XDG_CACHE_HOME" in record.getMessage()


def test_a_digest_of_code_follows_every_file_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "package_of_a_test"
    (folder / "below").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    digests = []
    for text in ("a = 1\n", "a = 2\n", "a = 2\n"):
        (folder / "below" / "module.py").write_text(text)
        code_digest.cache_clear()
        digests.append(code_digest("package_of_a_test"))
    code_digest.cache_clear()
    assert digests[0] != digests[1] == digests[2]


def test_no_digest_is_made_of_a_package_that_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError, match="no package no_such_package"):
        code_digest("no_such_package")
