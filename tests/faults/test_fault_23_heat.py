"""Fault 23, the device's part: heat, throttling and falling clocks are told, at once and by name."""

from tests.fakes.played_phone import PlayedPhone


def test_each_stage_of_a_heat_up_is_a_sign_of_heat_until_the_phone_has_cooled(phone: PlayedPhone) -> None:
    def run_hot(phone: PlayedPhone) -> None:
        skin_c = 30.0 + phone.now_s / 6 if phone.now_s <= 90 else 45.0 - (phone.now_s - 90) / 10
        phone.heat(
            status=2 if 60 <= phone.now_s <= 120 else 0,
            skin_c=f"{skin_c:.1f}",
            cooling=4 if 50 <= phone.now_s <= 130 else 0,
        )

    phone.script = run_hot
    found = {}
    with phone.device() as device, device.quiet(1):
        for _ in range(20):
            device.pause(10.0)
            assert device.why_not_ready() is None
            found[phone.now_s] = device.signs_of_heat()
    assert [found[now_s] for now_s in (10, 40)] == [None, None]
    assert str(found[50]).startswith("thermal-cpufreq-2 slows the phone down")
    assert str(found[60]).startswith("thermal status 2 (moderate)")
    assert str(found[130]).startswith("thermal-cpufreq-2")
    assert str(found[140]).startswith("skin at 40.0 °C")
    assert [found[now_s] for now_s in (170, 200)] == [None, None]


def test_throttling_is_in_the_state_that_goes_on_record(phone: PlayedPhone) -> None:
    device = phone.device()
    phone.heat(status=3, skin_c="47.5", cooling=2)
    state = device.state()
    assert (state.thermal_status, state.skin_c, state.cooling) == (3, 47.5, ("thermal-cpufreq-2",))


def test_a_clock_that_fell_meanwhile_shows_in_the_mean(phone: PlayedPhone) -> None:
    device = phone.device()
    before = device.state()
    phone.write("sys/devices/system/cpu/cpu6/cpufreq/stats/time_in_state", "500000 1900\n2802000 3100\n")
    mean_clock_mhz = device.state().mean_clock_mhz(before)
    assert mean_clock_mhz is not None
    assert mean_clock_mhz < 0.3 * 2802.0
