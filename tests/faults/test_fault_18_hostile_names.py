"""Fault 18: names that a shell would take apart, and commands that are really run by one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import devices
from devices.foundation.errors import CarsHwError
from tests.fakes.adb_server import FakeAdbServer
from tests.fakes.played_phone import PlayedPhone

HOSTILE = [
    ";touch CANARY",
    "$(touch CANARY)",
    "`touch CANARY`",
    "a\ntouch CANARY",
    "-rf",
    "' ; touch CANARY; '",
    '"; touch CANARY; "',
    "&& touch CANARY",
    "| touch CANARY",
    "> CANARY",
    "é\u202e\u2028",
    "x" * 5000,
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty present folder, where a canary would appear."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[FakeAdbServer]:
    """An adb server that knows no phone; a real one is neither asked nor started."""
    with pytest.MonkeyPatch.context() as patch, FakeAdbServer({"host:devices": ""}) as server:
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        patch.setenv("PATH", "")  # an installed adb would want a server of its own version
        yield server


@pytest.mark.parametrize("name", HOSTILE)
def test_a_word_reaches_a_program_as_it_is(phone: PlayedPhone, here: Path, name: str) -> None:
    with phone.device() as device:
        done = device.run(["printf", "%s", name], timeout_s=10, environment={"MODEL": name})
    assert done.stdout.decode() == name
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_phone_that_calls_itself_so_is_only_shown(phone: PlayedPhone, here: Path, name: str) -> None:
    phone.write(
        "getprop", f"[ro.product.model]: [{name}]\n[ro.serialno]: [{name}]\n[ro.soc.model]: [{name}]\n"
    )
    phone.write("proc/sys/kernel/random/boot_id", f"{name}\n")
    with phone.device() as device, device.quiet(1):
        assert device.run(["true"], timeout_s=10).exit_status == 0
        assert device.info().model.isprintable()
        assert len(device.info().model) <= 120
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("form", ["{}", "usb:{}", "tcp:{}:5555", "{}?cores={}"])
def test_no_address_is_taken_that_is_no_address(
    here: Path, server: FakeAdbServer, form: str, name: str
) -> None:
    with pytest.raises(CarsHwError) as caught:
        devices.connect(f"android:{form.format(name, name)}")
    assert all(name not in request for request in server.requests)
    assert "\n" not in str(caught.value)
    assert list(here.iterdir()) == []


def test_names_on_the_phone_are_ours_alone(phone: PlayedPhone) -> None:
    with phone.device() as device:
        path = device.push(b"; touch CANARY")
        with device.scratch() as folder:
            names = [Path(path).name, Path(folder).name.removeprefix("run-")]
    assert all(set(name) <= set("0123456789abcdef") for name in names)
