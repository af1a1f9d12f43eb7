"""Fault 3: phones that cannot be used, or too many of them. The remedy is named; the first is never taken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devices import _adb
from devices._errors import DeviceError, DeviceLostError
from tests.fakes.adb_server import FakeAdbServer

STATES = {
    "unauthorized": "accept this computer's key",
    "authorizing": "accept this computer's key",
    "offline": "plug it in again",
    "connecting": "wait",
    "no permissions (user in plugdev group; are your udev rules wrong?); see [http://x]": "udev rules",
    "recovery": "start Android",
    "sideload": "start Android",
    "bootloader": "start Android",
    "rescue": "start Android",
    "host": "connect the phone itself",
    "detached": "`adb attach` it",
    "unknown": "plug it in again",
    "something new": "plug it in again",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAdbServer]:
    """A server of version 29, and no adb on PATH that could disagree."""
    with FakeAdbServer({"host:devices": ""}) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("ANDROID_SERIAL", raising=False)
        yield server


@pytest.mark.parametrize("address", ["", "R58N"])
@pytest.mark.parametrize("state", STATES)
def test_a_phone_that_cannot_be_used_is_refused_with_its_remedy(
    server: FakeAdbServer, address: str, state: str
) -> None:
    server.answers["host:devices"] = f"R58N\t{state}\n"
    with pytest.raises(DeviceError) as caught:
        _adb.connect(address)
    assert f"R58N is {state}: " in str(caught.value)
    assert STATES[state] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any("transport" in request for request in server.requests)


def test_of_two_phones_none_is_taken(server: FakeAdbServer) -> None:
    server.answers["host:devices"] = "R58N\tdevice\nemulator-5554\tdevice\n"
    with pytest.raises(DeviceError, match=r"several phones: R58N \(device\), emulator-5554 \(device\)"):
        _adb.connect("")
    server.answers["host:devices"] = "R58N\tdevice\nX\toffline\n"
    with pytest.raises(DeviceError, match=r"X \(offline\); name one: android:SERIAL"):
        _adb.connect("")


def test_of_two_phones_the_environment_may_choose(
    server: FakeAdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["host:devices"] = "R58N\tunauthorized\nemulator-5554\tdevice\n"
    server.answers["host-serial:emulator-5554:features"] = "cmd,shell_v2"
    monkeypatch.setenv("ANDROID_SERIAL", "emulator-5554")
    _adb.connect("").close()
    monkeypatch.setenv("ANDROID_SERIAL", "R58N")
    with pytest.raises(DeviceError, match="R58N is unauthorized"):
        _adb.connect("")
    monkeypatch.setenv("ANDROID_SERIAL", "$(id)")
    with pytest.raises(DeviceError, match=r"knows no '\$\(id\)'"):
        _adb.connect("")
    monkeypatch.setenv("ANDROID_SERIAL", "a\nb")
    with pytest.raises(DeviceError, match="is no phone's serial"):
        _adb.connect("")


def test_no_phone_is_one_clear_error(server: FakeAdbServer) -> None:
    with pytest.raises(DeviceError, match="knows no phone; plug one in"):
        _adb.connect("")
    server.answers["host:devices"] = "R58N\tdevice\n"
    with pytest.raises(DeviceError, match=r"knows no 'other' \(it knows: R58N\)"):
        _adb.connect("other")


def test_a_phone_too_old_for_exit_codes_is_refused(server: FakeAdbServer) -> None:
    server.answers |= {"host:devices": "R58N\tdevice\n", "host-serial:R58N:features": "cmd,not_shell_v2"}
    with pytest.raises(DeviceError, match="Android 7 or newer"):
        _adb.connect("R58N")


def test_phones_are_listed_with_their_states_and_remedies(server: FakeAdbServer) -> None:
    server.answers["host:devices"] = "R58N\tdevice\n\x1b[31m\tunauthorized\n"
    listed = _adb.list_devices()
    assert [(device.serial, device.state) for device in listed] == [
        ("R58N", "device"),
        ("?[31m", "unauthorized"),
    ]
    assert [bool(device.remedy()) for device in listed] == [False, True]


def test_a_server_of_another_version_than_the_installed_adb_is_refused(
    server: FakeAdbServer, tmp_path: Path
) -> None:
    adb = tmp_path / "adb"
    adb.write_text("#!/bin/sh\necho 'Android Debug Bridge version 1.0.41'\necho 'Version 28.0.2-debian'\n")
    adb.chmod(0o755)
    with pytest.raises(
        DeviceError, match=r"adb server is version 29, but .*/adb is 41: .*keep one adb on PATH"
    ):
        _adb.list_devices()
    server.answers["host:version"] = "0029"
    assert _adb.list_devices() == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("device 'R58N' not found", DeviceLostError),
        ("device offline", DeviceLostError),
        ("closed", DeviceLostError),
        ("device unauthorized.\nThis adb server's keys are not set", DeviceError),
    ],
)
def test_what_the_server_refuses_later_is_said_in_one_line(
    server: FakeAdbServer, said: str, kind: type[DeviceError]
) -> None:
    server.answers |= {"host:devices": "R58N\tdevice\n", "host-serial:R58N:features": "shell_v2"}
    with _adb.connect("R58N") as transport:
        server.answers["host:transport:R58N"] = RuntimeError(said)
        with pytest.raises(DeviceError, match=said.splitlines()[0]) as caught:
            transport.shell("true", timeout_s=5)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_a_server_that_hangs_up_without_a_word_has_lost_the_phone(server: FakeAdbServer) -> None:
    server.answers |= {"host:devices": "R58N\tdevice\n", "host-serial:R58N:features": "shell_v2"}
    with _adb.connect("R58N") as transport:
        server.answers["host:transport:R58N"] = EOFError()
        with pytest.raises(DeviceLostError):
            transport.shell("true", timeout_s=5)


def test_what_is_no_adb_server_is_recognised(server: FakeAdbServer) -> None:
    server.answers["host:devices"] = RuntimeError("")
    with pytest.raises(DeviceError, match="refuses: no reason given"):
        _adb.list_devices()
