"""Programs that the user supplies for a device: where they are looked for, and how they are brought there."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from devices import DeviceError, RemoteDevice
from devices.foundation import cache_folder, read_regular
from profilers.runtimes._program_output import complaint, output_text

#: No build of these programs comes near it.
_LARGEST_BYTES = 1 << 28

#: What ``uname -m`` prints, and how Android's builds call it.
_ABIS = {"aarch64": "arm64-v8a", "armv8l": "armeabi-v7a", "armv7l": "armeabi-v7a", "i686": "x86"}

#: The same with a 32-bit userland: no 64-bit program starts there without its linker and libraries.
_HALVES = {"arm64-v8a": "armeabi-v7a", "x86_64": "x86"}

#: What Android says its programs are built for, best first. A 64-bit kernel may run a 32-bit Android: then
#: ``abilist64`` is empty, and ``uname`` names the kernel's instruction set all the same.
_ABI_PROPERTIES = ("abilist64", "abi", "abilist", "abilist32")
_ABI_PROPERTY = re.compile(
    rf"^\[ro\.product\.cpu\.({'|'.join(_ABI_PROPERTIES)})\]: \[([A-Za-z0-9_,-]{{0,256}})\]\r?$", re.MULTILINE
)
_ABI = re.compile(r"[a-z][a-z0-9_-]{1,15}")

_LIMIT_S, _HELP_LIMIT_S = 20.0, 60.0


def program_folder(abi: str) -> Path:
    """Return the cache folder in which programs for ``abi`` are looked for."""
    return cache_folder() / "bin" / abi


def device_abi(device: RemoteDevice) -> str:
    """Return the instruction set of programs for ``device`` as Android's builds call it: ``"arm64-v8a"``.

    That is the userland's, which may be of 32 bits on a kernel of 64.

    Raises:
        DeviceError: It does not report it.
    """
    built_for = _built_for(_printed(device, "getprop"))
    if built_for:
        return built_for
    machine = _printed(device, "uname", "-m").strip()
    if not (machine.isidentifier() and len(machine) < 16):
        raise DeviceError(f"`uname -m` on the device prints {machine[:32]!r}, which names no instruction set")
    abi = _ABIS.get(machine, machine)
    if abi in _HALVES and _printed(device, "getconf", "LONG_BIT").strip() == "32":
        return _HALVES[abi]
    return abi


def _printed(device: RemoteDevice, *argv: str) -> str:
    return device.run(argv, timeout_s=_LIMIT_S).stdout.decode("ascii", errors="replace")


def _built_for(getprop: str) -> str:
    """Return the best instruction set in the output of ``getprop``; empty where there is none."""
    found = {match[1]: match[2] for match in _ABI_PROPERTY.finditer(getprop)}
    is_32_bit = found.get("abilist64") == ""
    abis = (abi for name in _ABI_PROPERTIES for abi in found.get(name, "").split(","))
    return next((abi for abi in abis if _ABI.fullmatch(abi) and not (is_32_bit and "64" in abi)), "")


@dataclass(frozen=True)
class Program:
    """A program that the user supplies for a device.

    Attributes:
        name: Its file's name in the cache folder.
        variable: Environment variable that may name its file.
        source: Where the user gets it, in an imperative.
        is_it: Whether the output of ``--help`` is that of this program.
    """

    name: str
    variable: str
    source: str
    is_it: Callable[[str], bool]

    def read(self, device: RemoteDevice, path: str = "") -> bytes:
        """Return its file for ``device``: at ``path``, where the variable says, or in the cache folder.

        Args:
            device: Where it is to run.
            path: What the user named; empty where nothing was named.

        Raises:
            DeviceError: It is nowhere, or cannot be read; the message names the three ways.
        """
        named = path or os.environ.get(self.variable, "")
        found = Path(named) if named else program_folder(device_abi(device)) / self.name
        try:
            return read_regular(found, _LARGEST_BYTES)
        except OSError as error:
            problem = f"{found} cannot be read: {error.strerror}"
        raise DeviceError(
            f"no {self.name} for this device: {problem}; name one by option or {self.variable}, or put it "
            f"there ({self.source})"
        )

    def install(self, device: RemoteDevice, content: bytes) -> "InstalledProgram":
        """Bring ``content`` to ``device`` and see that it is this program.

        Raises:
            DeviceError: It does not run there, or is another program.
        """
        path = device.push(content, executable=True)
        completed = device.run([path, "--help"], timeout_s=_HELP_LIMIT_S)
        help_text = output_text(completed)
        if not self.is_it(help_text):
            raise DeviceError(
                f"the {self.name} given does not run on this device, or is another program (exit status "
                f"{completed.exit_status}: {complaint(help_text)}); get the build for its instruction set"
            )
        return InstalledProgram(device, path, hashlib.sha256(content).hexdigest(), help_text)


@dataclass(frozen=True)
class InstalledProgram:
    """A program in place on a device.

    Attributes:
        device: Where it is.
        path: Its file there.
        sha256: Of its file: builds of these programs report no version.
        help_text: What ``--help`` prints.
    """

    device: RemoteDevice
    path: str
    sha256: str
    help_text: str


class Installer:
    """Brings a program to devices, once to each.

    Args:
        program: Which.
        path: Where its file is; empty: from the environment or the cache folder.
    """

    def __init__(self, program: Program, path: str = "") -> None:
        self._program, self._path = program, path
        self._installed: WeakKeyDictionary[RemoteDevice, InstalledProgram] = WeakKeyDictionary()

    def on(self, device: RemoteDevice) -> InstalledProgram:
        """Return the program on ``device``, which it is brought to the first time.

        Raises:
            DeviceError: There is none for this device, or it does not run there.
        """
        if device not in self._installed:
            content = self._program.read(device, self._path)
            self._installed[device] = self._program.install(device, content)
        return self._installed[device]
