"""Graphics cards as Linux shows them below ``/sys/class/drm``."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devices import _proc
from devices._errors import DeviceLostError
from devices.foundation.files import read_regular

#: Where they are. Beside the cards stand their connectors, ``card0-DP-1``, which are on no bus.
DRM = Path("/sys/class/drm")

_LINE = re.compile(r"^(DRIVER|PCI_SLOT_NAME)=([0-9A-Za-z_.:-]{1,64})$", re.MULTILINE)
_HEX = re.compile(r"0x[0-9a-f]{1,8}")

_MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class DrmCard:
    """A card that the kernel drives.

    Attributes:
        folder: Its folder.
        driver: The kernel's driver: ``amdgpu``, ``i915``, ``xe``.
        vendor_id: PCI's number of the maker.
        device_id: The maker's number of the product.
        pci: ``domain:bus:device.function``.
        memory_bytes: Its memory, where the driver tells.
    """

    folder: Path
    driver: str
    vendor_id: int
    device_id: int
    pci: str
    memory_bytes: int | None = None


def cards(drm: Path = DRM) -> list[DrmCard]:
    """List the cards on a PCI bus, in its order."""
    return sorted(_cards(drm), key=lambda card: card.pci)


class Files:
    """The files of a card.

    Args:
        folder: The card's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def require_in_place(self) -> None:
        """Raise ``DeviceLostError`` where the card is no longer there."""
        if not (self._folder / "device/vendor").exists():
            raise DeviceLostError(f"the card is gone from {self._folder}; restart the machine")

    def found(self, pattern: str) -> list[str]:
        """Return the names of the files below the folder that match, in order."""
        return sorted(str(path.relative_to(self._folder)) for path in self._folder.glob(pattern))

    def content(self, name: str) -> bytes:
        """Return what stands in a file, not trusted; nothing where this card or kernel has none."""
        try:
            return read_regular(self._folder / name, _MAX_BYTES)
        except OSError:
            return b""

    def text(self, name: str) -> str:
        """Return the text in a file, not trusted; nothing where there is none."""
        return self.content(name).decode("ascii", "replace").strip()

    def number(self, name: str) -> float | None:
        """Return the number in a file."""
        return _proc.number(self.text(name))

    def hottest_c(self) -> float | None:
        """Return the hottest sensor of the card."""
        return _proc.hottest_c(map(self.text, self.found("device/hwmon/hwmon*/temp*_input")))

    def write(self, name: str, text: str) -> bool:
        """Write to a file; tell whether the kernel took it."""
        try:
            descriptor = os.open(self._folder / name, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return False  # it is an administrator's, or not there
        try:
            return os.write(descriptor, text.encode()) == len(text)
        except OSError:
            return False  # the driver refuses that value
        finally:
            os.close(descriptor)


def _cards(drm: Path) -> Iterator[DrmCard]:
    for folder in drm.glob("card[0-9]*"):
        files = Files(folder)
        lines = dict(_LINE.findall(files.text("device/uevent")))
        vendor, device = files.text("device/vendor"), files.text("device/device")
        if _HEX.fullmatch(vendor) and _HEX.fullmatch(device) and lines.keys() == {"DRIVER", "PCI_SLOT_NAME"}:
            memory = files.number("device/mem_info_vram_total")
            yield DrmCard(
                folder,
                lines["DRIVER"],
                int(vendor, 16),
                int(device, 16),
                lines["PCI_SLOT_NAME"].lower(),
                None if memory is None else int(memory),
            )
