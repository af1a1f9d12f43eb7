"""Decoded images on the disk: found again, checked, bounded, and whole whatever ends the process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cars_hw import data
from cars_hw.data import ImageSet, ResizeRule
from cars_hw.data._stored import cache
from cars_hw.errors import DataError
from tests.fakes.image_files import image_file, two_classes, write_files

pytestmark = pytest.mark.usefixtures("own_cache")

RULE = ResizeRule(mode="stretch", height=8, width=8)
ROOT = Path(__file__).parents[3]


def read(path: Path, rule: ResizeRule = RULE, **settings: object) -> ImageSet:
    return data.open_set("folder", path, **settings).read_by(rule)


def entries() -> list[Path]:
    return sorted(path for path in cache.folder().iterdir() if path.is_dir())


def many_images(path: Path) -> Path:
    """Write 3000 images, and wait until they are told apart by their times: just now, it is by content."""
    two_classes(path, n=1500)
    time.sleep(3)
    return path


def test_images_are_decoded_once(tmp_path: Path) -> None:
    path = two_classes(tmp_path)
    first = read(path)
    [entry] = entries()
    inode = (entry / "images.bin").stat().st_ino
    again = read(path)
    assert np.array_equal(first.images, again.images)
    assert (entries()[0] / "images.bin").stat().st_ino == inode
    assert first.is_mapped
    assert data.Data(first, again).digest() == data.Data(again, first).digest()


def test_another_rule_setting_or_content_is_another_entry(tmp_path: Path) -> None:
    path = two_classes(tmp_path)
    read(path)
    read(path, ResizeRule(mode="stretch", height=8, width=9))
    read(path, ResizeRule(mode="crop", height=8, width=8))
    read(path, channels=1)
    assert len(entries()) == 4
    read(write_files(path, {"cat/9.png": image_file(9)}))
    assert len(entries()) == 5


def test_a_change_that_keeps_length_and_time_is_noticed(tmp_path: Path) -> None:
    """BMP files of one size have one length, and whoever copies with times sets them back."""
    files = {f"{label}/0.bmp": image_file(i, kind="BMP") for i, label in enumerate("ab")}
    path = write_files(tmp_path, files)
    before = read(path)
    status = (path / "a/0.bmp").stat()
    write_files(path, {"a/0.bmp": image_file(7, kind="BMP")})
    os.utime(path / "a/0.bmp", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = read(path)
    assert not np.array_equal(before.images[0], after.images[0])
    assert np.array_equal(before.images[1], after.images[1])


@pytest.mark.parametrize("file", ["images.bin", "index.npz", "meta.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "empty"])
def test_a_damaged_entry_is_decoded_anew(tmp_path: Path, file: str, harm: str) -> None:
    path = two_classes(tmp_path)
    expected = np.array(read(path).images)
    damaged = entries()[0] / file
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0x40
    match harm:
        case "flip":
            damaged.write_bytes(content)
        case "cut":
            damaged.write_bytes(content[:-1])
        case "remove":
            damaged.unlink()
        case "empty":
            damaged.write_bytes(b"")
    assert np.array_equal(read(path).images, expected)
    assert len(entries()) == 1


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    path = two_classes(tmp_path)
    rules = [ResizeRule(mode="stretch", height=100, width=100 + i) for i in range(3)]
    mapped = [read(path, rule, max_cache_bytes=1_000_000) for rule in rules[:2]]
    first, second = entries()
    before = mapped[0].images.copy()
    for i, entry in enumerate((first, second)):
        os.utime(entry / "meta.json", (1e9 + i, 1e9 + i))
    read(path, rules[2], max_cache_bytes=1_000_000)
    assert first not in entries()
    assert second in entries()
    assert np.array_equal(mapped[0].images, before)  # who has it goes on


def test_a_set_that_is_larger_than_the_cache_may_be_is_refused_with_both_figures(tmp_path: Path) -> None:
    large = ResizeRule(mode="stretch", height=400, width=400)
    with pytest.raises(
        DataError,
        match=r"12 images of 3x400x400 of folder take 5760000 bytes of disk, and all in the cache together "
        r"may take 1000000 bytes; raise data\.max_cache_bytes, or make data\.image_size smaller",
    ):
        read(two_classes(tmp_path), large, max_cache_bytes=1_000_000)
    assert entries() == []


def test_a_cache_that_cannot_be_written_to_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set XDG_CACHE_HOME to a folder that you may write to") as caught:
        read(two_classes(tmp_path / "images"))
    assert "\n" not in str(caught.value)


def test_what_a_mapped_image_is_set_to_stays_in_this_process(tmp_path: Path) -> None:
    path = two_classes(tmp_path)
    found = read(path)
    before = found.images.copy()
    found.images[:] = 0
    assert np.array_equal(read(path).images, before)


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_files(two_classes(tmp_path), {"dog/z.png": b"torn"})
    with pytest.raises(DataError, match=r"dog/z\.png"):
        read(path)
    assert [file.suffix for file in cache.folder().iterdir()] == [".lock"]


_READ = """
import sys, json
from pathlib import Path
from cars_hw import data
from cars_hw.data import ResizeRule
rule = ResizeRule(mode="stretch", height=64, width=64)
print("begun", flush=True)
whole = data.open_set("folder", Path(sys.argv[1])).read_by(rule)
print(json.dumps([len(whole.labels), data.Data(whole, whole).digest()]))
"""


def process(path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _READ, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)


@pytest.mark.slow
def test_killed_at_any_moment_it_is_decoded_anew_and_the_same(tmp_path: Path) -> None:
    path = many_images(tmp_path / "images")
    expected = process(path).communicate()[0].splitlines()[1]
    for wait_s in (0.05, 0.2, 0.4, 0.8):
        shutil.rmtree(cache.folder())
        killed = process(path)
        assert killed.stdout is not None
        killed.stdout.readline()
        time.sleep(wait_s)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert process(path).communicate()[0].splitlines()[1] == expected
        assert len(entries()) == 1  # what was being written is gone, too


@pytest.mark.slow
def test_of_two_processes_one_decodes_and_both_have_the_images(tmp_path: Path) -> None:
    path = many_images(tmp_path / "images")
    both = [process(path), process(path)]
    answers = [json.loads(one.communicate()[0].splitlines()[1]) for one in both]
    assert answers[0] == answers[1]
    assert answers[0][0] == 3000
    assert len(entries()) == 1
