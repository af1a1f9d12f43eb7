"""Fault 20: our folder on a board is a link, a file, or another user's; each run has results of its own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import devices
from devices._errors import DeviceError
from devices.ssh import Ssh
from tests.fakes.sshd import Sshd, sshd


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def device(server: Sshd) -> Iterator[Ssh]:
    with devices.connect("ssh:board") as device:
        assert isinstance(device, Ssh)
        yield device


@pytest.fixture
def ours(server: Sshd) -> Iterator[Path]:
    """Where our folder is made, which is not there yet."""
    yield server.board_folder
    if server.board_folder.is_dir() and not server.board_folder.is_symlink():
        shutil.rmtree(server.board_folder)
    else:
        server.board_folder.unlink(missing_ok=True)


def require_refused(device: Ssh, text: str) -> None:
    uses = (
        lambda: device.push(b"model"),
        lambda: device.run(["true"], timeout_s=10),
        lambda: device.converse(["true"]).__enter__(),
        lambda: device.scratch().__enter__(),
        lambda: device.quiet(1).__enter__(),
    )
    for use in uses:
        with pytest.raises(DeviceError, match=text):
            use()


@pytest.mark.parametrize("target", ["elsewhere", pytest.param("no-such-folder", marks=pytest.mark.slow)])
def test_a_link_is_refused_and_nothing_is_written_through_it(
    device: Ssh, ours: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    ours.symlink_to(tmp_path / target)
    require_refused(device, "is a link, through which we could overwrite other files; remove it")
    devices.connect("ssh:board").close()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_in_its_place_is_refused(device: Ssh, ours: Path) -> None:
    ours.write_text("a file")
    require_refused(device, r"cannot be made \(mkdir: .*File exists\); free space there, or mend its rights")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_another_users_folder_is_refused_and_left_alone(device: Ssh, ours: Path) -> None:
    (ours / "run-0").mkdir(parents=True)
    os.chown(ours, 2000, 2000)
    require_refused(device, "belongs to another user; remove it")
    devices.connect("ssh:board").close()
    assert [path.name for path in ours.iterdir()] == ["run-0"]


def test_nobody_else_may_look_into_it(device: Ssh, ours: Path) -> None:
    ours.mkdir(mode=0o777)
    path = Path(device.push(b"model"))
    program = Path(device.push(b"program", executable=True))
    modes = [f"{file.stat().st_mode & 0o777:o}" for file in (ours, path, program)]
    assert modes == ["700", "600", "700"]


def test_a_file_becomes_executable_when_it_is_asked_for_as_a_program(device: Ssh, ours: Path) -> None:
    path = device.push(b"#!/bin/sh\n")
    assert device.push(b"#!/bin/sh\n", executable=True) == path
    assert device.run([path], timeout_s=10).exit_status == 0
    assert ours.is_dir()


def test_a_link_of_a_files_name_is_replaced_not_followed(device: Ssh, ours: Path, tmp_path: Path) -> None:
    path = Path(device.push(b"model"))
    path.unlink()
    (tmp_path / "theirs").write_text("model")
    path.symlink_to(tmp_path / "theirs")
    device.push(b"model")
    assert ours.is_dir()
    assert not path.is_symlink()


def test_each_run_has_a_fresh_folder_that_is_gone_afterwards(device: Ssh, ours: Path) -> None:
    with device.scratch() as first, device.scratch() as second:
        assert first != second
        Path(first, "result").write_text("1")
        assert list(Path(second).iterdir()) == []
    assert list(ours.iterdir()) == []
