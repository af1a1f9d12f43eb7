"""Fault 7: the phone restarts while it is measured on."""

import pytest

from devices._errors import DeviceLostError
from tests.fakes.played_phone import PlayedPhone


def test_a_restart_is_noticed_by_the_next_question(phone: PlayedPhone) -> None:
    device = phone.device()
    phone.restart()
    for ask in (device.state, device.why_not_ready):
        with pytest.raises(
            DeviceLostError, match="restarted; connect again, what was measured before is kept"
        ):
            ask()


def test_no_program_is_started_on_a_phone_that_restarted(phone: PlayedPhone) -> None:
    device = phone.device()
    phone.restart()
    with pytest.raises(DeviceLostError, match="restarted"):
        device.run(["touch", f"{phone.root}/started"], timeout_s=10)
    assert not (phone.folder / "started").exists()
    assert phone.ours() == []


def test_after_connecting_again_it_is_measured_on_as_before(phone: PlayedPhone) -> None:
    before = phone.device().info()
    phone.restart()
    with phone.device() as device:
        assert device.info() == before
        assert device.run(["true"], timeout_s=10).exit_status == 0


def test_a_restart_while_quiet_leaves_no_marker_behind(phone: PlayedPhone) -> None:
    device = phone.device()
    with device.quiet(1):
        phone.restart()
    phone.device().close()
    assert phone.ours() == []
