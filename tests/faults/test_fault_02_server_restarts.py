"""Fault 2: the adb server ends, or is started anew, while we use a phone through it."""

import time
from pathlib import Path

import pytest

from devices import _adb
from devices._errors import DeviceError, DeviceLostError
from tests.fakes.adb_daemon import AdbServer
from tests.fakes.adb_device import FakeAdbDevice


def test_a_server_that_was_started_anew_costs_one_reconnection(server: AdbServer, tmp_path: Path) -> None:
    with FakeAdbDevice(tmp_path) as device:
        serial = f"127.0.0.1:{device.port}"
        server.connect(serial)
        with _adb.connect(serial) as transport:
            server.end()
            with pytest.raises(DeviceLostError):
                transport.shell("true", timeout_s=10)
            transport.reconnect()
            assert transport.shell("echo back", timeout_s=10).stdout == b"back\n"


def test_a_server_that_ends_during_a_command_loses_it(server: AdbServer, tmp_path: Path) -> None:
    with FakeAdbDevice(
        tmp_path, answer=lambda command: server.end() if "slow" in command else None
    ) as device:
        serial = f"127.0.0.1:{device.port}"
        server.connect(serial)
        with _adb.connect(serial) as transport:
            start_s = time.monotonic()
            with pytest.raises(DeviceLostError):
                transport.shell("sleep 20 # slow", timeout_s=15)
            assert time.monotonic() - start_s < 5.0


def test_a_server_that_knows_the_phone_no_more_is_asked_three_times(
    server: AdbServer, tmp_path: Path
) -> None:
    pauses_s: list[float] = []
    with FakeAdbDevice(tmp_path) as device:
        serial = f"127.0.0.1:{device.port}"
        server.connect(serial)
        transport = _adb.Transport(_adb.link_to(serial), pause=pauses_s.append)
        assert transport.shell("true", timeout_s=10).exit_status == 0
    server.adb("disconnect", serial)
    with pytest.raises(DeviceLostError, match="plug it in"):
        transport.reconnect()
    assert len(pauses_s) == 2


def test_no_request_of_ours_ever_ends_a_server(server: AdbServer, tmp_path: Path) -> None:
    """The server that runs before is the one that runs after, whatever happens in between."""
    with FakeAdbDevice(tmp_path) as device:
        serial = f"127.0.0.1:{device.port}"
        server.connect(serial)
        with _adb.connect(serial) as transport:
            transport.reconnect()
        with pytest.raises(DeviceError):
            _adb.connect("absent")
        assert [listed.serial for listed in _adb.list_devices()] == [serial]
