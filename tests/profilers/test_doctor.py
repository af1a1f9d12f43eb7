"""``cars-hw devices`` as a doctor: each state of a phone is one line with its remedy."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cars_hw.cli import app
from devices._device import Device
from devices._errors import DeviceError
from devices.cpu import Cpu
from profilers.doctor import Finding, look_around, look_at, twins
from tests.fakes.adb_server import FakeAdbServer
from tests.fakes.played_phone import SERIAL, PlayedPhone


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
        (lambda phone: phone.heat(status=2), r"thermal status 2 \(moderate\).*let it cool"),
        (lambda phone: phone.heat(skin_c="39.5"), r"skin at 39.5 °C.*let it cool"),
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


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["devices", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
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
    assert [row["device"] for row in rows] == ["android", "cpu"]
    assert "enable USB debugging" in rows[0]["faults"][0]


def test_one_device_can_be_looked_at_alone() -> None:
    [cpu] = json.loads(_run("--json", "--device", "cpu"))
    assert (cpu["device"], cpu["faults"]) == ("cpu", [])
    [wrong] = json.loads(_run("--json", "--device", "android:x?cores=huge"))
    assert "does not choose cores" in wrong["faults"][0]
