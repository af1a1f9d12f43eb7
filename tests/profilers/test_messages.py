"""What goes over the pipes between a host and its worker, none of which is trusted."""

import io
import struct

import pytest

from profilers._messages import Message, receive, send
from profilers.errors import GarbledOutputError


def sent(fields: dict[str, object], *contents: bytes) -> bytes:
    pipe = io.BytesIO()
    send(pipe.write, fields, contents)
    return pipe.getvalue()


def received(raw: bytes, *, most: int = 7) -> Message | None:
    pipe = io.BytesIO(raw)
    return receive(lambda n: pipe.read(min(n, most)))


def test_a_message_arrives_as_it_was_sent_in_however_small_pieces() -> None:
    raw = sent({"do": "load", "latency_s": 0.1 + 0.2}, b"model", b"", b"reference")
    assert received(raw) == Message({"do": "load", "latency_s": 0.1 + 0.2}, b"modelreference")


def test_messages_follow_one_another_and_the_end_is_none() -> None:
    pipe = io.BytesIO(sent({"n": 1}, b"x") + sent({"n": 2}))
    found = [receive(pipe.read) for _ in range(3)]
    assert found == [Message({"n": 1}, b"x"), Message({"n": 2}), None]


def test_a_cut_message_is_an_error_wherever_it_is_cut() -> None:
    raw = sent({"do": "run"}, b"content")
    for end in range(1, len(raw)):
        with pytest.raises(GarbledOutputError, match="cut"):
            received(raw[:end])


@pytest.mark.parametrize(
    "raw",
    [
        b"INFO: Created TensorFlow Lite XNNPACK delegate\n",
        struct.pack(">4sIQ", b"CHW1", 1 << 30, 0),
        struct.pack(">4sIQ", b"CHW1", 2, 1 << 40) + b"{}",
        struct.pack(">4sIQ", b"CHW1", 2, 0) + b"{]",
        struct.pack(">4sIQ", b"CHW1", 2, 0) + b"[]",
        struct.pack(">4sIQ", b"CHW1", 100_000, 0) + b"[" * 100_000,
        struct.pack(">4sIQ", b"CHW1", 2, 0) + b"\xff\xff",
    ],
    ids=["text", "long", "huge", "damaged", "list", "deep", "bytes"],
)
def test_what_is_no_message_is_refused_and_nothing_is_allocated_for_it(raw: bytes) -> None:
    with pytest.raises(GarbledOutputError):
        received(raw)
