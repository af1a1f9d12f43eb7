"""``cars-hw devices`` as a doctor: each state of a phone is one line with its remedy."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cars_hw.cli import app
from devices._device import Device
from devices._errors import DeviceError
from devices.cpu import Cpu
from profilers.doctor import Finding, look_around, look_at, namesakes, twins
from tests.fakes.adb_server import FakeAdbServer
from tests.fakes.local_board import LocalBoard
from tests.fakes.played_phone import SERIAL, PlayedPhone
from tests.fakes.vulkan import swiftshader


def connect_to(phone: PlayedPhone) -> Callable[[str], Device]:
    return lambda address: phone.device() if address.startswith("android") else Cpu.connect("")


def with_program(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "benchmark_model").write_bytes(b"\x7fELF")
    monkeypatch.setenv("CARS_HW_BENCHMARK_MODEL", str(folder / "benchmark_model"))


def listing(*phones: str) -> Callable[[str], list[str]]:
    """Return what lists ``phones`` and this machine."""
    return lambda name: {"android": list(phones), "cpu": ["cpu"]}.get(name, [])


def only_fault(phone: PlayedPhone) -> str:
    [fault] = look_at("android:X", connect=connect_to(phone)).faults
    assert "\n" not in fault
    return fault


@pytest.fixture
def healthy(phone: PlayedPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedPhone:
    with_program(monkeypatch, tmp_path)
    phone.charge(usb=False)
    return phone


def test_a_phone_that_is_ready_has_no_fault(healthy: PlayedPhone) -> None:
    finding = look_at("android:X", connect=connect_to(healthy))
    assert finding.faults == ()
    assert (finding.device, finding.model, finding.cores) == ("android:X", "Google Pixel 6", 8)
    assert finding.system.startswith("Google Tensor; big cores 6-7, Android 13")
    assert "skin_c 30.12" in finding.state
    assert "residency" not in finding.state


@pytest.mark.parametrize(
    ("play", "text"),
    [
        (lambda phone: phone.heat(status=4), r"thermal status 4 \(critical\).*let it cool"),
        (lambda phone: phone.charge(level=10, usb=False), r"battery at 10 %.*charge it"),
        (lambda phone: phone.charge(), r"being charged.*unplug it and measure over Wi-Fi, or leave"),
        (lambda phone: phone.write("low-power", "1\n"), r"battery saver.*turn it off"),
        (lambda phone: phone.write("proc/mounts", "x /data ext4 noexec 0 0\n"), r"noexec; use another phone"),
    ],
)
def test_each_state_is_one_line_with_its_remedy(
    healthy: PlayedPhone, play: Callable[[PlayedPhone], None], text: str
) -> None:
    play(healthy)
    assert re.search(text, only_fault(healthy))


@pytest.mark.parametrize(
    ("play", "text"),
    [
        (lambda phone: phone.heat(status=3), r"thermal status 3 \(severe\).*let it cool"),
        (lambda phone: phone.heat(skin_c="39.5"), r"skin at 39.5 °C.*let it cool"),
        (lambda phone: phone.charge(usb=False, tenths_c=371), r"battery at 37.1 °C.*let it cool"),
    ],
)
def test_heat_below_critical_is_shown_and_no_fault(
    healthy: PlayedPhone, play: Callable[[PlayedPhone], None], text: str
) -> None:
    play(healthy)
    finding = look_at("android:X", connect=connect_to(healthy))
    assert finding.faults == ()
    assert re.fullmatch(text + r".*", finding.heat)


def test_a_board_is_told_what_to_install_and_asked_for_no_program_of_phones(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    board = LocalBoard(tmp_path)
    assert look_at("board", connect=lambda _: board).faults == ()
    board.interpreter = str(bare)
    [fault] = look_at("board", connect=lambda _: board).faults
    assert fault.endswith(f"install it there: {bare} -m pip install numpy onnxruntime (or ai-edge-litert)")
    board.interpreter = "/bin/false"
    finding = look_at("board", connect=lambda _: board)
    assert finding.is_reached
    assert "/bin/false on the board does not run the program that measures" in finding.faults[0]


def test_a_missing_program_is_a_line_that_says_where_to_get_it_and_to_put_it(
    healthy: PlayedPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARS_HW_BENCHMARK_MODEL")
    fault = only_fault(healthy)
    assert fault.startswith("no benchmark_model for this device")
    assert str(tmp_path / "cache/cars_hw/bin") in fault
    assert "https://ai.google.dev/edge/litert/models/measurement" in fault
    assert "CARS_HW_BENCHMARK_MODEL" in fault


def test_without_a_phone_there_is_a_line_for_phones_too() -> None:
    def connect(address: str) -> Device:
        if address == "android":
            raise DeviceError("the adb server knows no phone; plug one in")
        return Cpu.connect("")

    phone, here = look_around(addresses=listing("android"), connect=connect)
    assert (here.device, here.faults) == ("cpu", ())
    assert (phone.device, phone.faults) == ("android", ("the adb server knows no phone; plug one in",))


def test_a_server_that_cannot_be_asked_is_a_fault_not_an_end() -> None:
    def addresses(name: str) -> list[str]:
        if name != "android":
            return [name]
        raise DeviceError("the adb server is version 40, but adb is 41; keep one adb on PATH")

    phone, *_ = look_around(addresses=addresses, connect=lambda _: Cpu.connect(""))
    assert phone.faults == ("the adb server is version 40, but adb is 41; keep one adb on PATH",)


def test_every_phone_is_listed_and_a_second_address_of_one_is_told(healthy: PlayedPhone) -> None:
    addresses = listing("android:usb-1", "android:192.168.0.7:5555")
    findings = look_around(addresses=addresses, connect=connect_to(healthy))
    assert [finding.device for finding in findings] == ["android:usb-1", "android:192.168.0.7:5555", "cpu"]
    [line] = twins(findings)
    assert line.startswith("android:192.168.0.7:5555 is the same device as android:usb-1")
    assert SERIAL not in str(findings)


def test_two_phones_and_phones_that_cannot_be_told_apart_are_no_twins() -> None:
    assert (
        twins([Finding("a", serial_hash="1"), Finding("b", serial_hash="2"), Finding("c"), Finding("d")])
        == []
    )


@contextmanager
def _server(phones: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("adbutils")
    listed = "".join(f"{serial}\t{state}\n" for serial, state in phones.items())
    with FakeAdbServer({"host:devices": listed}) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        monkeypatch.setenv("PATH", "")  # an installed adb would want a server of its own version
        monkeypatch.delenv("ANDROID_SERIAL", raising=False)
        yield


def _run(*arguments: str, exit_status: int = 0) -> str:
    result = CliRunner().invoke(app, ["devices", *arguments], catch_exceptions=False)
    assert result.exit_code == exit_status, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        ("unauthorized", "accept this computer's key"),
        ("offline", "plug it in again"),
        ("no permissions (user in plugdev group; are your udev rules wrong?)", "udev"),
        ("authorizing", "accept this computer's key"),
        ("recovery", "start Android on it"),
    ],
)
def test_a_phone_that_the_server_cannot_use_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, state: str, remedy: str
) -> None:
    with _server({"A1": state}, monkeypatch):
        rows = json.loads(_run("--json"))
        out = _run()
    [phone] = [row for row in rows if row["device"] == "android:A1"]
    [fault] = phone["faults"]
    assert state.split(" (")[0] in fault
    assert remedy in fault
    assert f"android:A1: {fault}"[:100] in out


def test_no_phone_at_the_server_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with _server({}, monkeypatch):
        rows = json.loads(_run("--json"))
    assert [row["device"] for row in rows if not row["device"].startswith("gpu")] == ["android", "cpu"]
    assert "enable USB debugging" in rows[0]["faults"][0]


def test_a_card_that_a_processor_plays_is_listed_and_told_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", swiftshader())
    with _server({}, monkeypatch):
        rows = json.loads(_run("--json"))
    [card] = [row for row in rows if row["device"] == "gpu:software:0"]
    assert card["model"] == "SwiftShader Device (Subzero)"
    assert card["faults"] == [
        "SwiftShader Device (Subzero) is played by a processor: its times are no card's"
    ]


def test_one_device_can_be_looked_at_alone() -> None:
    [cpu] = json.loads(_run("--json", "--device", "cpu"))
    assert (cpu["device"], cpu["faults"]) == ("cpu", [])
    [wrong] = json.loads(_run("--json", "--device", "android:x?cores=huge", exit_status=1))
    assert "does not choose cores" in wrong["faults"][0]


def test_a_device_that_was_named_and_cannot_be_reached_is_told_by_the_exit_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with _server({"A 1": "unauthorized"}, monkeypatch):
        for named in (["android:A 1"], ["cpu", "android:A 1"], ["android:B"], ["no-such-kind"], ["android"]):
            options = [word for device in named for word in ("--device", device)]
            rows = json.loads(_run("--json", *options, exit_status=1))
            assert [row["device"] for row in rows] == named
            assert [row["is_reached"] for row in rows] == [device == "cpu" for device in named]
            assert [bool(row["faults"]) for row in rows] == [device != "cpu" for device in named]
            shown = _run(*options, exit_status=1)
            assert f"{named[-1]}: {rows[-1]['faults'][0]}"[:60] in shown
        _run()  # a phone that nobody named is a remark
        _run("--device", "cpu")


def test_the_json_has_each_condition_under_its_name(healthy: PlayedPhone) -> None:
    [cpu] = json.loads(_run("--json", "--device", "cpu"))
    assert cpu["conditions"]["affinity"]
    assert set(cpu) >= {"device", "model", "system", "cores", "state", "faults", "is_reached", "conditions"}
    conditions = look_at("android:X", connect=connect_to(healthy)).conditions
    assert conditions["skin_c"] == pytest.approx(30.12, abs=0.01)
    assert conditions["is_charging"] is False
    assert "steal_s" not in conditions


SERIAL_OF_MANY = "0123456789ABCDEF"


@pytest.fixture
def two_of_one_serial(tmp_path: Path, healthy: PlayedPhone) -> dict[str, PlayedPhone]:
    """Two phones that left the factory with one number."""
    phones = {f"android:tcp:192.168.0.{i}:5555": PlayedPhone(tmp_path / str(i)) for i in (7, 8)}
    for phone in phones.values():
        phone.write("getprop", phone.read("getprop").replace(SERIAL, SERIAL_OF_MANY))
    return phones


def _looked_at(phones: dict[str, PlayedPhone]) -> list[Finding]:
    return [look_at(address, connect=lambda address: phones[address].device()) for address in phones]


def test_two_phones_of_one_serial_are_no_twins_but_namesakes(
    two_of_one_serial: dict[str, PlayedPhone],
) -> None:
    findings = _looked_at(two_of_one_serial)
    assert findings[0].serial_hash == findings[1].serial_hash
    assert twins(findings) == []
    [line] = namesakes(findings)
    assert line.startswith("android:tcp:192.168.0.8:5555 and android:tcp:192.168.0.7:5555 are two devices")
    assert SERIAL_OF_MANY not in str([findings, line])


def test_each_of_two_phones_of_one_serial_has_its_own_second_address(
    two_of_one_serial: dict[str, PlayedPhone],
) -> None:
    first, second = two_of_one_serial.values()
    findings = _looked_at({**two_of_one_serial, "android:A": first, "android:B?cores=little": second})
    assert [line.split(": name")[0] for line in twins(findings)] == [
        "android:A is the same device as android:tcp:192.168.0.7:5555",
        "android:B?cores=little is the same device as android:tcp:192.168.0.8:5555",
    ]


@pytest.mark.parametrize(
    ("one", "two", "are_one"),
    [
        (
            Finding("a", "M", serial_hash="1", boot_id="x"),
            Finding("b", "M", serial_hash="1", boot_id="x"),
            True,
        ),
        (
            Finding("a", "M", serial_hash="1", boot_id="x"),
            Finding("b", "M", serial_hash="1", boot_id="y"),
            False,
        ),
        (
            Finding("a", "M", serial_hash="1", boot_id="x"),
            Finding("b", "M", serial_hash="2", boot_id="x"),
            False,
        ),
        (
            Finding("a", "M", serial_hash="1", boot_id="x"),
            Finding("b", "N", serial_hash="1", boot_id="x"),
            False,
        ),
        (Finding("a", "M", boot_id="x"), Finding("b", "M", boot_id="x"), True),
        (Finding("a", "M", boot_id="x"), Finding("b", "M", boot_id="y"), False),
        (Finding("a", "M", serial_hash="1"), Finding("b", "M", serial_hash="1", boot_id="y"), True),
        (Finding("a", "M", serial_hash="1", cores=4), Finding("b", "M", serial_hash="1", cores=8), False),
        (Finding("a", "M"), Finding("b", "M"), False),
        (Finding("a", serial_hash="1", boot_id="x"), Finding("a", serial_hash="1", boot_id="x"), False),
    ],
)
def test_twins_are_told_by_serial_boot_and_model_together(one: Finding, two: Finding, are_one: bool) -> None:
    assert bool(twins([one, two])) == are_one
