"""What every device promises, on those that can be reached here."""

import os

import pytest

import devices
from devices._device import Device, HostDevice
from devices._errors import DeviceError
from devices.foundation.errors import CarsHwError
from tests.fakes.played_phone import PlayedPhone

#: A phone that is plugged in is tested on only where ``ANDROID_SERIAL`` offers it; a played one always.
PHONE = pytest.param("android", marks=pytest.mark.phone)
LOCAL = [name for name in devices.names() if name != "android"]


@pytest.fixture(params=[*LOCAL, PHONE, "android, played"])
def device(request: pytest.FixtureRequest, phone: PlayedPhone) -> Device:
    if request.param == "android, played":
        return phone.device()
    if request.param == "android" and "ANDROID_SERIAL" not in os.environ:
        pytest.skip("android: no phone is offered by ANDROID_SERIAL")
    try:
        return devices.connect(str(request.param))
    except DeviceError as error:
        pytest.skip(f"{request.param}: {error}")


def test_its_kind_is_the_name_of_its_file(device: Device) -> None:
    assert device.info().kind == type(device).__module__.rpartition(".")[2]


def test_its_identity_is_complete_and_does_not_change(device: Device) -> None:
    info = device.info()
    assert info.model
    assert info.platform
    assert info.os_build
    assert info.cores >= 1
    assert info == device.info()


def test_its_state_has_plausible_values_or_none(device: Device) -> None:
    state = device.state()
    for value in (state.clock_mhz, state.load, state.steal_s):
        assert value is None or value >= 0
    assert state.temperature_c is None or -40 < state.temperature_c < 150
    assert all(processor >= 0 for processor in state.affinity)


def test_quiet_restores_what_it_changed_even_after_an_error(device: Device) -> None:
    before = device.state()
    with pytest.raises(KeyboardInterrupt), device.quiet(1):
        raise KeyboardInterrupt
    after = device.state()
    assert (after.affinity, after.governor) == (before.affinity, before.governor)
    assert after.threads is None


def test_quiet_can_be_entered_again(device: Device) -> None:
    for _ in range(2):
        with device.quiet(1):
            assert device.state().threads == 1


@pytest.mark.parametrize("threads", [0, 100_000])
def test_threads_that_it_cannot_run_are_refused(device: Device, threads: int) -> None:
    with pytest.raises(DeviceError), device.quiet(threads):
        pass


@pytest.mark.parametrize("name", devices.names())
@pytest.mark.parametrize("address", ["no such device", "$(reboot)", "\n", "../../etc", "é" * 5000])
def test_an_impossible_address_is_refused_with_a_message_of_one_line(name: str, address: str) -> None:
    with pytest.raises(CarsHwError) as caught:
        devices.connect(f"{name}:{address}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_closing_twice_is_allowed(device: Device) -> None:
    with device:
        pass
    device.close()


def test_a_host_clock_never_goes_back(device: Device) -> None:
    if not isinstance(device, HostDevice):
        pytest.skip("its clock is not read from here")
    times_s = [device.clock_s() for _ in range(1000)]
    device.synchronize()
    times_s.append(device.clock_s())
    assert times_s == sorted(times_s)
