"""An Android phone over real ADB: a played one behind the real daemon, directly and through an adb server."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devices import _adb
from devices._errors import DeviceTimeoutError
from devices.android import Android
from tests.fakes.adb_daemon import RealDaemon, adb_server, real_daemon
from tests.fakes.played_phone import PlayedPhone

PROGRAM = b'#!/bin/sh\necho "$GREETING" "$@"\necho no >&2\nexit 3\n'


@pytest.fixture
def daemon(phone: PlayedPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealDaemon]:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{phone.programs}:/usr/bin:/bin")
        with real_daemon("open", home) as daemon:
            patch.undo()
            yield daemon


@pytest.fixture(params=["directly", "through adb"])
def device(
    request: pytest.FixtureRequest, phone: PlayedPhone, daemon: RealDaemon, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Android]:
    with ExitStack() as stack:
        address = f"tcp:{daemon.address}"
        if request.param == "through adb":
            server = stack.enter_context(adb_server(Path(daemon.environment["HOME"])))
            for name, value in server.environment.items():
                monkeypatch.setenv(name, value)
            server.connect(daemon.address)
            address = daemon.address
        yield stack.enter_context(Android(_adb.connect(address), root=phone.root))


def test_it_is_the_same_phone_over_every_way(phone: PlayedPhone, device: Android) -> None:
    assert device.info() == phone.device().info()
    assert device.state() == phone.device().state()
    assert device.why_not_ready() is None


def test_a_measurement_from_push_to_pull(phone: PlayedPhone, device: Android) -> None:
    with device.quiet(2):
        assert phone.read("fixed-performance") == "true\n"
        program = device.push(PROGRAM, executable=True)
        done = device.run([program, "a b", "$(id)"], timeout_s=10, environment={"GREETING": "good day"})
        assert (done.stdout, done.stderr, done.exit_status) == (b"good day a b $(id)\n", b"no\n", 3)
        with device.scratch() as folder:
            device.run(["sh", "-c", f"printf 12345 > {folder}/result"], timeout_s=10)
            assert device.pull(f"{folder}/result", max_bytes=5) == b"12345"
    assert phone.read("fixed-performance") == "false\n"
    assert phone.ours() == [hashlib.sha256(PROGRAM).hexdigest()]


def test_a_program_that_takes_too_long_is_gone_and_the_next_one_runs(
    phone: PlayedPhone, device: Android
) -> None:
    with pytest.raises(DeviceTimeoutError):
        device.run(["sleep", "1000"], timeout_s=0.5)
    assert phone.ours() == []
    assert device.run(["true"], timeout_s=10).exit_status == 0


def test_a_daemon_that_restarts_is_connected_to_again(
    phone: PlayedPhone, device: Android, daemon: RealDaemon
) -> None:
    with device.quiet(1):
        device.push(b"before")
        daemon.stop()
        daemon.start()
        path = device.push(b"after")
        assert device.run(["cat", path], timeout_s=10).stdout == b"after"
    assert len(phone.ours()) == 2
