"""Where programs for devices are looked for."""

import hashlib
from pathlib import Path

import pytest

from devices._device import Completed
from devices._errors import DeviceError
from profilers.runtimes._programs import Installer, Program, device_abi, program_folder
from tests.fakes.local_remote import LocalRemote

TOOL = Program("the_tool", variable="THE_TOOL", source="build it", is_it=lambda text: "a tool" in text)


class Machine(LocalRemote):
    """A device whose ``uname -m`` prints what it is told to."""

    printed = b"aarch64\n"

    def run(self, argv, *, timeout_s, environment=None):  # type: ignore[no-untyped-def]
        assert list(argv) == ["uname", "-m"]
        return Completed(self.printed, b"", 0)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("THE_TOOL", raising=False)
    return Machine(tmp_path)


def find(device: Machine, path: str = "") -> bytes:
    return TOOL.read(device, path)


def test_the_path_comes_before_the_variable_and_that_before_the_cache(
    device: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = program_folder("arm64-v8a")
    folder.mkdir(parents=True)
    (folder / "the_tool").write_bytes(b"cache")
    assert find(device) == b"cache"
    (tmp_path / "variable").write_bytes(b"variable")
    monkeypatch.setenv("THE_TOOL", str(tmp_path / "variable"))
    assert find(device) == b"variable"
    (tmp_path / "path").write_bytes(b"path")
    assert find(device, str(tmp_path / "path")) == b"path"


def test_a_missing_one_names_the_three_ways(device: Machine) -> None:
    with pytest.raises(DeviceError, match=r"no the_tool .*arm64-v8a.*option or THE_TOOL.*\(build it\)"):
        find(device)


def test_a_named_one_that_is_missing_is_not_replaced_by_another(device: Machine, tmp_path: Path) -> None:
    folder = program_folder("arm64-v8a")
    folder.mkdir(parents=True)
    (folder / "the_tool").write_bytes(b"cache")
    with pytest.raises(DeviceError, match="nowhere"):
        find(device, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("printed", "abi"), [(b"aarch64\r\n", "arm64-v8a"), (b"armv8l\n", "armeabi-v7a"), (b"x86_64", "x86_64")]
)
def test_the_instruction_set_is_called_as_android_does(device: Machine, printed: bytes, abi: str) -> None:
    device.printed = printed
    assert device_abi(device) == abi


@pytest.mark.parametrize("printed", [b"", b"../../etc", b"\xff", b"a" * 100, b"sh: uname: not found"])
def test_what_names_no_instruction_set_is_no_folder(device: Machine, printed: bytes) -> None:
    device.printed = printed
    with pytest.raises(DeviceError, match="names no instruction set"):
        device_abi(device)


def test_a_program_is_brought_to_each_device_once_and_known_by_its_hash(tmp_path: Path) -> None:
    content = b"#!/bin/sh\necho a tool\n"
    (tmp_path / "file").write_bytes(content)
    installer = Installer(TOOL, str(tmp_path / "file"))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        device = LocalRemote(tmp_path / name)
        installed = installer.on(device)
        assert installer.on(device) is installed
        assert device.ran == [[installed.path, "--help"]]
        assert installed.sha256 == hashlib.sha256(content).hexdigest()
        assert installed.help_text.strip() == "a tool"


def test_another_program_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        DeviceError, match=r"the_tool given .*another program \(exit status 3\).*instruction set"
    ):
        TOOL.install(LocalRemote(tmp_path), b"#!/bin/sh\nexit 3\n")
