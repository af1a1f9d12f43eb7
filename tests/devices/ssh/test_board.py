"""A Raspberry Pi 5, played: identity, cores, state, quiet; see tests/fakes/played_board.py."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import devices
from devices._errors import DeviceError, DeviceLostError
from devices.foundation.errors import CarsHwError
from tests.fakes.played_board import SERIAL, KeptConnection, PlayedBoard
from tests.fakes.sshd import Sshd

two_processors = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")


@pytest.fixture
def played(shared_sshd: Sshd, kept: KeptConnection) -> Iterator[PlayedBoard]:
    board = PlayedBoard(shared_sshd, kept)
    yield board
    board.remove()


@two_processors
def test_its_identity_names_the_board_and_the_cores_that_are_measured(played: PlayedBoard) -> None:
    with played.device("big") as device:
        info = device.info()
    fast = played.processors[1:]
    assert (info.kind, info.model) == ("ssh", "Raspberry Pi 5 Model B Rev 1.0")
    assert (info.cores, info.os_build) == (len(played.processors), "Debian GNU/Linux 12 (bookworm)")
    assert info.platform.startswith(f"brcm,bcm2712; big cores {fast[0]}")
    assert info.kernel.startswith("Linux ")
    assert info.abi == {"x86_64": "x86_64", "aarch64": "aarch64"}.get(os.uname().machine, "")
    assert info.serial_hash
    assert SERIAL not in repr(info)


@two_processors
def test_clusters_are_told_apart_by_their_capacity(played: PlayedBoard) -> None:
    with played.device("little") as device:
        assert device.state().affinity == tuple(played.processors[:1])
        allowed = device.run(["grep", "Cpus_allowed_list", "/proc/self/status"], timeout_s=10).stdout
        assert allowed.split()[1].decode() == str(played.processors[0])
        with device.converse(["grep", "Cpus_allowed_list", "/proc/self/status"]) as program:
            assert program.read(100, timeout_s=10).split()[1].decode() == str(played.processors[0])
    with played.device("big") as device:
        assert device.state().affinity == tuple(played.processors[1:])
    with pytest.raises(DeviceError, match=r"this board has no mid cores; ask for .*big, little or all"):
        played.device("mid")


def test_state_is_what_the_board_tells(played: PlayedBoard) -> None:
    played.heat(milli_c=61_000, cooling=2)
    played.program("vcgencmd", "echo throttled=0x50004")
    with played.device() as device:
        state = device.state()
    assert (state.clock_mhz, state.governor, state.is_clock_fixed) == (1500.0, "ondemand", False)
    assert state.residency_s == ((1500.0, 10.0), (2400.0, 30.0))
    assert (state.temperature_c, state.cooling, state.throttling) == (
        61.0,
        ("cpufreq-cpu0",),
        ("throttling",),
    )
    assert (state.load, state.steal_s) == (1.25, 250 / os.sysconf("SC_CLK_TCK"))
    assert (state.affinity, state.threads) == (tuple(played.processors), None)


def test_a_system_that_tells_nothing_can_be_measured_on_as_one_cluster(played: PlayedBoard) -> None:
    played.remove()
    with played.device() as device:
        assert device.info().model == "unknown board"
        assert device.info().platform.endswith("of unknown kinds, no cpufreq")
        with device.quiet(1):
            state = device.state()
        assert (state.clock_mhz, state.temperature_c, state.load, state.residency_s) == (None, None, None, ())
        assert device.why_not_ready() is None
        assert device.signs_of_heat() is None


def test_quiet_holds_the_governor_and_gives_it_back_after_an_error_too(played: PlayedBoard) -> None:
    before = played.governors()

    def measure() -> None:
        with device.quiet(1):
            assert set(played.governors()) == {"performance"}
            assert (device.state().is_clock_fixed, device.state().threads) == (True, 1)
            raise KeyboardInterrupt

    with played.device() as device:
        with pytest.raises(KeyboardInterrupt):
            measure()
        assert played.governors() == before
        assert device.state().is_clock_fixed is False
    assert not [name for name in played.ours() if name.endswith(".governors")]


def test_a_governor_that_cannot_be_chosen_is_left_alone(played: PlayedBoard) -> None:
    first = f"sys/devices/system/cpu/cpu{played.processors[0]}/cpufreq/scaling_available_governors"
    played.write(first, "ondemand schedutil\n")
    with played.device() as device, device.quiet(1):
        assert set(played.governors()) == {"ondemand"}
        assert device.state().is_clock_fixed is False


def test_the_next_connection_gives_back_a_governor_that_a_crash_left(played: PlayedBoard) -> None:
    with played.device() as crashed, crashed.quiet(1):
        [record] = [name for name in played.ours() if name.endswith(".governors")]
        content = (played.sshd.board_folder / record).read_text()
    played.hold("performance")
    (played.sshd.board_folder / record).write_text(content)
    played.device().close()
    assert set(played.governors()) == {"ondemand"}


def test_a_damaged_record_of_governors_changes_nothing_and_is_removed(played: PlayedBoard) -> None:
    with played.device() as device, device.quiet(1):
        [record] = [name for name in played.ours() if name.endswith(".governors")]
    played.hold("performance")
    here = device.boot_id()
    for text in ("", "\n", "another boot\n0 ondemand\n", f"{here}\n0; touch X\n", f"{here}\n$(id) x\n"):
        (played.sshd.board_folder / record).write_text(text)
        played.device().close()
        assert set(played.governors()) == {"performance"}
        assert record not in played.ours()


def test_what_another_machine_left_is_left_to_it(played: PlayedBoard) -> None:
    with played.device(machine="another") as other, other.scratch() as folder:
        played.device().close()
        assert Path(folder).is_dir()


def test_a_weak_supply_and_a_slow_governor_hold_measuring_up(played: PlayedBoard) -> None:
    with played.device() as device:
        assert device.why_not_ready() is None
        played.program("vcgencmd", "echo throttled=0x50005")
        assert str(device.why_not_ready()).startswith("under-voltage")
        played.program("vcgencmd", "echo throttled=0x50000")
        played.hold("powersave")
        assert str(device.why_not_ready()).startswith("the governor powersave holds clocks low")


def test_heat_explains_and_what_came_and_went_while_measuring_is_said(played: PlayedBoard) -> None:
    with played.device() as device, device.quiet(1):
        assert device.signs_of_heat() is None
        played.heat(milli_c=85_000, cooling=1)
        assert str(device.signs_of_heat()).startswith("cpufreq-cpu0 slows the board down")
        played.heat()
        played.program("vcgencmd", "echo throttled=0x40000")
        assert str(device.signs_of_heat()).startswith("throttling came and went while measuring")
        assert device.why_not_ready() is None


def test_the_firmwares_file_is_read_where_there_is_no_vcgencmd(played: PlayedBoard) -> None:
    played.program("vcgencmd", "exit 1")
    played.write("sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "1\n")
    with played.device() as device:
        assert device.state().throttling == ("under-voltage",)


def test_a_jetson_is_asked_through_tegrastats(played: PlayedBoard) -> None:
    line = "RAM 1/2MB (lfb 1x4MB) CPU [1%@729] cpu@93.5C tj@94.25C VDD_IN 1mW/1mW"
    played.program("tegrastats", f"while :; do echo '{line}'; sleep 0.1; done")
    with played.device() as device:
        assert str(device.signs_of_heat()).startswith("tj at 94.2 °C, above 90")


def test_two_sessions_do_not_measure_on_one_board_at_once(played: PlayedBoard) -> None:
    with played.device() as device, played.device() as second:
        with (
            device.quiet(1),
            pytest.raises(DeviceError, match="another process measures on this board now; wait"),
            second.quiet(1),
        ):
            pass
        with second.quiet(1):
            pass


def test_connecting_to_look_does_not_disturb_who_measures(played: PlayedBoard) -> None:
    with (
        played.device() as device,
        device.quiet(1),
        device.scratch() as folder,
        device.converse(["cat"]) as one,
    ):
        played.device().close()
        one.write(b"still here\n")
        assert one.read(100, timeout_s=10) == b"still here\n"
        assert set(played.governors()) == {"performance"}
        assert Path(folder).is_dir()


@pytest.mark.parametrize("threads", [0, 3000])
def test_more_threads_than_cores_are_refused_with_the_remedy(played: PlayedBoard, threads: int) -> None:
    with (
        played.device() as device,
        pytest.raises(DeviceError, match=r"threads do not fit on the all cores .*; ask for 1 to"),
        device.quiet(threads),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "is no host; write ssh:HOST or ssh:USER@HOST"),
        ("-oProxyCommand=touch X", "is no host"),
        ("a b", "is no host"),
        ("@board", "is no host"),
        ("board?cores=huge", "'huge' does not choose cores; write \\?cores="),
        ("board?core=big", "names nothing to choose"),
        ("board?", "names nothing to choose"),
        ("board?cores=big&cores=all", "names nothing to choose"),
        ("board?python=", "is no Python; write \\?python="),
        ("board?python=-c", "is no Python"),
        ("board?python=~/bin/python", "is no Python; write \\?python= and the whole path"),
    ],
)
def test_an_impossible_address_is_refused_before_anything_is_started(address: str, said: str) -> None:
    with pytest.raises(CarsHwError, match=said):
        devices.connect(f"ssh:{address}")


def test_an_address_names_the_python_of_programs(shared_sshd: Sshd) -> None:
    with devices.connect("ssh:board?python=/opt/v%20e/c++/python&cores=all") as device:
        assert isinstance(device, devices.RemoteHost)
        assert device.python() == "/opt/v e/c++/python"


def test_boards_are_named_never_looked_for() -> None:
    assert devices.addresses("ssh") == []


def test_a_board_that_restarted_is_lost(played: PlayedBoard) -> None:
    with played.device() as device:
        played.restart()
        with pytest.raises(DeviceLostError, match="the board restarted; connect again"):
            device.state()
