"""The processors of this machine, with recorded /proc and /sys below a folder, and really pinned."""

import os
import platform
from collections.abc import Callable, Mapping
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


def test_a_kernel_update_leaves_a_machine_the_same_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither memory, nor microcode, nor the host's name are compared; what is offline is not there."""
    write(tmp_path / "proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC\nmicrocode\t: 0x1\n")
    write(tmp_path / "etc/machine-id", "a" * 32)
    before = Cpu(root=tmp_path).info()
    write(tmp_path / "proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC\nmicrocode\t: 0x2\n")
    write(tmp_path / "proc/meminfo", "MemTotal: 1 kB\n")
    monkeypatch.setattr(platform, "node", lambda: "another-name")
    assert Cpu(root=tmp_path).info() == before
    monkeypatch.setattr(platform, "release", lambda: "6.99.1")
    now = Cpu(root=tmp_path).info()
    assert before.includes(now)
    assert now.conditions() == {"kernel": f"{platform.system()} 6.99.1"}
    assert before.conditions() != now.conditions()
    monkeypatch.setattr(os, "cpu_count", lambda: before.cores + 1)
    assert not before.includes(Cpu(root=tmp_path).info())


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
def test_quiet_pins_to_the_highest_processors(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    device = Cpu(root=tmp_path)
    with device.quiet(1):
        assert os.sched_getaffinity(0) == {max(before)}
        assert device.state().affinity == (max(before),)
    assert os.sched_getaffinity(0) == before


def hybrid(root: Path, n: int, facts: Callable[[int], Mapping[str, str]]) -> None:
    """Play processors 0 to n - 1, with ``facts(i)`` as the files of each."""
    for i in range(n):
        for name, text in facts(i).items():
            write(root / f"sys/devices/system/cpu/cpu{i}/{name}", text)


def p_and_e(i: int) -> dict[str, str]:
    """Twelve fast threads, of which two are favoured, and eight slow ones."""
    return {"cpufreq/cpuinfo_max_freq": f"{5000000 if i < 2 else 4700000 if i < 12 else 3800000}\n"}


def capacities(i: int) -> dict[str, str]:
    return {"cpu_capacity": "1024\n" if i < 2 else "990\n" if i < 12 else "560\n"}


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Twenty processors that a process may use, and what it is pinned to."""
    found: list[list[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(20)), raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cpus: found.append(sorted(cpus)), raising=False)
    return found


@pytest.mark.parametrize("facts", [p_and_e, capacities, lambda i: p_and_e(i) | capacities(i)])
def test_a_hybrid_machine_is_measured_on_its_fast_cores_and_says_so(
    tmp_path: Path, pinned: list[list[int]], facts: Callable[[int], Mapping[str, str]]
) -> None:
    hybrid(tmp_path, 20, facts)
    device = Cpu(root=tmp_path)
    with device.quiet(12):
        assert pinned == [list(range(12))]
    with device.quiet(1):
        assert pinned[2] == [11]
    assert device.info().platform.endswith("; fast cores 0-11")
    with (
        pytest.raises(DeviceError, match=r"13 threads do not fit .* or name more processors"),
        device.quiet(13),
    ):
        pass


def test_intels_lists_of_cores_come_first_whatever_the_clocks(
    tmp_path: Path, pinned: list[list[int]]
) -> None:
    hybrid(tmp_path, 20, lambda _: {"cpufreq/cpuinfo_max_freq": "5000000\n"})
    for name, cpus in (("cpu_core", "8-19"), ("cpu_atom", "0-5"), ("cpu_lowpower", "6-7")):
        write(tmp_path / f"sys/devices/{name}/cpus", f"{cpus}\n")
    with Cpu(root=tmp_path).quiet(12):
        assert pinned == [list(range(8, 20))]
    assert Cpu([6], root=tmp_path).info().platform.endswith("; slow cores 6-7")
    assert Cpu([0], root=tmp_path).info().platform.endswith("; middle cores 0-5")


@pytest.mark.parametrize(
    ("name", "cpus", "fast"),
    [("cpu_atom", "0-7", "8-19"), ("cpu_core", "0-11", "0-11"), ("cpu_atom", "0-19", "")],
)
def test_one_of_intels_lists_alone_tells_the_other_kind_too(
    tmp_path: Path, pinned: list[list[int]], name: str, cpus: str, fast: str
) -> None:
    hybrid(tmp_path, 20, lambda _: {"topology/core_id": "0\n"})
    write(tmp_path / f"sys/devices/{name}/cpus", f"{cpus}\n")
    assert Cpu(root=tmp_path).info().platform.partition("; ")[2] == (f"fast cores {fast}" if fast else "")


def test_cores_that_an_address_names_are_used_and_their_kind_is_said(
    tmp_path: Path, pinned: list[list[int]]
) -> None:
    hybrid(tmp_path, 20, p_and_e)
    with Cpu([13, 14], root=tmp_path).quiet(2):
        assert pinned == [[13, 14]]
    assert Cpu([13], root=tmp_path).info().platform.endswith("; slow cores 12-19")
    assert Cpu([3], root=tmp_path).info() == Cpu(root=tmp_path).info()
    assert Cpu([11, 12], root=tmp_path).info().platform.endswith("; cores 11-12 of several kinds")


def test_of_the_cores_that_an_address_names_the_fast_ones_are_taken_first(
    tmp_path: Path, pinned: list[list[int]]
) -> None:
    hybrid(tmp_path, 20, p_and_e)
    device = Cpu([2, 3, 13, 14], root=tmp_path)
    for threads in (1, 2, 3):
        with device.quiet(threads):
            assert sorted(pinned[-1]) == [[3], [2, 3], [2, 3, 14]][threads - 1]


def test_a_process_confined_to_slow_cores_uses_those_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hybrid(tmp_path, 20, p_and_e)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {14, 15}, raising=False)
    device = Cpu(root=tmp_path)
    assert device.info().platform.endswith("; slow cores 12-19")
    with pytest.raises(DeviceError, match=r"processors to use \(14, 15\)"), device.quiet(3):
        pass


def test_large_cores_of_an_arm_board_are_told_by_their_part(tmp_path: Path, pinned: list[list[int]]) -> None:
    hybrid(tmp_path, 20, lambda _: {"cpufreq/cpuinfo_max_freq": "1800000\n"})
    blocks = [
        f"processor\t: {i}\nCPU implementer\t: 0x41\nCPU part\t: {'0xd05' if i < 4 else '0xd0b'}\n"
        for i in range(20)
    ]
    write(tmp_path / "proc/cpuinfo", "\n".join(blocks))
    with Cpu(root=tmp_path).quiet(16):
        assert pinned == [list(range(4, 20))]


@pytest.mark.parametrize("mhz", [lambda i: 4000, lambda i: 5050 - 25 * i, lambda i: 4800 if i < 2 else 4500])
def test_a_machine_with_favoured_cores_is_no_hybrid_one(
    tmp_path: Path, pinned: list[list[int]], mhz: Callable[[int], int]
) -> None:
    hybrid(tmp_path, 20, lambda i: {"cpufreq/cpuinfo_max_freq": f"{1000 * mhz(i)}\n"})
    device = Cpu(root=tmp_path)
    with device.quiet(20):
        assert pinned == [list(range(20))]
    assert ";" not in device.info().platform


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
