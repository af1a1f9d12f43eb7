"""The real daemon of Android on loopback: both transports and Debian's adb side by side, keys, restarts."""

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices import _adb
from devices._adb.direct import DirectLink, TcpCarrier
from devices._adb.keys import Key
from devices._adb.transport import Transport
from devices._errors import DeviceError, DeviceLostError
from tests.fakes.adb_daemon import AdbServer, RealDaemon, adb_server, real_daemon, wait_until_gone

_BIG_BYTES = 64 << 20


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RealDaemon]:
    with real_daemon("open", tmp_path) as daemon:
        yield daemon


@pytest.fixture
def strict_daemon(tmp_path: Path) -> Iterator[RealDaemon]:
    """It asks for a key, and knows none yet."""
    (tmp_path / "adb_keys").touch()
    with real_daemon("auth", tmp_path) as daemon:
        yield daemon


def _direct(daemon: RealDaemon, keys: Path) -> Transport:
    link = DirectLink(TcpCarrier("127.0.0.1", daemon.port), daemon.address, keys=keys, authorization_s=0.5)
    return Transport(link, pause=lambda _: time.sleep(0.05))


def test_it_listens_on_loopback_only(daemon: RealDaemon) -> None:
    sockets = [line.split() for file in ("tcp", "tcp6") for line in _lines(f"/proc/net/{file}")[1:]]
    listening = [words[1].split(":") for words in sockets if words[3] == "0A"]
    assert [host for host, port in listening if int(port, 16) == daemon.port] == ["0100007F"]


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else [""]


def test_the_script_that_builds_it_says_what_is_missing_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    absent = tmp_path / "bin/dpkg-query"
    absent.write_text("#!/bin/sh\nexit 1\n")
    absent.chmod(0o755)
    environment = {"PATH": f"{absent.parent}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    script = Path(__file__).parents[3] / "scripts/adbd"
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith("cars_hw: adbd: ")
    assert (
        "as root: apt-get install" in done.stderr or "run the tests in a debian:12 container" in done.stderr
    )
    assert not (tmp_path / "cache").exists()


def test_our_files_are_those_that_adb_sees(daemon: RealDaemon, server: AdbServer, tmp_path: Path) -> None:
    server.connect(daemon.address)
    content = os.urandom(300_000)
    (tmp_path / "of ours").write_bytes(content)
    for name, address in (("direct", f"tcp:{daemon.address}"), ("server", daemon.address)):
        with _adb.connect(address) as transport:
            transport.push(content, f"{tmp_path}/{name}/ours", timeout_s=30)
            pulled = server.adb(
                "-s", daemon.address, "pull", f"{tmp_path}/{name}/ours", f"{tmp_path}/{name}/seen"
            )
            assert pulled.returncode == 0
            assert (tmp_path / name / "seen").read_bytes() == content
            theirs = f"{tmp_path}/{name}/theirs"
            assert server.adb("-s", daemon.address, "push", str(tmp_path / "of ours"), theirs).returncode == 0
            assert transport.pull(theirs, max_bytes=len(content), timeout_s=30) == content


@pytest.mark.parametrize(
    "command", ["exit 7", "echo out; echo err >&2; false", "printf 'a\\r\\n\\0b'", "nothing-here"]
)
def test_our_shell_answers_as_adbs_does(daemon: RealDaemon, server: AdbServer, command: str) -> None:
    server.connect(daemon.address)
    theirs = server.adb("-s", daemon.address, "shell", command)
    for address in (f"tcp:{daemon.address}", daemon.address):
        with _adb.connect(address) as transport:
            ours = transport.shell(command, timeout_s=10)
        assert (ours.stdout, ours.exit_status) == (theirs.stdout, theirs.returncode)
        assert ours.stderr.split(b":")[-1] == theirs.stderr.split(b":")[-1]  # a shell numbers its lines


@pytest.mark.parametrize("way", ["directly", "through adb"])
def test_a_big_file_arrives_whole(daemon: RealDaemon, server: AdbServer, tmp_path: Path, way: str) -> None:
    content = os.urandom(1 << 20) * (_BIG_BYTES >> 20)
    server.connect(daemon.address)
    with _adb.connect(f"tcp:{daemon.address}" if way == "directly" else daemon.address) as transport:
        transport.push(content, f"{tmp_path}/big", timeout_s=60)
        said = transport.shell(f"sha256sum {tmp_path}/big", timeout_s=60).stdout
    assert said.split()[0].decode() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("way", ["directly", "through adb"])
def test_a_daemon_that_restarts_is_found_again(
    daemon: RealDaemon, server: AdbServer, tmp_path: Path, way: str
) -> None:
    server.connect(daemon.address)
    with _adb.connect(f"tcp:{daemon.address}" if way == "directly" else daemon.address) as transport:
        transport.push(b"kept", f"{tmp_path}/file", timeout_s=10)
        daemon.stop()
        with pytest.raises(DeviceLostError):
            transport.shell("true", timeout_s=10)
        daemon.start()
        transport.reconnect()
        assert transport.pull(f"{tmp_path}/file", max_bytes=4, timeout_s=10) == b"kept"


def test_a_daemon_that_dies_during_a_command_loses_it(daemon: RealDaemon, tmp_path: Path) -> None:
    with _adb.connect(f"tcp:{daemon.address}") as transport:
        start_s = time.monotonic()
        with pytest.raises(DeviceLostError):
            transport.shell(f"kill -9 $PPID; sleep 30; touch {tmp_path}/late", timeout_s=20)
        assert time.monotonic() - start_s < 5.0


def test_a_push_that_takes_too_long_leaves_no_part(daemon: RealDaemon, tmp_path: Path) -> None:
    def push_in_ever_less_time(transport: Transport) -> None:
        for halvings in range(5, 15):  # until it is too short for this machine
            transport.push(bytes(_BIG_BYTES * 4), f"{tmp_path}/part", timeout_s=0.5**halvings)
            (tmp_path / "part").unlink()

    with _adb.connect(f"tcp:{daemon.address}") as transport, pytest.raises(DeviceError):
        push_in_ever_less_time(transport)
    wait_until_gone(tmp_path / "part")


def test_a_strange_key_is_refused_and_an_accepted_one_opens(
    strict_daemon: RealDaemon, tmp_path: Path
) -> None:
    with _direct(strict_daemon, tmp_path / "keys") as transport:
        with pytest.raises(DeviceError, match=r"unauthorized.*accept this computer's key"):
            transport.reconnect()
        (tmp_path / "adb_keys").write_bytes(Key(tmp_path / "keys").public_key() + b"\n")
        transport.reconnect()
        assert transport.shell("echo in", timeout_s=10).stdout == b"in\n"
        (tmp_path / "adb_keys").write_bytes(Key(tmp_path / "other").public_key() + b"\n")
        with pytest.raises(DeviceError, match="unauthorized"):
            transport.reconnect()


def test_a_key_that_adb_made_opens_for_us_and_ours_for_adb(
    strict_daemon: RealDaemon, server: AdbServer, tmp_path: Path
) -> None:
    made_by_adb = tmp_path / ".android"
    assert server.adb("connect", strict_daemon.address).returncode == 0
    with pytest.raises(DeviceError, match="is unauthorized: unlock it and accept"):
        _adb.connect(strict_daemon.address)
    (tmp_path / "adb_keys").write_bytes((made_by_adb / "adbkey.pub").read_bytes() + b"\n")
    server.adb("disconnect", strict_daemon.address)
    server.connect(strict_daemon.address)
    for address in (f"tcp:{strict_daemon.address}", strict_daemon.address):
        with _adb.connect(address) as transport:
            assert transport.shell("echo in", timeout_s=10).stdout == b"in\n"


def test_a_key_of_ours_opens_for_adb(strict_daemon: RealDaemon, tmp_path: Path) -> None:
    ours = Key(tmp_path / ".android")
    (tmp_path / "adb_keys").write_bytes(ours.public_key() + b"\n")
    with adb_server(tmp_path) as server:
        server.connect(strict_daemon.address)
        assert server.adb("-s", strict_daemon.address, "shell", "echo in").stdout == b"in\n"
    assert Key(tmp_path / ".android").sign(bytes(20)) == ours.sign(bytes(20))


def test_the_only_phone_of_the_server_needs_no_name(
    daemon: RealDaemon, server: AdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    with pytest.raises(DeviceError, match="knows no phone"):
        _adb.connect("")
    server.connect(daemon.address)
    with _adb.connect("") as transport:
        assert transport.shell("echo here", timeout_s=10).stdout == b"here\n"
    assert [device.state for device in _adb.list_devices()] == ["device"]
