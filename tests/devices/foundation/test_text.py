"""Whatever was said, a message gets one short printable line of it."""

from hypothesis import given
from hypothesis import strategies as st

from devices.foundation.text import first_line, one_line, plain


def test_what_a_phone_says_becomes_one_short_printable_line() -> None:
    assert one_line(b"  a\nb\x1b[31m\x00 ") == "a?b?[31m?"
    assert len(one_line(b"x" * 10_000)) == 120


@given(st.text())
def test_a_devices_text_has_single_blanks_and_no_control_characters(said: str) -> None:
    assert plain(" Pi\x1b[31m\r\n5\0") == "Pi [31m 5"
    assert plain(said) == " ".join(plain(said).split())
    assert plain(said).isprintable()
    assert len(plain(said)) <= 120


@given(st.binary() | st.text(), st.integers(1, 40))
def test_no_byte_and_no_letter_makes_it_longer_or_unprintable(said: bytes | str, limit: int) -> None:
    line = one_line(said, limit)
    assert len(line) <= limit
    assert line.isprintable()


def test_bytes_and_their_text_give_the_same_line() -> None:
    assert one_line("größer\tals".encode()) == one_line("größer\tals") == "größer?als"


def test_the_trace_below_a_complaint_is_left_out() -> None:
    assert first_line(RuntimeError("\nno such kernel\n  at 0x1\n")) == "no such kernel"
    assert first_line(ValueError()) == ""
