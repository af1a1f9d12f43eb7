import logging
import os
import resource
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import latency_tables
from latency_tables.errors import DamagedFileError, EditedFileError, TableError
from latency_tables.journal import Journal, read_lines
from latency_tables.lines import MAX_LINE_BYTES, Fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.dictionaries(st.text(max_size=5), JSON, max_size=3)

WRITER = """
import os, sys
from pathlib import Path
from latency_tables.journal import Journal
with Journal.open(Path(sys.argv[1])) as journal:
    os.write(1, b"open\\n")
    for number in range(1, 1_000_000):
        journal.append({"number": number, "padding": "x" * (number % 5000)})
        os.write(1, b"%d\\n" % number)
"""


def write(path: Path, *records: Fields) -> None:
    with Journal.create(path, records[0]) as journal:
        journal.append(*records[1:])


def read(path: Path) -> list[Fields]:
    return [record for _, record in read_lines(path)]


def line(payload: bytes) -> bytes:
    return b"%d %08x %b\n" % (len(payload), zlib.crc32(payload), payload)


@contextmanager
def running_writer(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", WRITER, str(path)]
    root = Path(latency_tables.__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        yield writer
        writer.send_signal(signal.SIGKILL)


@contextmanager
def largest_file_bytes(limit: int) -> Iterator[None]:
    """A disk that is full as soon as a file has ``limit`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@given(st.lists(RECORDS, min_size=1, max_size=4))
@settings(max_examples=20)
def test_records_read_back_as_written_and_in_order(records: list[Fields]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        write(path, *records)
        assert list(read_lines(path)) == list(enumerate(records, start=1))


def test_a_line_holds_its_length_its_checksum_and_the_json(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"spec": "conv[1x3;float32]", "µ": 0.1})
    assert path.read_bytes() == line(b'{"spec":"conv[1x3;float32]","\\u00b5":0.1}')


def test_appending_goes_on_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"n": 0}, {"n": 1})
    with Journal.open(path) as journal:
        journal.append({"n": 2}, {"n": 3})
        journal.append({"n": 4})
    assert read(path) == [{"n": n} for n in range(5)]


def test_a_journal_that_exists_is_not_created_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"n": 0})
    with pytest.raises(TableError, match="exists already"):
        Journal.create(path, {"n": 1})
    assert read(path) == [{"n": 0}]
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("folder", ["missing", "file", "/proc/self"])
def test_a_folder_that_takes_no_file_is_one_clear_error(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / folder / "a.jsonl"
    with pytest.raises(TableError, match=r"a\.jsonl cannot be created: .*name a folder") as caught:
        Journal.create(path, {"n": 0})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [".", "missing.jsonl"])
def test_what_is_no_file_can_be_neither_read_nor_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match="not a file"):
        read(tmp_path / name)
    with pytest.raises(TableError, match="cannot be opened"):
        Journal.open(tmp_path / name)


def test_a_last_record_cut_at_any_byte_is_set_aside_and_appending_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, torn_path = tmp_path / "a.jsonl", tmp_path / "a.jsonl.torn"
    write(path, {"n": 0}, {"n": 1}, {"n": 2.5})
    whole = path.read_bytes()
    start = whole.index(line(b'{"n":2.5}'))
    for cut in range(start + 1, len(whole) - 1):
        path.write_bytes(whole[:cut])
        torn_path.unlink(missing_ok=True)
        caplog.clear()

        assert read(path) == [{"n": 0}, {"n": 1}]
        assert path.read_bytes() == whole[:cut]
        assert "torn" in caplog.text

        caplog.clear()
        with Journal.open(path) as journal:
            journal.append({"n": 3})
            journal.append({"n": 4})
        assert read(path) == [{"n": 0}, {"n": 1}, {"n": 3}, {"n": 4}]
        assert torn_path.read_bytes() == whole[start:cut]
        assert f"{cut - start} bytes are in {torn_path}" in caplog.text


def test_what_was_torn_before_is_kept_beside_what_is_torn_now(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"n": 0})
    for torn in (b"7 12", b"8 34"):
        with path.open("ab") as file:
            file.write(torn)
        Journal.open(path).close()
    assert (tmp_path / "a.jsonl.torn").read_bytes() == b"7 128 34"


def test_a_last_record_that_lacks_the_line_feed_alone_is_used_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.jsonl"
    for records in ([{"n": 0}], [{"n": 0}, {"n": 1}]):
        path.unlink(missing_ok=True)
        write(path, *records)
        path.write_bytes(path.read_bytes().removesuffix(b"\n"))
        caplog.clear()

        assert read(path) == records
        assert "its line feed is missing: an editor took it away" in caplog.text

        with Journal.open(path) as journal:
            journal.append({"n": 2})
        assert read(path) == [*records, {"n": 2}]
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("flip", [1, 2, 4, 8, 16, 32, 64, 128, 0xFF])
def test_a_flip_anywhere_is_damage_and_never_a_torn_tail_or_another_record(tmp_path: Path, flip: int) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"J": "*"}, {}, {"n": 1})
    whole = path.read_bytes()
    for i in range(len(whole)):
        flipped = bytearray(whole)
        flipped[i] ^= flip
        path.write_bytes(flipped)
        for use in (read, Journal.open):
            with pytest.raises(DamagedFileError, match=r"at line [123]: "):
                use(path)
        assert path.read_bytes() == flipped
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("digit", [b"2", b"9"])
def test_a_last_record_whose_length_was_made_longer_is_damage_and_no_torn_tail(
    tmp_path: Path, digit: bytes
) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"n": 0}, {"n": "x" * 100})
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[:start] + digit + whole[start + 1 :])
    for use in (read, Journal.open):
        with pytest.raises(DamagedFileError, match=r"at line 2: "):
            use(path)
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("tail", [b"\0" * 40, b"1\0\0\0", b"12 0badcafe {\0\0"])
def test_zeros_that_a_crash_left_in_place_of_a_record_are_a_torn_tail(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"n": 0})
    with path.open("ab") as file:
        file.write(tail)
    assert read(path) == [{"n": 0}]
    Journal.open(path).close()
    assert (tmp_path / "a.jsonl.torn").read_bytes() == tail


@pytest.mark.parametrize(
    "tail", [b"hello", b"x" * 100, b"999999999999 00000000 {", b"7 NOTHEX", b"2 0 {", b"\n"]
)
def test_a_tail_that_no_crash_leaves_is_damage_named_with_its_line_and_the_command(
    tmp_path: Path, tail: bytes
) -> None:
    path = tmp_path / "my table.jsonl"
    write(path, {"n": 0}, {"n": 1})
    with path.open("ab") as file:
        file.write(tail)
    for use in (read, Journal.open):
        with pytest.raises(DamagedFileError, match=r"at line 3: .*; run `cars-hw table repair '.*my table"):
            use(path)


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (lambda text: text.replace(b"\n", b"\r\n"), 1, "CRLF"),
        (lambda text: text.replace(b"\n", b"\r\n").removesuffix(b"\r\n"), 1, "CRLF"),
        (lambda text: text.removesuffix(b"\n") + b"\r\n", 3, "CRLF"),
        (lambda text: text.replace(b"\n", b"\r"), 1, "ends in CR instead"),
        (lambda text: text.removesuffix(b"\n") + b"\r", 3, "ends in CR instead"),
        (lambda text: b"\xef\xbb\xbf" + text, 1, "byte-order mark"),
        (lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"), 1, "byte-order mark"),
        (lambda text: text.decode().encode("utf-16"), 1, "UTF-16"),
        (lambda text: text.replace(b"\n", b" \n"), 1, "blanks"),
        (lambda text: text.removesuffix(b"\n") + b"\t", 3, "blanks"),
    ],
)
def test_a_file_whose_lines_an_editor_changed_is_named_as_that(
    tmp_path: Path, edit: Callable[[bytes], bytes], where: int, what: str
) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"n": 0}, {"n": 1}, {"n": 2})
    edited = edit(path.read_bytes())
    path.write_bytes(edited)
    for use in (read, Journal.open):
        with pytest.raises(EditedFileError, match=f"line {where}: .*{what}.*an editor.*table repair"):
            use(path)
    assert path.read_bytes() == edited


@given(st.lists(RECORDS, min_size=2, max_size=5), st.lists(RECORDS, max_size=2), st.data())
@settings(max_examples=20)
def test_a_crash_at_any_byte_loses_no_record_before_it(
    records: list[Fields], added: list[Fields], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        write(path, *records)
        whole = path.read_bytes()
        lines = whole.splitlines(keepends=True)
        cut = data.draw(st.integers(len(lines[0]), len(whole)))
        path.write_bytes(whole[:cut])
        with Journal.open(path) as journal:
            journal.append(*added)
        # One that lacks its line feed alone is used.
        survivors = [r for i, r in enumerate(records) if len(b"".join(lines[: i + 1])) - 1 <= cut]
        assert read(path) == survivors + added


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"notes of mine", b"a,b\n1,2\n", b"\0" * 100, line(b'{"n":0}')[:-2], b"14 00000000 {}\n"],
)
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    for use in (read, Journal.open):
        with pytest.raises(DamagedFileError, match="line 1"):
            use(path)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"latency_s":NaN}',
        b'{"latency_s":-Infinity}',
        b'{"n":1,"n":2}',
        b'{"n":' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b'{"n":1',
        b"[1]",
        b"",
        b'\xef\xbb\xbf{"n":1}',
        b'{"n":"\xff"}',
    ],
)
def test_a_record_that_is_no_json_object_is_refused_whatever_its_checksum(
    tmp_path: Path, payload: bytes
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(b'{"n":0}') + line(payload))
    with pytest.raises(DamagedFileError, match="line 2"):
        read(path)


@pytest.mark.parametrize("record", [{"n": float("nan")}, {"n": float("inf")}, {"n": Path()}])
def test_a_record_that_is_no_json_is_not_written(tmp_path: Path, record: Fields) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"n": 0})
    with Journal.open(path) as journal, pytest.raises(TableError, match="cannot be written as JSON"):
        journal.append({"n": 1}, record)
    assert read(path) == [{"n": 0}]


def test_a_line_over_the_limit_is_neither_written_nor_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"n": 0})
    with Journal.open(path) as journal, pytest.raises(TableError, match="at most"):
        journal.append({"n": "x" * MAX_LINE_BYTES})
    with path.open("ab") as file:
        file.write(line(b'{"n":"' + b"x" * MAX_LINE_BYTES + b'"}'))
    with pytest.raises(DamagedFileError, match="line 2"):
        read(path)


def test_a_full_disk_keeps_what_was_acknowledged_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"n": 0})
    journal = Journal.open(path)
    with largest_file_bytes(path.stat().st_size + 10), pytest.raises(TableError, match="File too large"):
        journal.append({"n": 1})
    assert read(path) == [{"n": 0}]
    with pytest.raises(TableError, match="closed"):
        journal.append({"n": 2})
    with Journal.open(path) as journal:
        journal.append({"n": 3})
    assert read(path) == [{"n": 0}, {"n": 3}]


def test_a_full_disk_leaves_no_half_created_journal(tmp_path: Path) -> None:
    with largest_file_bytes(10), pytest.raises(TableError, match="File too large"):
        Journal.create(tmp_path / "a.jsonl", {"n": 0})
    assert os.listdir(tmp_path) == []


def test_a_file_deleted_while_it_is_written_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Journal.create(path, {"n": 0}) as journal:
        path.unlink()
        with pytest.raises(TableError, match="was deleted"):
            journal.append({"n": 1})


def test_a_second_writer_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Journal.create(path, {"n": 0}) as journal:
        with pytest.raises(TableError, match=r"a\.jsonl is being written already"):
            Journal.open(path)
        journal.append({"n": 1})
        assert read(path) == [{"n": 0}, {"n": 1}]
    Journal.open(path).close()


def test_a_second_process_may_read_but_not_write(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, {"number": 0})
    with running_writer(path) as writer:
        with pytest.raises(TableError, match=r"a\.jsonl is being written already"):
            Journal.open(path)
        writer.send_signal(signal.SIGSTOP)  # a stalled writer keeps its lock
        with pytest.raises(TableError, match="being written already"):
            Journal.open(path)
        assert read(path)[0] == {"number": 0}


def test_a_killed_writer_loses_no_acknowledged_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    for kill in range(10):
        path = tmp_path / f"{kill}.jsonl"
        write(path, {"number": 0})
        with running_writer(path) as writer:
            assert writer.stdout is not None
            for _ in range(1 + kill * kill):
                writer.stdout.readline()
            numbers = [record["number"] for record in read(path)]
            assert numbers == list(range(len(numbers)))
            writer.send_signal(signal.SIGKILL)
            acknowledged = 1 + kill * kill + len(writer.stdout.read().splitlines())
        with Journal.open(path) as journal:  # the kernel has released the lock
            journal.append({"number": -1})
        numbers = [record["number"] for record in read(path)]
        assert numbers == [*range(len(numbers) - 1), -1]
        assert len(numbers) - 2 >= acknowledged
