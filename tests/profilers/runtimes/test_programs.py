"""Where programs for devices are looked for."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from devices._device import Completed
from devices._errors import DeviceError
from profilers.runtimes._programs import Installer, Program, device_abi, program_folder
from tests.fakes.local_remote import LocalRemote
from tests.fakes.played_phone import PlayedPhone

TOOL = Program("the_tool", variable="THE_TOOL", source="build it", is_it=lambda text: "a tool" in text)


class Machine(LocalRemote):
    """A device whose ``uname -m``, ``getprop`` and ``getconf LONG_BIT`` print what they are told to."""

    printed = b"aarch64\n"
    properties: Mapping[str, str] | None = None
    long_bit: bytes | None = None

    def run(self, argv, *, timeout_s, environment=None):  # type: ignore[no-untyped-def]
        lines = (f"[ro.product.cpu.{name}]: [{text}]\r\n" for name, text in (self.properties or {}).items())
        printed = {
            "uname -m": self.printed,
            "getprop": None if self.properties is None else "".join(lines).encode(),
            "getconf LONG_BIT": self.long_bit,
        }[" ".join(argv)]
        return Completed(b"", b"not found", 127) if printed is None else Completed(printed, b"", 0)


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


@pytest.mark.parametrize(
    ("printed", "properties", "abi"),
    [
        (b"aarch64", {"abi": "armeabi-v7a", "abilist64": ""}, "armeabi-v7a"),
        (
            b"aarch64",
            {"abilist": "armeabi-v7a,armeabi", "abilist32": "armeabi-v7a,armeabi", "abilist64": ""},
            "armeabi-v7a",
        ),
        (b"aarch64", {"abilist": "armeabi-v7a,armeabi"}, "armeabi-v7a"),
        (b"aarch64", {"abilist32": "armeabi-v7a,armeabi", "abilist64": ""}, "armeabi-v7a"),
        (b"aarch64", {"abi": "arm64-v8a", "abilist32": "armeabi-v7a", "abilist64": ""}, "armeabi-v7a"),
        (b"x86_64", {"abi": "x86", "abilist": "x86,armeabi-v7a,armeabi", "abilist64": ""}, "x86"),
        (b"aarch64", {"abi": "arm64-v8a", "abilist64": "arm64-v8a", "abilist32": "armeabi-v7a"}, "arm64-v8a"),
        (b"x86_64", {"abi": "x86_64", "abilist64": "x86_64,arm64-v8a"}, "x86_64"),
        (b"armv8l", {"abi": "armeabi-v7a"}, "armeabi-v7a"),
        (b"riscv64", {"abi": "riscv64", "abilist64": "riscv64"}, "riscv64"),
        (b"aarch64", {}, "arm64-v8a"),
        (b"aarch64", {"abi": "../../etc", "abilist64": "-,a b"}, "arm64-v8a"),
    ],
)
def test_a_program_is_that_of_the_userland_not_of_the_kernel(
    device: Machine, printed: bytes, properties: Mapping[str, str], abi: str
) -> None:
    device.printed, device.properties = printed, properties
    assert device_abi(device) == abi


@pytest.mark.parametrize(
    ("printed", "long_bit", "abi"),
    [
        (b"aarch64", b"32\n", "armeabi-v7a"),
        (b"x86_64", b"32\n", "x86"),
        (b"aarch64", b"64\n", "arm64-v8a"),
        (b"armv7l", b"32\n", "armeabi-v7a"),
    ],
)
def test_a_linux_without_properties_tells_the_bits_of_its_userland(
    device: Machine, printed: bytes, long_bit: bytes, abi: str
) -> None:
    device.printed, device.long_bit = printed, long_bit
    assert device_abi(device) == abi


def test_a_played_phone_of_32_bits_is_asked_for_the_program_of_32_bits(
    phone: PlayedPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THE_TOOL", raising=False)
    phone.write("getprop", "[ro.product.cpu.abi]: [armeabi-v7a]\n[ro.product.cpu.abilist64]: []\n")
    uname = phone.programs / "uname"
    uname.write_text("#!/bin/sh\n[ $1 = -m ] && echo aarch64 || echo Linux 4.14\n")
    uname.chmod(0o755)
    with pytest.raises(DeviceError, match=r"no the_tool .*armeabi-v7a"):
        TOOL.read(phone.device())


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
        DeviceError,
        match=r"the_tool given .*another program \(exit status 3: it printed nothing\).*instruction set",
    ):
        TOOL.install(LocalRemote(tmp_path), b"#!/bin/sh\nexit 3\n")


def test_a_program_that_does_not_start_is_named_with_its_own_words(tmp_path: Path) -> None:
    content = b"#!/bin/sh\necho 'CANNOT LINK EXECUTABLE: library libc++_shared.so not found' >&2; exit 1\n"
    with pytest.raises(DeviceError, match=r"exit status 1: CANNOT LINK EXECUTABLE: library libc\+\+_shared"):
        TOOL.install(LocalRemote(tmp_path), content)


def test_what_fails_before_a_program_is_not_blamed_on_it(phone: PlayedPhone) -> None:
    taskset = phone.programs / "taskset"
    taskset.write_text('#!/bin/sh\necho "taskset: failed to set pid 9\'s affinity" >&2; exit 1\n')
    with pytest.raises(DeviceError, match="failed to set pid 9's affinity") as caught:
        TOOL.install(phone.device(), b"#!/bin/sh\necho a tool\n")
    assert "instruction set" not in str(caught.value)
