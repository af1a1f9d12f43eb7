"""Addresses, quoting, the key, USB; what transports do is in test_adb_transports.py."""

import base64
import logging
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from adb_shell import exceptions

from devices import _adb
from devices._adb.direct import DirectLink, TcpCarrier
from devices._adb.keys import Key
from devices._adb.transport import Transport, quoted
from devices._adb.usb import UsbCarrier, only
from devices._errors import DeviceError, DeviceLostError
from tests.fakes.adb_daemon import free_port
from tests.fakes.adb_device import FakeAdbDevice, Faults, connected

BAD_ADDRESSES = [
    "tcp:",
    "tcp:host",
    "tcp:host:",
    "tcp:host:0",
    "tcp:host:65536",
    "tcp:host:5555:1",
    "tcp:ho st:1",
    "tcp:-h/x:1",
    "tcp:$(id):1",
    "usb:",
    "usb:a b",
    "a b",
    ";reboot",
    "$(id)",
    "`id`",
    "a\n",
    "é",
    "x" * 65,
    "../x",
    "-s;x",
]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_that_can_be_no_phone_reaches_nobody(address: str) -> None:
    with pytest.raises(DeviceError) as caught:
        _adb.connect(address)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_words_are_quoted_once_and_nul_is_refused() -> None:
    assert quoted(["echo", "a b", "$x", "it's"]) == """echo 'a b' '$x' 'it'"'"'s'"""
    for argv in ([], ["a\0b"]):
        with pytest.raises(DeviceError):
            quoted(argv)


def test_where_nobody_listens_the_message_says_what_to_do() -> None:
    port = free_port()
    with pytest.raises(
        DeviceError, match=rf"^tcp:127.0.0.1:{port}: nothing to connect to .*debugging enabled"
    ):
        _adb.connect(f"tcp:127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("banner", "message"),
    [
        (b"recovery::features=shell_v2", "no running Android"),
        (b"sideload::", "no running Android"),
        (b"device::ro.product.model=Old;features=cmd", "Android 7 or newer"),
        (b"device::", "Android 7 or newer"),
        (b"\xff\xfe\n\0", "no running Android"),
    ],
)
def test_what_is_no_usable_android_is_refused(tmp_path: Path, banner: bytes, message: str) -> None:
    with (
        FakeAdbDevice(tmp_path, banner=banner) as device,
        pytest.raises(DeviceError, match=message) as caught,
    ):
        _adb.connect(f"tcp:127.0.0.1:{device.port}")
    assert "\n" not in str(caught.value)


def test_a_port_for_wireless_debugging_is_recognised(tmp_path: Path) -> None:
    starts_tls = b"STLS" + bytes(16) + bytes(255 - byte for byte in b"STLS")
    with (
        FakeAdbDevice(tmp_path, faults=Faults(garbage=starts_tls)) as device,
        pytest.raises(DeviceError, match="adb pair"),
    ):
        _adb.connect(f"tcp:127.0.0.1:{device.port}")


def test_an_older_phone_gets_the_checksums_that_it_wants(tmp_path: Path) -> None:
    with connected(FakeAdbDevice(tmp_path, version=0x01000000)) as (_device, transport):
        transport.push(b"content" * 100_000, f"{tmp_path}/file", timeout_s=10)
        assert transport.shell(f"wc -c < {tmp_path}/file", timeout_s=10).stdout.strip() == b"700000"


def test_a_service_that_the_phone_lacks_is_an_error_not_a_wait(tmp_path: Path) -> None:
    with connected(FakeAdbDevice(tmp_path, faults=Faults(refuses=("sync",)))) as (_device, transport):
        with pytest.raises(DeviceError, match="refuses the service sync"):
            transport.push(b"", "/data/x", timeout_s=10)
        assert transport.shell("true", timeout_s=10).exit_status == 0


def test_a_closed_transport_says_so(tmp_path: Path) -> None:
    with FakeAdbDevice(tmp_path) as device:
        transport = _adb.connect(f"tcp:127.0.0.1:{device.port}")
        transport.close()
        with pytest.raises(DeviceLostError, match="connect again"):
            transport.shell("true", timeout_s=1)


def _direct(device: FakeAdbDevice, keys: Path) -> Transport:
    carrier = TcpCarrier("127.0.0.1", device.port)
    return Transport(DirectLink(carrier, "phone", keys=keys, authorization_s=0.3), pause=lambda _: None)


def test_a_phone_that_knows_our_key_lets_us_in(tmp_path: Path) -> None:
    key = Key(tmp_path / "keys")
    with (
        FakeAdbDevice(tmp_path, keys=[key.public_key()]) as device,
        _direct(device, tmp_path / "keys") as transport,
    ):
        transport.reconnect()
        assert transport.shell("echo in", timeout_s=5).stdout == b"in\n"
    assert device.connections == 1


def test_a_phone_whose_user_accepts_our_key_lets_us_in_then_and_later(tmp_path: Path) -> None:
    other = Key(tmp_path / "other").public_key()
    with (
        FakeAdbDevice(tmp_path, keys=[other], user_accepts=True) as device,
        _direct(device, tmp_path / "keys") as transport,
    ):
        transport.reconnect()
        device.user_accepts = False
        transport.reconnect()
        assert transport.shell("echo in", timeout_s=5).stdout == b"in\n"
    assert device.keys == [other, (tmp_path / "keys/adbkey.pub").read_bytes().strip()]


def test_a_phone_whose_user_does_not_accept_it_says_what_to_do(tmp_path: Path) -> None:
    with (
        FakeAdbDevice(tmp_path, keys=[]) as device,
        _direct(device, tmp_path / "keys") as transport,
        pytest.raises(DeviceError, match=r"unauthorized.*accept this computer's key"),
    ):
        transport.reconnect()


def test_a_key_whose_public_half_is_missing_is_completed(tmp_path: Path) -> None:
    public = Key(tmp_path).public_key()
    (tmp_path / "adbkey.pub").unlink()
    assert Key(tmp_path).public_key().split()[0] == public.split()[0]
    assert len(base64.b64decode(public.split()[0])) == 524
    assert stat.S_IMODE((tmp_path / "adbkey.pub").stat().st_mode) == 0o600


def test_several_who_make_a_key_at_once_end_with_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(Key, [tmp_path] * 4))
    assert len({key.sign(bytes(20)) for key in keys}) == 1
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["adbkey", "adbkey.pub"]


@pytest.mark.parametrize(
    "content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_that_is_none_is_an_error_that_never_shows_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "adbkey").write_bytes(content)
    with pytest.raises(DeviceError, match=r"is no usable key .* move it away") as caught:
        Key(tmp_path)
    assert "AAAA" not in str(caught.value)


class _PlayedInterface:
    """A phone's USB interface as adb-shell shows it, over memory."""

    def __init__(self, *answers: bytes | Exception, serial_number: str = "R58N") -> None:
        self.answers = list(answers)
        self.serial_number = serial_number
        self.written = b""
        self.is_claimed = False

    def connect(self, transport_timeout_s: float) -> None:
        self.is_claimed = True

    def bulk_read(self, numbytes: int, transport_timeout_s: float) -> bytes:
        assert transport_timeout_s > 0, "libusb would wait for ever"
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise exceptions.UsbReadFailedError("failed", answer)
        return answer

    def bulk_write(self, data: bytes, transport_timeout_s: float) -> int:
        if self.answers:
            raise exceptions.UsbWriteFailedError("failed", self.answers.pop(0))
        self.written += data
        return len(data)

    def close(self) -> None:
        self.is_claimed = False


class USBErrorTimeout(Exception):  # noqa: N818  (libusb's name)
    pass


class USBErrorNoDevice(Exception):  # noqa: N818  (libusb's name)
    pass


def test_usb_carries_bytes_and_is_released() -> None:
    interface = _PlayedInterface(b"answer")
    carrier = UsbCarrier("serial", lambda _: interface)
    carrier.connect(1.0)
    assert carrier.read(6, 0.0) == b"answer"
    assert carrier.write(memoryview(b"question"), 1.0) == 8
    assert interface.written == b"question"
    carrier.close()
    carrier.close()
    assert not interface.is_claimed


def test_usbs_failures_are_told_apart() -> None:
    interface = _PlayedInterface(USBErrorTimeout(), USBErrorNoDevice(), USBErrorTimeout())
    carrier = UsbCarrier("serial", lambda _: interface)
    with pytest.raises(ConnectionError, match="not claimed"):
        carrier.read(1, 1.0)
    carrier.connect(1.0)
    with pytest.raises(TimeoutError):
        carrier.read(1, 1.0)
    with pytest.raises(ConnectionError, match="unplugged"):
        carrier.read(1, 1.0)
    with pytest.raises(TimeoutError):
        carrier.write(b"x", 1.0)


@pytest.mark.parametrize("serial", ["R58N", "0123456789 ABCDEF (2)", "x" * 256])
def test_of_the_phones_on_usb_the_one_of_the_serial_is_taken_never_the_first_of_two(serial: str) -> None:
    other, wanted = _PlayedInterface(serial_number="other"), _PlayedInterface(serial_number=serial)
    assert only([other, wanted], serial) is wanted
    with pytest.raises(DeviceError, match="plug it in"):
        only([other], serial)
    with pytest.raises(DeviceError, match=r"2 phones on USB have the serial .*unplug all but one"):
        only([wanted, other, _PlayedInterface(serial_number=serial)], serial)


def test_usb_without_libusb_or_phone_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match=r"pip install 'cars-hw\[usb\]'|plug it in"):
        _adb.connect("usb:nosuchphone")


def test_without_adbutils_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbutils", None)
    with pytest.raises(DeviceError, match=r"pip install 'cars-hw\[adb-server\]'"):
        _adb.connect("serial")


def test_loose_keys_are_warned_of_and_tight_ones_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Key(tmp_path / "keys")
        assert not caplog.records
        (tmp_path / "keys/adbkey").chmod(0o644)
        Key(tmp_path / "keys")
    assert "chmod 600" in caplog.text
