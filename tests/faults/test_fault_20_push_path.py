"""Fault 20, the transport's part: a push goes where its path says, and through no link."""

from pathlib import Path

import pytest

from devices import _adb
from devices._errors import DeviceError
from tests.fakes.adb_daemon import real_daemon
from tests.fakes.adb_device import FakeAdbDevice, connected

BAD_PATHS = [
    "relative",
    "",
    "/data/../etc/passwd",
    "/..",
    "/data/x\n",
    "/data/\x1b[31m",
    "/data/" + "x" * 1024,
    "/a\0b",
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_climbs_or_cannot_be_printed_is_refused_unasked(tmp_path: Path, path: str) -> None:
    with connected(FakeAdbDevice(tmp_path)) as (device, transport):
        with pytest.raises(DeviceError, match="is no path on a phone") as caught:
            transport.push(b"", path, timeout_s=5)
        with pytest.raises(DeviceError, match="is no path on a phone"):
            transport.pull(path, max_bytes=1, timeout_s=5)
        assert device.services == []
    assert "\n" not in str(caught.value)


def test_the_real_daemon_replaces_a_link_instead_of_following_it(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(b"alive")
    (tmp_path / "link").symlink_to(canary)
    with real_daemon("open", tmp_path) as daemon, _adb.connect(f"tcp:{daemon.address}") as transport:
        transport.push(b"pushed", f"{tmp_path}/link", timeout_s=10)
    assert canary.read_bytes() == b"alive"
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_bytes() == b"pushed"


def test_a_name_with_a_comma_is_not_taken_for_a_mode(tmp_path: Path) -> None:
    """A comma parts the name from the mode in ADB's protocol."""
    with real_daemon("open", tmp_path) as daemon, _adb.connect(f"tcp:{daemon.address}") as transport:
        transport.push(b"pushed", f"{tmp_path}/a,b,33261", mode=0o600, timeout_s=10)
    assert (tmp_path / "a,b,33261").stat().st_mode & 0o700 == 0o600
