"""An Android phone, played: identity, cores, state, quiet; see tests/fakes/played_phone.py."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import devices
from devices._device import DeviceState
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices.android import Android
from devices.foundation.errors import CarsHwError
from tests.fakes.adb_server import FakeAdbServer
from tests.fakes.played_phone import SERIAL, PlayedPhone, PlayedTransport


@pytest.fixture
def device(phone: PlayedPhone) -> Iterator[Android]:
    with phone.device() as device:
        yield device


def test_its_identity_names_the_phone_and_the_cores_that_are_measured(device: Android) -> None:
    info = device.info()
    assert (info.kind, info.model, info.cores) == ("android", "Google Pixel 6", 8)
    assert info.platform == "Google Tensor; big cores 6-7"
    assert info.os_build.startswith("Android 13 (google/oriole/oriole:13")


def _tells(phone: PlayedPhone, kernel: str, *properties: str) -> None:
    """Let the phone tell its kernel, and these of its properties beside or in place of its own."""
    uname = phone.programs / "uname"
    uname.write_text(f"#!/bin/sh\necho Linux {kernel}\n")
    uname.chmod(0o755)
    names = [line.partition("]")[0] for line in properties]
    own = [line for line in phone.read("getprop").splitlines() if line.partition("]")[0] not in names]
    phone.write("getprop", "\n".join([*own, *properties]) + "\n")


_FINGERPRINT = "[ro.build.fingerprint]: [google/oriole/oriole:14/UP1A.231005/1:user/release-keys]"
_VENDOR = "[ro.vendor.build.fingerprint]: [google/oriole/oriole:14/UP1A.231005/2:user/release-keys]"
_PATCH = "[ro.build.version.security_patch]: [2023-10-05]"


@pytest.mark.parametrize(
    ("kernel", "properties", "words"),
    [
        ("5.10.157", [], set()),
        ("5.10.157", ["[net.hostname]: [another-name]"], set()),
        ("5.10.198", [], {"kernel"}),
        ("5.10.157", [_PATCH], {"security_patch"}),
        ("5.10.157", [_VENDOR], {"vendor_build"}),
        ("5.10.198", [_FINGERPRINT, _PATCH], {"kernel", "build", "security_patch"}),
    ],
)
def test_an_update_over_the_air_leaves_a_phone_the_same_device_under_other_conditions(
    phone: PlayedPhone, kernel: str, properties: list[str], words: set[str]
) -> None:
    told = ("[ro.build.version.security_patch]: [2023-09-01]", "[ro.vendor.build.fingerprint]: [google/1]")
    _tells(phone, "5.10.157", "[ro.product.cpu.abi]: [arm64-v8a]", *told)
    before = phone.device().info()
    assert (before.abi, before.kernel) == ("arm64-v8a", "Linux 5.10.157")
    _tells(phone, kernel, *properties)
    now = phone.device().info()
    assert before.includes(now)
    then, today = before.conditions(), now.conditions()
    assert {name for name in then if then[name] != today[name]} == words


def test_a_userland_of_another_width_is_another_device(phone: PlayedPhone) -> None:
    _tells(phone, "5.10.157", "[ro.product.cpu.abi]: [arm64-v8a]")
    before = phone.device().info()
    _tells(phone, "5.10.157", "[ro.product.cpu.abi]: [armeabi-v7a]")
    assert not before.includes(phone.device().info())


@pytest.mark.parametrize(
    ("cores", "processors"), [("big", (6, 7)), ("mid", (4, 5)), ("little", (0, 1, 2, 3)), ("all", range(8))]
)
def test_programs_run_on_the_cores_that_were_asked_for(
    phone: PlayedPhone, cores: str, processors: tuple[int, ...]
) -> None:
    device = phone.device(cores)
    assert device.state().affinity == tuple(processors)
    assert device.run(["true"], timeout_s=10).exit_status == 0


def test_two_clusters_of_one_phone_are_two_identities(phone: PlayedPhone) -> None:
    assert phone.device("big").info() != phone.device("little").info()
    assert phone.device("big").info() == phone.device("big").info()


@pytest.mark.parametrize("tells", ["capacity", "part"])
def test_big_and_little_cores_of_one_maximum_clock_are_told_apart(tmp_path: Path, tells: str) -> None:
    phone = PlayedPhone(tmp_path / "phone", clusters={1989000: range(8)})
    for i in range(8):
        cpu = f"sys/devices/system/cpu/cpu{i}"
        phone.write(f"{cpu}/cpufreq/related_cpus", "0 1 2 3\n" if i < 4 else "4 5 6 7\n")
        if tells == "capacity":
            phone.write(f"{cpu}/cpu_capacity", "462\n" if i < 4 else "1024\n")
    if tells == "part":
        blocks = [
            f"processor\t: {i}\nCPU implementer\t: 0x41\nCPU part\t: 0xd0{3 if i < 4 else 9}\n"
            for i in range(8)
        ]
        phone.write("proc/cpuinfo", "\n".join(blocks))
    assert phone.device("big").state().affinity == (4, 5, 6, 7)
    assert phone.device("little").info().platform.endswith("little cores 0-3")


def test_kinds_without_cpufreq_are_said_to_have_no_clocks(phone: PlayedPhone) -> None:
    for i in range(8):
        shutil.rmtree(phone.folder / f"sys/devices/system/cpu/cpu{i}/cpufreq")
        phone.write(f"sys/devices/system/cpu/cpu{i}/cpu_capacity", "1024\n" if i < 2 else "300\n")
    assert phone.device().info().platform == "Google Tensor; big cores 0-1, no cpufreq"


def test_cores_that_sleep_and_hide_their_kind_are_not_taken_for_small_ones(tmp_path: Path) -> None:
    """Kernels that unplug a cluster leave its clocks and parts out; the other one is not the big one."""
    phone = PlayedPhone(tmp_path / "phone", clusters={1800000: range(4), 2200000: range(4, 8)})
    phone.write("sys/devices/system/cpu/online", "0-3\n")
    for i in range(4, 8):
        shutil.rmtree(phone.folder / f"sys/devices/system/cpu/cpu{i}/cpufreq")
    for cores in ("big", "mid", "little"):
        with pytest.raises(DeviceError, match=r"cores 4-7 .* asleep: wake it, or ask for \?cores=all"):
            phone.device(cores)
    assert phone.device("all").info().platform.endswith("all cores 0-3")


def test_cores_outside_of_the_shells_cpuset_are_not_used(phone: PlayedPhone) -> None:
    phone.write("proc/self/status", "Cpus_allowed_list:\t0-6\n")
    assert phone.device().state().affinity == (6,)
    phone.write("proc/self/status", "Cpus_allowed_list:\t0-3\n")
    with pytest.raises(DeviceError, match=r"big cores .* asleep, or its shell may not use them"):
        phone.device()


def test_a_program_that_lands_on_other_cores_is_an_error_not_a_latency(
    phone: PlayedPhone, device: Android
) -> None:
    phone.write("confined", "0-3")
    with pytest.raises(DeviceError, match=r"started for processors 6-7 runs on 0-3; wake the phone"):
        device.run(["true"], timeout_s=10)
    assert phone.ours() == []


def test_state_is_what_the_phone_tells(device: Android) -> None:
    assert device.state() == DeviceState(
        clock_mhz=2802.0,
        residency_s=((500.0, 10.0), (2802.0, 30.0)),
        governor="sched_pixel",
        is_clock_fixed=False,
        temperature_c=41.0,
        skin_c=30.125,
        thermal_status=0,
        battery_percent=80.0,
        battery_c=28.2,
        is_charging=True,
        load=1.25,
        affinity=(6, 7),
        cpuset="/foreground",
    )


def test_the_mean_clock_is_that_of_the_first_chosen_processor(phone: PlayedPhone, device: Android) -> None:
    before = device.state()
    phone.write("sys/devices/system/cpu/cpu6/cpufreq/stats/time_in_state", "500000 1100\n2802000 3300\n")
    assert device.state().mean_clock_mhz(before) == pytest.approx((500.0 * 1 + 2802.0 * 3) / 4)


def test_an_old_phone_without_thermal_service_still_has_a_temperature(phone: PlayedPhone) -> None:
    (phone.folder / "dumpsys/thermalservice").unlink()
    phone.write("sys/class/thermal/thermal_zone0/temp", "37000\n")
    phone.write("sys/class/thermal/thermal_zone7/temp", "-274000\n")
    state = phone.device().state()
    assert (state.thermal_status, state.skin_c, state.temperature_c) == (None, None, 37.0)


def test_a_system_that_tells_nothing_can_be_measured_on_as_one_cluster(phone: PlayedPhone) -> None:
    shutil.rmtree(phone.folder / "sys")
    for name in ("getprop", "dumpsys", "cmd", "settaskprofile"):
        (phone.programs / name).unlink()
    device = phone.device()
    assert device.info().platform == "unknown chip; cores 0-7 of unknown kinds, no cpufreq"
    assert device.info().os_build.startswith("Linux")
    assert device.info().serial_hash == ""
    with device.quiet(8):
        state = device.state()
    assert (state.clock_mhz, state.thermal_status, state.battery_percent, state.residency_s) == (
        None,
        None,
        None,
        (),
    )
    assert device.why_not_ready() is None


def test_quiet_holds_the_clock_and_lets_it_go(phone: PlayedPhone, device: Android) -> None:
    with device.quiet(2):
        assert phone.read("fixed-performance") == "true\n"
        assert (device.state().is_clock_fixed, device.state().threads) == (True, 2)
    assert phone.read("fixed-performance") == "false\n"
    assert (device.state().is_clock_fixed, device.state().threads) == (False, None)
    assert phone.ours() == []


def test_an_error_while_measuring_lets_the_clock_go(phone: PlayedPhone, device: Android) -> None:
    with pytest.raises(KeyboardInterrupt), device.quiet(1):
        raise KeyboardInterrupt
    assert phone.read("fixed-performance") == "false\n"


def test_a_phone_without_the_mode_is_measured_without_it(phone: PlayedPhone, device: Android) -> None:
    phone.write("no-such-mode", "")
    with device.quiet(1):
        assert device.state().is_clock_fixed is False
        assert phone.ours() == []


def test_before_android_11_the_mode_is_not_asked_for(phone: PlayedPhone) -> None:
    phone.write("getprop", "[ro.build.version.sdk]: [29]\n")
    with phone.device().quiet(1):
        pass
    assert "set-fixed-performance-mode-enabled" not in phone.read("cmd.log")


@pytest.mark.parametrize("threads", [0, 3])
def test_more_threads_than_cores_are_refused_with_the_remedy(device: Android, threads: int) -> None:
    with (
        pytest.raises(DeviceError, match=r"do not fit on the big cores \(6-7\); ask for 1 to 2 threads"),
        device.quiet(threads),
    ):
        pass


def test_two_sessions_do_not_measure_on_one_phone_at_once(phone: PlayedPhone, device: Android) -> None:
    with device.quiet(1):
        with (
            pytest.raises(DeviceError, match="another process measures on this phone now"),
            phone.device().quiet(1),
        ):
            pass
        assert phone.read("fixed-performance") == "true\n"
    with phone.device().quiet(1):
        pass


def test_connecting_to_look_does_not_disturb_who_measures(phone: PlayedPhone, device: Android) -> None:
    with device.quiet(1), device.scratch() as folder:
        phone.device().close()
        assert phone.read("fixed-performance") == "true\n"
        assert Path(folder).is_dir()


def test_a_hot_phone_shows_signs_of_heat_until_it_has_cooled(phone: PlayedPhone, device: Android) -> None:
    def warm_room(phone: PlayedPhone) -> None:
        phone.heat(status=2 if phone.now_s < 60 else 0, skin_c="45.0" if phone.now_s < 90 else "33.0")

    phone.script = warm_room
    found = []
    for _ in range(4):
        device.pause(30.0)
        assert device.why_not_ready() is None
        found.append((device.signs_of_heat() or "cool").partition(":")[0])
    assert found == ["thermal status 2 (moderate)", "skin at 45.0 °C, above 38", "cool", "cool"]


def test_a_phone_with_a_low_battery_or_its_saver_on_is_not_ready(phone: PlayedPhone, device: Android) -> None:
    phone.charge(level=12)
    assert "battery at 12 %" in str(device.why_not_ready())
    phone.charge(level=90)
    phone.write("low-power", "1\n")
    assert "battery saver" in str(device.why_not_ready())


def test_a_board_without_a_battery_is_measured_on_and_reports_none(phone: PlayedPhone) -> None:
    phone.write(
        "dumpsys/battery",
        "Current Battery Service state:\n  AC powered: true\n  status: 1\n  present: false\n  level: 0\n"
        "  scale: 100\n  temperature: 424\n",
    )
    device = phone.device()
    with device.quiet(1):
        assert device.why_not_ready() is None
        state = device.state()
    assert (state.battery_percent, state.battery_c, state.is_charging) == (None, None, None)


def test_faked_values_of_the_battery_are_said_until_they_are_reset(phone: PlayedPhone) -> None:
    phone.write(
        "dumpsys/battery", "  (UPDATES STOPPED -- use 'reset' to restart)\n  level: 100\n  scale: 100\n"
    )
    device = phone.device()
    with device.quiet(1):
        assert "UPDATES STOPPED" in str(device.why_not_ready())
        assert device.state().battery_percent is None
        phone.charge()
        assert device.why_not_ready() is None


def test_what_runs_gets_its_words_and_its_environment_as_they_are(device: Android) -> None:
    words = ["a b", "$(id)", "`id`", "; exit 7", "-n", "é", "'\"", ""]
    script = device.push(
        b'#!/bin/sh\nfor word in "$GREETING" "$@"; do printf "%s|" "$word"; done\n', executable=True
    )
    done = device.run([script, *words], timeout_s=10, environment={"GREETING": "$HOME; id"})
    assert done.stdout.decode() == "|".join(["$HOME; id", *words, ""])
    assert (done.exit_status, done.stderr) == (0, b"")


def test_exit_status_and_standard_error_come_back(device: Android) -> None:
    done = device.run(["sh", "-c", "echo no >&2; exit 3"], timeout_s=10)
    assert (done.stdout, done.stderr, done.exit_status) == (b"", b"no\n", 3)
    assert device.run(["no-such-program"], timeout_s=10).exit_status == 127


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            'echo "taskset: failed to set pid 9\'s affinity: Invalid argument" >&2; exit 1',
            r"processors 6-7 .*: taskset: failed to set pid 9's affinity: Invalid argument \(exit status 1\)",
        ),
        ("printf 'taskset: bad mask' >&2; exit 2", r"taskset: bad mask \(exit status 2\)"),
        ("printf 'Usage: taskset\\n\\nSet it\\n' >&2; exit 1", "Usage: taskset; ; Set it"),
        ("echo 'sh: taskset: not found' >&2; exit 127", r"taskset: not found \(exit status 127\)"),
        ("echo 'usage: taskset MASK COMMAND'; exit 1", r"usage: taskset MASK COMMAND \(exit status 1\)"),
        ("exit 0", r"nothing is printed \(exit status 0\)"),
        ("kill -9 $$", r"\(exit status 137\)"),
    ],
)
def test_a_taskset_that_fails_is_named_with_its_own_words(
    phone: PlayedPhone, device: Android, script: str, said: str
) -> None:
    (phone.programs / "taskset").write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(DeviceError, match=f"no program can be started on .*{said}") as caught:
        device.run(["true"], timeout_s=10)
    assert "?cores=" in str(caught.value)
    assert str(caught.value).isprintable()
    assert phone.ours() == []


def test_what_is_written_before_a_program_is_kept_where_it_fails_and_no_words_of_its_own(
    phone: PlayedPhone, device: Android
) -> None:
    (phone.programs / "settaskprofile").write_text("#!/bin/sh\necho no such profile >&2; exit 1\n")
    failed = device.run(["sh", "-c", "echo mine >&2; exit 3"], timeout_s=10)
    assert (failed.stderr, failed.exit_status) == (b"no such profile\nmine\n", 3)
    done = device.run(["sh", "-c", "echo mine >&2"], timeout_s=10)
    assert (done.stderr, done.exit_status) == (b"mine\n", 0)


def test_a_refusal_says_what_was_written_before_it(phone: PlayedPhone, device: Android) -> None:
    (phone.programs / "settaskprofile").write_text("#!/bin/sh\necho no such profile >&2\n")
    phone.write("confined", "0-3")
    with pytest.raises(DeviceError, match=r"runs on 0-3 \(no such profile\); wake the phone"):
        device.run(["true"], timeout_s=10)


@pytest.mark.parametrize("name", ["", "A B", "A;id", "1A", "A\n", "LD-X", "x" * 100])
def test_an_impossible_variable_is_refused(device: Android, name: str) -> None:
    with pytest.raises(DeviceError, match="no name of an environment variable"):
        device.run(["true"], timeout_s=10, environment={name: "1"})


def test_a_program_that_takes_too_long_is_killed(phone: PlayedPhone, device: Android) -> None:
    with pytest.raises(DeviceTimeoutError):
        device.run(["sleep", "600"], timeout_s=0.3)
    assert phone.ours() == []


def test_after_android_13_the_shells_limits_are_lifted_first(phone: PlayedPhone, device: Android) -> None:
    device.run(["true"], timeout_s=10)
    assert "MaxPerformance" in phone.read("settaskprofile.log")


def test_results_are_pulled_up_to_a_size(device: Android) -> None:
    with device.scratch() as folder:
        device.run(["sh", "-c", f"printf 12345 > {folder}/result"], timeout_s=10)
        assert device.pull(f"{folder}/result", max_bytes=5) == b"12345"
        with pytest.raises(DeviceError):
            device.pull(f"{folder}/result", max_bytes=4)


def test_a_noexec_data_partition_is_named(phone: PlayedPhone) -> None:
    phone.write("proc/mounts", "/dev/root / ext4 ro 0 0\n/dev/dm-8 /data f2fs rw,noexec 0 0\n")
    with pytest.raises(DeviceError, match=r"/data is mounted noexec; use another phone"):
        phone.device()


def test_an_answer_that_is_cut_is_an_error(phone: PlayedPhone) -> None:
    (phone.programs / "getprop").write_text("#!/bin/sh\nkill -9 $PPID; kill -9 0\n")
    with pytest.raises(DeviceError, match="cut short; check the cable"):
        phone.device()


@pytest.mark.parametrize(
    "address", ["?cores=huge", "tcp:127.0.0.1:1?cores=big&x", "?cores=big?", "tcp:127.0.0.1:1?core=big"]
)
def test_an_address_that_chooses_no_cores_is_refused_before_anything_is_connected(address: str) -> None:
    with pytest.raises(CarsHwError, match=r"write \?cores= and one of big, mid, little, all"):
        devices.connect(f"android:{address}")


@pytest.mark.parametrize("address", ["?cores", "x?", "s?mask=f0", "?cores=big?cores=all"])
def test_what_may_be_a_serial_or_a_misspelt_choice_is_looked_for_and_both_are_said(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with FakeAdbServer({"host:devices": ""}) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        monkeypatch.setenv("PATH", "")  # an installed adb would want a server of its own version
        with pytest.raises(DeviceLostError, match=r"knows no .*; to choose cores, write \?cores= and one of"):
            devices.connect(f"android:{address}")


def test_a_phone_that_is_lost_while_quiet_does_not_hide_why(
    phone: PlayedPhone, caplog: pytest.LogCaptureFixture
) -> None:
    transport = phone.transport()
    device = Android(transport, root=phone.root)
    with pytest.raises(DeviceLostError, match="unplugged"), device.quiet(1):
        _unplug(transport, device)
    assert "restored at the next connection" in caplog.text
    assert phone.read("fixed-performance") == "true\n"
    phone.device()
    assert phone.read("fixed-performance") == "false\n"


def _unplug(transport: PlayedTransport, device: Android) -> None:
    transport.calls_until_lost = 0
    device.state()


def test_closing_it_closes_the_connection(phone: PlayedPhone) -> None:
    transport = phone.transport()
    with Android(transport, root=phone.root):
        assert not transport.is_closed
    assert transport.is_closed


def test_no_command_and_no_fact_holds_the_serial_number(phone: PlayedPhone) -> None:
    transport = phone.transport()
    device = Android(transport, root=phone.root)
    with device.quiet(1):
        told = f"{device.info()!r} {device.info()} {device.state()!r} {device!r} {transport.commands}"
    assert SERIAL.lower() not in told.lower()
    assert device.info().serial_hash in told
