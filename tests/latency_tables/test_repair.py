"""Repair keeps every record that holds, of files that were damaged in every way we know."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from latency_tables.errors import DamagedFileError, TableError
from latency_tables.journal import Journal, read_lines
from latency_tables.lines import Fields
from latency_tables.repair import repair_table

_RECORDS: list[Fields] = [{"n": n, "text": f'2 99914b93 {{}} "{n}"'} for n in range(4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    with Journal.create(path, _RECORDS[0]) as journal:
        journal.append(*_RECORDS[1:])
    return path


def read(path: Path) -> list[Fields]:
    return [record for _, record in read_lines(path)]


def test_a_file_that_holds_is_left_alone(path: Path) -> None:
    before = path.stat()
    found = repair_table(path, write=True)
    assert (found.kept, found.is_needed, found.old) == (4, False, None)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert os.listdir(path.parent) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("flip", "stride"),
    [(1, 5), *(pytest.param(flip, 1, marks=pytest.mark.slow) for flip in (1, 4, 0x80, 0xFF))],
)
def test_a_flip_of_any_byte_costs_no_more_than_its_own_record(path: Path, flip: int, stride: int) -> None:
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for i in range(len(lines[0]) - 1, len(whole), stride):
        damaged = bytearray(whole)
        damaged[i] ^= flip
        path.write_bytes(damaged)

        dry = repair_table(path)
        assert path.read_bytes() == damaged
        assert dry.old is None

        hit = whole[:i].count(b"\n")
        is_feed = whole[i : i + 1] == b"\n"
        wanted = _RECORDS if is_feed else _RECORDS[:hit] + _RECORDS[hit + 1 :]
        done = repair_table(path, write=True)
        assert (done.kept, done.lost) == (dry.kept, dry.lost)
        assert [lost.number for lost in done.lost] == [hit + 1]
        assert read(path) == wanted
        assert done.old is not None
        assert done.old.read_bytes() == damaged
        done.old.unlink()


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_file_cut_at_any_byte_keeps_the_records_before(path: Path, stride: int) -> None:
    whole = path.read_bytes()
    first = whole.index(b"\n")
    for cut in range(first, len(whole), stride):
        path.write_bytes(whole[:cut])
        repair_table(path, write=True)
        ends = [i + 1 for i in range(len(whole)) if whole[i : i + 1] == b"\n"]
        assert read(path) == _RECORDS[: sum(end - 1 <= cut for end in ends)]


def test_several_kinds_of_damage_at_once_cost_no_record_that_holds(path: Path) -> None:
    rng = np.random.default_rng(7)
    lines = path.read_bytes().splitlines(keepends=True)
    for _ in range(60):
        content, wanted = lines[0], [_RECORDS[0]]
        for line, record in zip(lines[1:], _RECORDS[1:], strict=True):
            kind = rng.integers(6)
            noise = rng.integers(128, 256, rng.integers(1, 40), dtype=np.uint8).tobytes()
            cut, crlf = line[:-9] + b"\n", line[:-1] + b"\r\n"
            content += (line, crlf, cut, noise + line, line[:-1] + noise, noise + b"\n")[kind]
            wanted += [] if kind in (2, 5) else [record]
        path.write_bytes(content)
        done = repair_table(path, write=True)
        assert read(path) == wanted
        assert done.kept == len(wanted)


@pytest.mark.parametrize(
    ("edit", "mended"),
    [
        (lambda text: text.replace(b"\n", b"\r\n"), {"it ends in CRLF instead of LF": 4}),
        (lambda text: text.replace(b"\n", b"\r"), {"it ends in CR instead of LF": 1}),
        (lambda text: b"\xef\xbb\xbf" + text, {"it begins with a byte-order mark": 1}),
        (lambda text: text.decode().encode("utf-16"), {"its text was in UTF-16": 1}),
        (lambda text: text + b"\n\n", {"it is empty": 2}),
        (lambda text: b"\n" + text, {"it is empty": 1}),
        (lambda text: text.removesuffix(b"\n"), {"its line feed is missing": 1}),
        (lambda text: text.replace(b"\n", b"\t\n"), {"there are blanks around it": 4}),
        (
            lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n").removesuffix(b"\r\n"),
            {
                "it begins with a byte-order mark": 1,
                "it ends in CRLF instead of LF": 2,
                "its line feed is missing": 1,
            },
        ),
    ],
)
def test_what_an_editor_changed_is_mended_without_a_loss(
    path: Path, edit: Callable[[bytes], bytes], mended: dict[str, int]
) -> None:
    before = path.read_bytes()
    path.write_bytes(edit(before))
    done = repair_table(path, write=True)
    assert path.read_bytes() == before
    assert (done.kept, done.lost, dict(done.mended)) == (4, (), mended)


def test_a_second_repair_does_not_replace_the_file_that_the_first_kept(path: Path) -> None:
    whole = path.read_bytes()
    for text in (b"one\n", b"two\n"):
        path.write_bytes(whole + text)
        repair_table(path, write=True)
    assert (path.parent / "a.jsonl.damaged").read_bytes() == whole + b"one\n"
    assert (path.parent / "a.jsonl.damaged.2").read_bytes() == whole + b"two\n"


@pytest.mark.parametrize("content", [b"", b"\n", b"notes\n", b"\0" * 99, b"\xff\xfe\x00", b"7 00000000 {}\n"])
def test_a_file_without_its_first_record_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    rest = path.read_bytes() if content.strip() else b""
    path.write_bytes(content + rest)
    with pytest.raises(DamagedFileError, match="restore it from a copy"):
        repair_table(path, write=True)
    assert path.read_bytes() == content + rest
    assert os.listdir(path.parent) == ["a.jsonl"]


def test_a_file_that_is_being_written_is_not_replaced(path: Path) -> None:
    with Journal.open(path), pytest.raises(TableError, match="being written already"):
        repair_table(path, write=True)


@pytest.mark.parametrize("name", ["pipe", "missing", ".", "sparse"])
@pytest.mark.parametrize("write", [False, True])
def test_what_is_no_table_is_one_error_at_once(tmp_path: Path, name: str, write: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(TableError, match="cannot be"):
        repair_table(tmp_path / name, write=write)
