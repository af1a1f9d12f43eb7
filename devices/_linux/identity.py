"""Who a board is: model and chip by its device tree, its system, and a hash in place of its number."""

import hashlib
import re

from devices import _proc
from devices.foundation.text import plain

_PRETTY_NAME = re.compile(r"^PRETTY_NAME=[\"']?([^\"'\n]{1,200})[\"']?$", re.MULTILINE)

#: The same for every board and host, so that a board has the same hash wherever it is reached from.
_SALT = b"cars_hw: a board"

#: ELF's ``e_machine`` (bytes 18 and 19) and class (byte 4: 1 is 32 bits) by the name of what programs are.
_MACHINES = {
    ("b7", "02"): "aarch64",
    ("28", "01"): "arm",
    ("3e", "02"): "x86_64",
    ("03", "01"): "i386",
    ("f3", "02"): "riscv64",
}


def model(device_tree: str, cpuinfo: str) -> str:
    """Return the board's name, ``"Raspberry Pi 5 Model B Rev 1.0"``, or its processor's."""
    return plain(device_tree) or plain(_proc.cpu_model(cpuinfo) or "") or "unknown board"


def chip(compatible: str, machine: str) -> str:
    """Return the system on a chip, ``"brcm,bcm2712"``: the last and most general name; else what it runs."""
    names = plain(compatible).split(" ")
    return names[-1] or plain(machine) or "unknown chip"


def build(os_release: str) -> str:
    """Return the system's name and version, ``"Debian GNU/Linux 12 (bookworm)"``; empty where unreported."""
    found = _PRETTY_NAME.search(os_release)
    return plain(found[1]) if found else ""


def abi(head: str) -> str:
    """Return the instruction set of the board's programs by the first 20 bytes of one, in hexadecimal.

    A kernel of 64 bits may run a system of 32, which is another device. Empty where it is not known.
    """
    found = head.split()
    if len(found) < 20 or found[:4] != ["7f", "45", "4c", "46"]:
        return ""
    return _MACHINES.get((found[18], found[4]), "")


def serial_hash(serial: str, machine_id: str) -> str:
    """Return a hash of the board's serial number, or of its system's id; empty where it has neither.

    Cards are copied, and with them the system's id: the number of the hardware goes first. Numbers are short,
    so that scrypt makes each guess cost some 50 ms.
    """
    number = plain(serial) or plain(machine_id)
    if not number:
        return ""
    return hashlib.scrypt(number.encode(), salt=_SALT, n=1 << 14, r=8, p=1, dklen=8).hex()
