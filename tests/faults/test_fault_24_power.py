"""Fault 24, the device's part: the battery runs low, or the charger is plugged in or out mid-run."""

from tests.fakes.played_phone import PlayedPhone


def test_a_battery_that_runs_low_makes_it_unready_until_it_is_charged(phone: PlayedPhone) -> None:
    phone.script = lambda phone: phone.charge(level=22 - round(phone.now_s) if phone.now_s < 5 else 30)
    found = []
    with phone.device() as device, device.quiet(1):
        for _ in range(5):
            device.pause(1.0)
            found.append(device.why_not_ready())
    assert found == [None, None, *["battery at 19 %, below 20: charge it first"], found[3], None]
    assert "battery at 18 %" in str(found[3])


def test_a_charger_plugged_in_mid_run_makes_it_unready_until_it_is_out_again(phone: PlayedPhone) -> None:
    phone.charge(usb=False)
    with phone.device() as device, device.quiet(1):
        assert device.why_not_ready() is None
        phone.charge(usb=True)
        assert "from battery alone to USB powered while measuring" in str(device.why_not_ready())
        phone.charge(usb=False)
        assert device.why_not_ready() is None


def test_a_phone_that_was_plugged_in_before_is_measured_so(phone: PlayedPhone) -> None:
    phone.charge(usb=False)
    device = phone.device()
    phone.charge(usb=True)
    assert device.why_not_ready() is None
    with device.quiet(1):
        assert device.why_not_ready() is None
        assert device.state().is_charging is True


def test_a_battery_that_heats_while_it_is_charged_is_a_sign_and_on_record(phone: PlayedPhone) -> None:
    phone.charge(tenths_c=361)
    device = phone.device()
    assert "battery at 36.1 °C, above 35" in str(device.signs_of_heat())
    assert device.why_not_ready() is None
    assert device.state().battery_c == 36.1
