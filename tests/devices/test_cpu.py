"""The processors of this machine, with recorded /proc and /sys below a folder, and really pinned."""

import os
from pathlib import Path

import pytest

from devices._errors import DeviceError
from devices.cpu import Cpu

needs_pinning = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def first() -> int:
    return min(os.sched_getaffinity(0))


def test_info_names_the_processor_and_hides_the_machine_id(tmp_path: Path) -> None:
    write(tmp_path / "proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC\n")
    write(tmp_path / "etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    info = Cpu(root=tmp_path).info()
    assert (info.kind, info.model, info.cores) == ("cpu", "AMD EPYC", os.cpu_count())
    assert info.serial_hash
    assert info.serial_hash not in "3d1219c7c4c5404aaa1f6d2a48adfda4"


def test_machines_differ_by_their_id_alone(tmp_path: Path) -> None:
    write(tmp_path / "a/etc/machine-id", "a" * 32)
    write(tmp_path / "b/etc/machine-id", "b" * 32)
    a, b = Cpu(root=tmp_path / "a").info(), Cpu(root=tmp_path / "b").info()
    assert a != b
    assert a == Cpu(root=tmp_path / "a").info()


def test_a_system_without_proc_still_has_an_identity_and_a_state(tmp_path: Path) -> None:
    device = Cpu(root=tmp_path)
    info, state = device.info(), device.state()
    assert info.model
    assert info.serial_hash == ""
    assert (state.clock_mhz, state.governor, state.temperature_c, state.steal_s) == (None,) * 4


@needs_pinning
def test_state_reads_what_the_kernel_tells(tmp_path: Path) -> None:
    scaling = tmp_path / f"sys/devices/system/cpu/cpu{first()}/cpufreq"
    write(scaling / "scaling_cur_freq", "2650000\n")
    write(scaling / "scaling_governor", "performance\n")
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", "41000\n")
    write(tmp_path / "sys/class/thermal/thermal_zone1/temp", "48500\n")
    write(tmp_path / "proc/stat", f"cpu  1 2 3 4 5 6 7 {3 * os.sysconf('SC_CLK_TCK')} 0 0\n")
    state = Cpu(root=tmp_path).state()
    assert (state.clock_mhz, state.governor, state.temperature_c) == (2650.0, "performance", 48.5)
    assert state.steal_s == 3.0
    assert state.affinity == tuple(sorted(os.sched_getaffinity(0)))


@needs_pinning
def test_without_cpufreq_the_clock_is_that_of_cpuinfo(tmp_path: Path) -> None:
    write(tmp_path / "proc/cpuinfo", f"processor\t: {first()}\ncpu MHz\t\t: 1996.248\n")
    assert Cpu(root=tmp_path).state().clock_mhz == 1996.248


@needs_pinning
def test_quiet_pins_to_the_highest_processors() -> None:
    before = os.sched_getaffinity(0)
    device = Cpu.connect("")
    with device.quiet(1):
        assert os.sched_getaffinity(0) == {max(before)}
        assert device.state().affinity == (max(before),)
    assert os.sched_getaffinity(0) == before


@needs_pinning
def test_an_error_does_not_leave_the_process_pinned() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(KeyboardInterrupt), Cpu.connect("").quiet(1):
        raise KeyboardInterrupt
    assert os.sched_getaffinity(0) == before


def test_state_tells_the_threads_that_it_is_held_quiet_for() -> None:
    device = Cpu.connect("")
    assert device.state().threads is None
    with device.quiet(1):
        assert device.state().threads == 1
    assert device.state().threads is None


@needs_pinning
def test_the_address_chooses_the_processors() -> None:
    with Cpu.connect(str(first())).quiet(1):
        assert os.sched_getaffinity(0) == {first()}


@needs_pinning
def test_more_threads_than_processors_are_refused_with_the_remedy() -> None:
    device = Cpu.connect(str(first()))
    with pytest.raises(DeviceError, match="ask for 1 to 1 threads, or name more processors"), device.quiet(2):
        pass
    with pytest.raises(DeviceError, match="0 threads"), device.quiet(0):
        pass


@pytest.mark.parametrize("address", ["one", "1,", "-1", "0-1", "²", "1\n", "9" * 5000])
def test_an_address_that_is_no_list_of_processors_is_refused(address: str) -> None:
    with pytest.raises(DeviceError, match="no list of processors"):
        Cpu.connect(address)


def test_a_processor_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match="processor 99999; choose among"):
        Cpu.connect("99999")


def test_the_clock_goes_forward() -> None:
    device = Cpu.connect("")
    start_s = device.clock_s()
    device.synchronize()
    assert device.clock_s() >= start_s
