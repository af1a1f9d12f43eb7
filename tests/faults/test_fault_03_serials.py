"""Fault 3: serials are whatever `adb devices` prints; each is named, stated, connected to, and told apart."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import devices
from devices import _adb
from devices._adb.listing import parsed, told_apart
from devices._errors import DeviceError, DeviceLostError
from tests.fakes.adb_server import FakeAdbServer

NO_SERIAL = "(no serial number)"

SERIALS = [
    "R58N12ABC",
    "emulator-5554",
    "adb-R5AAAA00000-AbCdEf._adb-tls-connect._tcp",
    "adb-R5AAAA00000-AbCdEf (2)._adb-tls-connect._tcp",
    "adb-R5AAAA00000-AbCdEf._adb-tls-connect._tcp.",
    "192.168.0.7:5555",
    "[fe80::1%wlan0]:5555",
    "[2001:db8::7]:37021",
    "????????????",
    "AB?C",
    "vsock:3:5555",
    "phone #1 & 'two' \"three\" $(id) `id` ; | > * ~ \\",
    "-s",
    "--help",
    " padded ",
    "Ünïcode 手机",
    "x" * 256,
]

STATES = [
    "no permissions (user in plugdev group; are your udev rules wrong?); see [http://x]",
    "unauthorized",
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAdbServer]:
    """A server, and no adb on PATH that could disagree with its version."""
    with FakeAdbServer({"host:devices": ""}) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
        monkeypatch.delenv("ANDROID_SERIAL", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        yield server


@pytest.mark.parametrize("serial", SERIALS)
def test_a_phone_of_any_serial_is_connected_to(server: FakeAdbServer, serial: str) -> None:
    server.answers |= {
        "host:devices": f"{serial}\tdevice\n",
        f"host-serial:{serial}:features": "cmd,shell_v2",
        f"host:transport:{serial}": "",
    }
    _adb.connect(serial).close()
    _adb.connect("").close()
    with pytest.raises(
        DeviceError, match="unknown host service"
    ):  # by the shell: the way to the phone is there
        devices.connect(f"android:{serial}?cores=all")
    assert f"host:transport:{serial}" in server.requests


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("serial", [*SERIALS, NO_SERIAL])
def test_a_phone_of_any_serial_is_listed_with_its_state_and_remedy(
    server: FakeAdbServer, serial: str, state: str
) -> None:
    server.answers["host:devices"] = f"{serial}\t{state}\n"
    [address] = devices.addresses("android")
    assert address == f"android:{serial}"
    with pytest.raises(DeviceError) as caught:
        devices.connect(address)
    assert str(caught.value).startswith(f"{serial} is {state}: ")
    assert any(remedy in str(caught.value) for remedy in ("udev", "accept this computer's key"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("serial", ["a\tb", "a\nb", "\x1b[31m", "a\u202eb", " ", "x" * 257, "\ud800"])
def test_what_adb_cannot_print_is_refused_before_anything_is_asked(
    server: FakeAdbServer, serial: str
) -> None:
    with pytest.raises(DeviceError, match="is no phone's serial"):
        devices.connect(f"android:{serial}")
    assert server.requests == []


@pytest.mark.parametrize("serial", [serial for serial in SERIALS if serial != "????????????"])
def test_the_option_that_names_one_of_several_works_when_pasted(server: FakeAdbServer, serial: str) -> None:
    server.answers["host:devices"] = f"A\toffline\n{serial}\tdevice\n"
    with pytest.raises(DeviceError, match="; name one: android:SERIAL, as in --device ") as caught:
        _adb.connect("")
    pasted = str(caught.value).partition("as in ")[2]
    printed = subprocess.run(
        [
            "/bin/sh",
            "-c",
            f"{shlex.quote(sys.executable)} -c 'import sys; print(ascii(sys.argv[1:]))' {pasted}",
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    ).stdout.strip()
    assert printed == ascii(["--device", f"android:{serial}"])


def test_the_command_that_finds_a_phone_of_the_network_works_when_pasted(server: FakeAdbServer) -> None:
    server.answers["host:connect:[fe80::1%wlan0]:5555"] = "failed to connect"
    with pytest.raises(DeviceLostError, match=r"`adb connect '\[fe80::1%wlan0\]:5555'`"):
        _adb.connect("[fe80::1%wlan0]:5555")


LONG = (
    "0123456789ABCDEF       device usb:1-1 product:a model:B device:c transport_id:3\n"
    "0123456789ABCDEF       device usb:1-4.2 product:a model:B device:c transport_id:7\n"
)


def test_two_phones_of_one_serial_are_told_apart_by_the_servers_numbers(server: FakeAdbServer) -> None:
    server.answers |= {
        "host:devices": "0123456789ABCDEF\tdevice\n0123456789ABCDEF\tdevice\n",
        "host:devices-l": LONG,
        "host-transport-id:7:features": "shell_v2",
        "host:transport-id:7": "",
    }
    assert devices.addresses("android") == ["android:transport_id:3", "android:transport_id:7"]
    for address in ("", "0123456789ABCDEF"):
        with pytest.raises(DeviceError, match=r"transport_id:7 at usb:1-4.2 \(device\); name one") as caught:
            _adb.connect(address)
        assert "--device android:transport_id:3" in str(caught.value)
    with _adb.connect("transport_id:7") as transport, pytest.raises(DeviceError):
        transport.shell("true", timeout_s=5)
    assert "host:transport-id:7" in server.requests
    assert not any("0123456789ABCDEF" in request for request in server.requests)
    with pytest.raises(DeviceLostError, match="knows no 'transport_id:4'"):
        _adb.connect("transport_id:4")


def test_two_phones_of_one_serial_are_refused_where_the_server_has_no_numbers(server: FakeAdbServer) -> None:
    server.answers["host:devices"] = "0123456789ABCDEF\tdevice\n0123456789ABCDEF\tdevice\n"
    assert devices.addresses("android") == ["android:0123456789ABCDEF"]
    for address in ("", "0123456789ABCDEF"):
        with pytest.raises(DeviceError, match="unplug all but one, or name one directly: android:tcp"):
            _adb.connect(address)
    assert not any("transport" in request for request in server.requests)


def test_a_phone_without_a_serial_is_reached_by_the_servers_number(server: FakeAdbServer) -> None:
    server.answers |= {
        "host:devices": f"{NO_SERIAL}\tdevice\n",
        "host:devices-l": f"{NO_SERIAL}     device usb:1-1 transport_id:5\n",
        "host-transport-id:5:features": "shell_v2",
    }
    for address in ("", NO_SERIAL, "transport_id:5"):
        _adb.connect(address).close()
    del server.answers["host:devices-l"]
    with pytest.raises(DeviceError, match="name it directly: android:tcp:HOST:PORT"):
        _adb.connect(NO_SERIAL)


def test_two_phones_that_may_not_be_opened_are_both_stated(server: FakeAdbServer) -> None:
    unknown = "????????????"
    server.answers |= {
        "host:devices": f"{unknown}\tno permissions\n{unknown}\tno permissions\n",
        "host:devices-l": f"{unknown}           no permissions usb:1-1 transport_id:1\n"
        f"{unknown}           no permissions usb:1-2 transport_id:2\n",
    }
    for address in devices.addresses("android"):
        with pytest.raises(DeviceError, match=r"^\?{12} is no permissions: .*udev"):
            devices.connect(address)
    assert len(devices.addresses("android")) == 2


@pytest.mark.parametrize(
    "long_listing", ["", LONG.splitlines()[0], "other device transport_id:1\nother device transport_id:2"]
)
def test_a_long_listing_that_does_not_fit_gives_no_phone_a_number(long_listing: str) -> None:
    listed = parsed("A\tdevice\nA\tdevice\n")
    assert told_apart(listed, long_listing) == listed


@pytest.mark.parametrize("host", ["[fe80::1%lo]", "[::1%lo]"])
def test_a_direct_address_may_have_a_scope(host: str) -> None:
    with pytest.raises(DeviceError) as caught:
        _adb.connect(f"tcp:{host}:1")
    assert "no phone can be at" not in str(caught.value)
