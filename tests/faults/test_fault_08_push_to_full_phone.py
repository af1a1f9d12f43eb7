"""Fault 8, the transport's part: a phone that is full. The message says so, and no part of a file stays."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices import _adb
from devices._errors import DeviceError
from tests.fakes.adb_daemon import real_daemon, wait_until_gone
from tests.fakes.adb_device import FakeAdbDevice, Faults, connected


def test_a_full_phone_says_so_and_keeps_no_part_of_the_file(tmp_path: Path) -> None:
    with connected(FakeAdbDevice(tmp_path, faults=Faults(disk_bytes=200_000))) as (_device, transport):
        with pytest.raises(
            DeviceError, match=r"does not write .*/model: .*No space left.*; free space there"
        ):
            transport.push(os.urandom(3_000_000), f"{tmp_path}/model", timeout_s=10)
        assert not (tmp_path / "model").exists()
        transport.push(b"small", f"{tmp_path}/model", timeout_s=10)
        assert transport.pull(f"{tmp_path}/model", max_bytes=10, timeout_s=10) == b"small"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_real_daemon_on_a_really_full_disk(small_disk: Path, tmp_path: Path) -> None:
    with real_daemon("open", tmp_path) as daemon, _adb.connect(f"tcp:{daemon.address}") as transport:
        with pytest.raises(DeviceError, match=r"No space left.*; free space there"):
            transport.push(os.urandom(3_000_000), f"{small_disk}/model", timeout_s=10)
        wait_until_gone(small_disk / "model")
        transport.push(b"small", f"{small_disk}/model", timeout_s=10)
