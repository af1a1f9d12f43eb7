"""Who a phone is: model, chip and build from its properties, and a hash in place of its serial number."""

import hashlib
import re
from collections.abc import Mapping

from devices.foundation.text import plain

_PROPERTY = re.compile(r"^\[([A-Za-z0-9._-]{1,128})\]: \[(.{0,1024})\]\r?$", re.MULTILINE)

#: "ro.soc.*" came with Android 12; before it the board's name is the closest.
_CHIP = (("ro.soc.manufacturer", "ro.soc.model"), ("ro.board.platform",), ("ro.hardware",))

#: The same for every phone and host, so that a phone has the same hash wherever it is plugged in.
_SALT = b"cars_hw: a phone"


def properties(getprop: str) -> dict[str, str]:
    """Return the properties in the output of ``getprop``."""
    return {match[1]: match[2] for match in _PROPERTY.finditer(getprop)}


def model(found: Mapping[str, str]) -> str:
    """Return maker and model, ``"Google Pixel 6"``; empty where the phone does not report it."""
    maker, name = found.get("ro.product.manufacturer", ""), found.get("ro.product.model", "")
    has_maker = name.lower().startswith(maker.lower())
    return plain(name if has_maker else f"{maker} {name}")


def chip(found: Mapping[str, str]) -> str:
    """Return the system on a chip, ``"Google Tensor"``; empty where the phone does not report it."""
    texts = (plain(" ".join(found.get(name, "") for name in names)) for names in _CHIP)
    return next((text for text in texts if text), "")


def build(found: Mapping[str, str]) -> str:
    """Return the Android release and the fingerprint of its build; empty where unreported."""
    fingerprint = found.get("ro.build.fingerprint", "")
    release = found.get("ro.build.version.release", "")
    return plain(f"Android {release} ({fingerprint})") if fingerprint else ""


def security_patch(found: Mapping[str, str]) -> str:
    """Return the level of Android's patches, ``"2023-08-05"``; empty where unreported."""
    return plain(found.get("ro.build.version.security_patch", ""))


def vendor_build(found: Mapping[str, str]) -> str:
    """Return the fingerprint of the partition that holds the drivers; empty where unreported."""
    return plain(found.get("ro.vendor.build.fingerprint", ""))


def abi(found: Mapping[str, str]) -> str:
    """Return the instruction set of the phone's programs, ``"arm64-v8a"``; empty where unreported."""
    return plain(found.get("ro.product.cpu.abi", ""))


def sdk(found: Mapping[str, str]) -> int:
    """Return the level of Android's interfaces (30: Android 11); 0 where the phone does not report it."""
    text = found.get("ro.build.version.sdk", "")
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0


def serial_hash(found: Mapping[str, str]) -> str:
    """Return a hash of the phone's serial number; empty where it has none.

    Serial numbers are short, so that whoever has a plain hash finds the number by trying all of them: scrypt
    makes each try cost as much as this call, some 50 ms.
    """
    serial = found.get("ro.serialno") or found.get("ro.boot.serialno") or ""
    if not serial:
        return ""
    return hashlib.scrypt(serial.encode(), salt=_SALT, n=1 << 14, r=8, p=1, dklen=8).hex()
