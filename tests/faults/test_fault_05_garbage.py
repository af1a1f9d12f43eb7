"""Fault 5, the transport's part: cut, mixed, endless and senseless answers are never taken for whole ones."""

import resource
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import _adb
from devices._adb.keys import Key
from devices._adb.link import Deadline, EndOfStreamError, Stream
from devices._adb.packets import PacketChannel
from devices._adb.services import ShellOutput, read_shell, receive_file, send_file
from devices._adb.session import Session
from devices._device import Completed
from devices._errors import DeviceError, DeviceLostError
from tests.fakes.adb_device import FakeAdbDevice, connected

_WHOLE = Completed(b"out\r\n\x00", b"err", 5)


class _Recorded(Stream):
    """A stream whose other side has said all that it will say."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, n: int, deadline: Deadline) -> bytes:
        assert n <= 64 << 20, "memory for whatever number comes"
        if len(self._content) < n:
            raise EndOfStreamError
        content, self._content = self._content[:n], self._content[n:]
        return content

    def write(self, content: bytes | memoryview, deadline: Deadline) -> None:
        pass

    def close(self) -> None:
        pass


class _RecordedCarrier:
    """A carrier whose other side has said all that it will say."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def connect(self, timeout_s: float) -> None:
        pass

    def read(self, n: int, timeout_s: float) -> bytes:
        if not self._content:
            raise ConnectionError("closed")
        content, self._content = self._content[:n], self._content[n:]
        return content

    def write(self, content: bytes | memoryview, timeout_s: float) -> int:
        return len(content)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("way", ["shell", "pull", "push"])
def test_an_answer_cut_at_any_byte_is_an_error_or_whole(tmp_path: Path, way: str) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with (
        FakeAdbDevice(
            tmp_path, answer=lambda _: (_WHOLE.stdout, _WHOLE.stderr, _WHOLE.exit_status)
        ) as device,
        _adb.connect(f"tcp:127.0.0.1:{device.port}") as transport,
    ):
        for n_bytes in range(200):
            device.faults.cut_after = n_bytes
            try:
                if way == "shell":
                    assert transport.shell("anything", timeout_s=5) == _WHOLE
                elif way == "pull":
                    assert transport.pull(f"{tmp_path}/file", max_bytes=100, timeout_s=5) == b"content"
                else:
                    transport.push(b"content", f"{tmp_path}/pushed", timeout_s=5)
            except DeviceLostError:
                continue
            break
    assert n_bytes > 7, "it was taken for whole too early"


def _error(work: Callable[[], object]) -> str:
    """Return the message with which ``work`` fails, empty where it succeeds."""
    try:
        work()
    except DeviceError as error:
        return str(error)
    return ""


@given(st.binary(max_size=200))
def test_random_bytes_for_a_shell_are_an_error_of_one_line_or_an_exit_status(content: bytes) -> None:
    error = _error(lambda: read_shell(_Recorded(content), ShellOutput(), Deadline(1)))
    assert "\n" not in error
    assert error or b"\x03\x01\0\0\0" in content


@given(st.binary(max_size=200))
def test_random_bytes_for_a_file_are_an_error_of_one_line_or_a_file(content: bytes) -> None:
    error = _error(lambda: receive_file(_Recorded(content), "/data/x", 100, Deadline(1)))
    assert "\n" not in error
    assert error or b"DONE" in content
    error = _error(lambda: send_file(_Recorded(content), b"x", "/data/x", 0o600, Deadline(1)))
    assert "\n" not in error
    assert error or content.startswith(b"OKAY")


@given(st.binary(max_size=200))
def test_random_bytes_for_packets_end_in_a_lost_connection(content: bytes) -> None:
    channel = PacketChannel(_RecordedCarrier(content))
    channel.connect(Deadline(1))
    while not (error := _error(lambda: channel.receive(Deadline(1)))):
        continue
    assert error.startswith("the connection to the phone broke")
    with pytest.raises(DeviceLostError, match="closed"):
        channel.receive(Deadline(1))


@pytest.mark.parametrize("n_bytes", [1 << 20 | 1, 0xFFFFFFFF])
def test_a_packet_that_claims_to_be_huge_is_not_waited_for(n_bytes: int) -> None:
    header = bytearray(_packet(b"WRTE", 1, 1))
    header[12:16] = n_bytes.to_bytes(4, "little")
    channel = PacketChannel(_RecordedCarrier(bytes(header)))
    channel.connect(Deadline(1))
    with pytest.raises(DeviceLostError, match="not ADB's protocol"):
        channel.receive(Deadline(1))


def test_a_line_of_a_gibibyte_is_cut_off_and_its_program_killed(tmp_path: Path) -> None:
    with connected(FakeAdbDevice(tmp_path)) as (_device, transport):
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(DeviceError, match="more than 16 MiB and was killed"):
            transport.shell("head -c 1073741824 /dev/zero", timeout_s=60)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kib < 200 * 1024
        assert transport.shell("echo next", timeout_s=5).stdout == b"next\n"


def test_a_phone_that_floods_us_is_dropped() -> None:
    """It sends on and on where it should say that it took what we sent."""
    greeting = _packet(b"CNXN", 0x01000001, 1 << 20, b"device::features=shell_v2")
    flood = _packet(b"WRTE", 7, 1, b"x" * 1000) * 2
    carrier = _RecordedCarrier(greeting + _packet(b"OKAY", 7, 1) + flood)
    session = Session(carrier, lambda: Key(Path("/nowhere")))
    session.connect(Deadline(1))
    stream = session.open("sync:", Deadline(1))
    stream.write(b"first", Deadline(1))
    with pytest.raises(DeviceLostError, match="more than was confirmed"):
        stream.write(b"second", Deadline(1))


def _packet(command: bytes, first: int, second: int, payload: bytes = b"") -> bytes:
    number = int.from_bytes(command, "little")
    return struct.pack("<6I", number, first, second, len(payload), 0, number ^ 0xFFFFFFFF) + payload


def test_garbage_between_packets_loses_the_connection_and_nothing_else(tmp_path: Path) -> None:
    with connected(FakeAdbDevice(tmp_path)) as (device, transport):
        device.faults.garbage = b"\xde\xad\xbe\xef" * 64
        with pytest.raises(DeviceLostError, match="not ADB's protocol"):
            transport.shell("true", timeout_s=5)
        transport.reconnect()
        assert transport.shell("echo fine", timeout_s=5).stdout == b"fine\n"
