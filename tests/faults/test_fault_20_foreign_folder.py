"""Fault 20: our folder on the phone is a link, a file, or another user's; each run has results of its own."""

import os
from pathlib import Path

import pytest

from devices._errors import DeviceError
from tests.fakes.played_phone import PlayedPhone


def ours(phone: PlayedPhone) -> Path:
    return phone.folder / "data/local/tmp/cars_hw"


def require_refused(phone: PlayedPhone, text: str) -> None:
    device = phone.device()
    uses = (
        lambda: device.push(b"model"),
        lambda: device.run(["true"], timeout_s=10),
        lambda: device.scratch().__enter__(),
        lambda: device.quiet(1).__enter__(),
    )
    for use in uses:
        with pytest.raises(DeviceError, match=text):
            use()


@pytest.mark.parametrize("target", ["elsewhere", "no-such-folder"])
def test_a_link_is_refused_and_nothing_is_written_through_it(phone: PlayedPhone, target: str) -> None:
    elsewhere = phone.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "fixed-performance").write_text("theirs")
    ours(phone).symlink_to(phone.folder / target)
    require_refused(phone, "is a link, through which we could overwrite other files; remove it")
    assert [path.name for path in elsewhere.iterdir()] == ["fixed-performance"]
    assert phone.read("cmd.log").count("set-fixed-performance-mode-enabled") == 0


def test_a_parent_that_is_a_link_is_refused(phone: PlayedPhone) -> None:
    parent = ours(phone).parent
    parent.rename(phone.folder / "moved")
    parent.symlink_to(phone.folder / "moved")
    require_refused(phone, "is a link")


def test_a_file_in_its_place_is_refused(phone: PlayedPhone) -> None:
    ours(phone).write_text("a file")
    require_refused(phone, "cannot be made; free space there")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_another_users_folder_is_refused_and_left_alone(phone: PlayedPhone) -> None:
    ours(phone).mkdir()
    (ours(phone) / "run-0").mkdir()
    os.chown(ours(phone), 2000, 2000)
    require_refused(phone, "belongs to another user; remove it")
    assert phone.ours() == ["run-0"]


def test_nobody_else_may_look_into_it(phone: PlayedPhone) -> None:
    ours(phone).mkdir(mode=0o777)
    with phone.device() as device:
        path = Path(device.push(b"model"))
        program = Path(device.push(b"program", executable=True))
    assert [f"{file.stat().st_mode & 0o777:o}" for file in (ours(phone), path, program)] == [
        "700",
        "600",
        "700",
    ]


def test_a_file_becomes_executable_when_it_is_asked_for_as_a_program(phone: PlayedPhone) -> None:
    with phone.device() as device:
        path = device.push(b"#!/bin/sh\n")
        assert device.push(b"#!/bin/sh\n", executable=True) == path
        assert device.run([path], timeout_s=10).exit_status == 0


def test_a_link_of_a_files_name_is_replaced_not_followed(phone: PlayedPhone) -> None:
    with phone.device() as device:
        path = Path(device.push(b"model"))
        path.unlink()
        (phone.folder / "theirs").write_text("model")
        path.symlink_to(phone.folder / "theirs")
        device.push(b"model")
    assert not path.is_symlink()


def test_each_run_has_a_fresh_folder_that_is_gone_afterwards(phone: PlayedPhone) -> None:
    with phone.device() as device:
        with device.scratch() as first, device.scratch() as second:
            assert first != second
            Path(first, "result").write_text("1")
            assert list(Path(second).iterdir()) == []
        assert phone.ours() == []
