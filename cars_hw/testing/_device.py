"""What every device promises."""

from collections.abc import Iterator

import pytest

import devices
from devices import Device, DeviceError, HostDevice
from devices.foundation import CarsHwError, plugin_name


class DeviceContract:
    """Tests of a device that can be reached here.

        class TestMyBoard(DeviceContract):
            name = "my_lab.board"

            def device(self) -> Device:
                return devices.connect("my_lab.board:192.168.7.2")

    Attributes:
        name: The plug-in's.
    """

    name: str

    def device(self) -> Device:
        """Connect to the device that is tested on; here, to the default one of its kind."""
        return devices.connect(self.name)

    @pytest.fixture
    def connected(self) -> Iterator[Device]:
        """The device, for one test."""
        with self.device() as device:
            yield device

    def test_its_kind_is_the_name_of_its_file(self, connected: Device) -> None:
        assert connected.info().kind == plugin_name(type(connected)) == self.name

    def test_its_identity_is_complete_and_does_not_change(self, connected: Device) -> None:
        info = connected.info()
        assert info.model
        assert info.platform
        assert info.os_build
        assert info.cores >= 1
        assert info == connected.info()

    def test_its_state_has_plausible_values_or_none(self, connected: Device) -> None:
        state = connected.state()
        for value in (state.clock_mhz, state.load, state.steal_s):
            assert value is None or value >= 0
        assert state.temperature_c is None or -40 < state.temperature_c < 150
        assert all(processor >= 0 for processor in state.affinity)

    def test_quiet_restores_what_it_changed_even_after_an_error(self, connected: Device) -> None:
        before = connected.state()
        with pytest.raises(KeyboardInterrupt), connected.quiet(1):
            raise KeyboardInterrupt
        after = connected.state()
        assert (after.affinity, after.governor) == (before.affinity, before.governor)
        assert after.threads is None

    def test_quiet_can_be_entered_again(self, connected: Device) -> None:
        for _ in range(2):
            with connected.quiet(1):
                assert connected.state().threads == 1

    @pytest.mark.parametrize("threads", [0, 100_000])
    def test_threads_that_it_cannot_run_are_refused(self, connected: Device, threads: int) -> None:
        with pytest.raises(DeviceError), connected.quiet(threads):
            pass

    @pytest.mark.parametrize("address", ["no such device", "$(reboot)", "\n", "../../etc", "é" * 5000])
    def test_an_impossible_address_is_refused_with_a_message_of_one_line(self, address: str) -> None:
        with pytest.raises(CarsHwError) as caught:
            devices.connect(f"{self.name}:{address}")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500

    def test_closing_twice_is_allowed(self, connected: Device) -> None:
        with connected:
            pass
        connected.close()

    def test_a_host_clock_never_goes_back(self, connected: Device) -> None:
        if not isinstance(connected, HostDevice):
            pytest.skip("its clock is not read from here")
        times_s = [connected.clock_s() for _ in range(1000)]
        connected.synchronize()
        times_s.append(connected.clock_s())
        assert times_s == sorted(times_s)
