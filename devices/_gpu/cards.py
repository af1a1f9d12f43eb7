"""The graphics cards of this machine, each with its driver, by maker and number."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from devices._device import Adapter
from devices._errors import DeviceError
from devices._gpu import nvml, sysfs, vulkan
from devices._gpu.amd import Amd
from devices._gpu.driver import Driver
from devices._gpu.intel import I915, XE, Intel, Layout
from devices._gpu.nvidia import Nvidia
from devices._gpu.nvml import Nvml
from devices._gpu.processes import Clients, Family
from devices._gpu.sysfs import DrmCard, Files
from devices._gpu.vulkan import VulkanCard

SOFTWARE = "software"

#: PCI's numbers of makers, and by which word an address names them.
_MAKERS = {0x10DE: "nvidia", 0x1002: "amd", 0x8086: "intel"}

#: Google's, under which SwiftShader names itself; Dawn, which is under WebGPU, refuses Mesa's llvmpipe.
_GOOGLE = 0x1AE0

_INTELS: dict[str, Layout] = {"i915": I915, "xe": XE}

_ADDRESS = re.compile(r"[a-z0-9]{1,16}(:[0-9]{1,3})?")

_NO_NVML = (
    "its clock, heat, energy and other users are not known: run `python -m pip install 'cars-hw[nvml]'`"
)

Open = Callable[[Family], Driver]


@dataclass(frozen=True)
class Card:
    """A card that was found.

    Attributes:
        adapter: Which it is.
        platform: What no update changes: maker and product, capability, memory.
        driver_text: Its driver and its version.
        open: Opens its driver, for a measurement of a family of processes.
        hint: What is not known of it, and what helps; empty where nothing is missing.
    """

    adapter: Adapter
    platform: str
    driver_text: str
    open: Open = lambda _: Driver()
    hint: str = ""

    @property
    def address(self) -> str:
        """How it is named: ``nvidia:0``."""
        return f"{_maker(self.adapter)}:{self.adapter.number}"


def cards(
    shown: Sequence[VulkanCard] | None = None, *, library: Nvml | None = None, drm: Path = sysfs.DRM
) -> list[Card]:
    """List the cards of this machine, those that a processor plays last.

    Args:
        shown: What Vulkan shows; it is asked if not given.
        library: NVIDIA's library; the installed one if not given.
        drm: Where the kernel shows cards.
    """
    unclaimed = vulkan.cards() if shown is None else list(shown)
    found = list(_nvidia(library or nvml.installed(), unclaimed))
    found += [card for drm_card in sysfs.cards(drm) if (card := _of_kernel(drm_card, unclaimed)) is not None]
    rest = sorted(unclaimed, key=lambda card: (card.is_software, card.vendor_id != _GOOGLE))
    return list(_numbered([*found, *map(_of_vulkan, rest)]))


def chosen(address: str, found: Sequence[Card]) -> Card:
    """Return the card that ``address`` names; without one, the only one that no processor plays.

    Raises:
        DeviceError: There is none such, or several.
    """
    if address and not _ADDRESS.fullmatch(address):
        raise DeviceError(f"{address[:64]!r} names no card; write gpu, gpu:nvidia:0 or gpu:{SOFTWARE}")
    if address:
        matching = [card for card in found if address in (card.address, card.address.partition(":")[0])]
    else:
        matching = [card for card in found if not card.adapter.is_software]
    if len(matching) == 1 or (matching and address == SOFTWARE):
        return matching[0]
    name, known = f"gpu:{address}" if address else "gpu", ", ".join(f"gpu:{card.address}" for card in found)
    if not known:
        driver = (
            "SwiftShader (Debian's chromium), name it by VK_ICD_FILENAMES"
            if SOFTWARE in name
            else "its driver"
        )
        raise DeviceError(
            f"there is no graphics card for {name}: install {driver}, and Vulkan's loader (libvulkan1)"
        )
    if matching:
        raise DeviceError(f"{name} may be any of several cards; name one that is here: {known}")
    raise DeviceError(f"there is no card for {name}; install its driver, or name one that is here: {known}")


def _nvidia(library: Nvml | None, unclaimed: list[VulkanCard]) -> Iterator[Card]:
    with nvml.opened(library) as lister:
        identities = lister.identities() if lister is not None else []
        driver_text = f"NVIDIA {lister.driver()}" if lister is not None else ""
    for who in identities:
        _claim(unclaimed, pci=who.pci, uuid=who.uuid.removeprefix("GPU-"))
        adapter = Adapter(who.name, who.vendor_id, who.device_id, uuid=who.uuid, pci=who.pci)
        capability = f"compute capability {who.capability[0]}.{who.capability[1]}" if who.capability else ""
        card = Card(adapter, _platform(adapter, capability, who.memory_bytes), driver_text, hint=_NO_NVML)
        yield card if library is None else replace(card, open=partial(Nvidia, library, who.uuid), hint="")


def _of_kernel(found: DrmCard, unclaimed: list[VulkanCard]) -> Card | None:
    """Return a card of AMD's or Intel's, under the name that Vulkan has for it, if it has one."""
    if found.driver != "amdgpu" and found.driver not in _INTELS:
        return None
    ids = (found.vendor_id, found.device_id)
    shown = _claim(unclaimed, pci=found.pci, ids=ids) or VulkanCard(
        f"{_MAKERS.get(found.vendor_id, 'card').upper()} {ids[0]:04x}:{ids[1]:04x}", *ids
    )
    adapter = Adapter(shown.name, *ids, uuid=shown.uuid, pci=found.pci)
    driver_text = " ".join(filter(None, (found.driver, shown.driver)))
    return Card(adapter, _platform(adapter, "", found.memory_bytes), driver_text, partial(_opened, found))


def _opened(found: DrmCard, family: Family) -> Driver:
    files, clients = Files(found.folder), Clients(found.pci, family)
    if found.driver == "amdgpu":
        return Amd(files, clients)
    return Intel(files, _INTELS[found.driver], clients)


def _of_vulkan(shown: VulkanCard) -> Card:
    adapter = Adapter(shown.name, *_ids(shown), uuid=shown.uuid, pci=shown.pci, is_software=shown.is_software)
    return Card(adapter, _platform(adapter), shown.driver)


def _numbered(found: Sequence[Card]) -> Iterator[Card]:
    """Number the cards of each maker, in the order in which its driver lists them."""
    counts: dict[str, int] = {}
    for card in found:
        name = _maker(card.adapter)
        number = counts.setdefault(name, 0)
        counts[name] += 1
        yield replace(card, adapter=replace(card.adapter, number=number))


def _claim(
    unclaimed: list[VulkanCard], *, pci: str, uuid: str = "", ids: tuple[int, int] | None = None
) -> VulkanCard | None:
    """Take a card out of those that Vulkan shows, once for each of its drivers; return the first of these.

    Args:
        unclaimed: What Vulkan shows; what is taken is missing afterwards.
        pci: Where it is.
        uuid: As Vulkan writes it, where that is known.
        ids: Numbers of maker and product, by which it is known to a driver that does not tell where it is.
    """
    claimed = [
        card
        for card in unclaimed
        if (pci == card.pci if card.pci else (uuid and uuid == card.uuid) or ids == _ids(card))
    ]
    unclaimed[:] = [card for card in unclaimed if card not in claimed]
    return claimed[0] if claimed else None


def _ids(card: VulkanCard) -> tuple[int, int]:
    return card.vendor_id, card.device_id


def _maker(adapter: Adapter) -> str:
    return SOFTWARE if adapter.is_software else _MAKERS.get(adapter.vendor_id, f"{adapter.vendor_id:04x}")


def _platform(adapter: Adapter, capability: str = "", memory_bytes: int | None = None) -> str:
    ids = f"{_maker(adapter)} {adapter.vendor_id:04x}:{adapter.device_id:04x}"
    memory = f"{memory_bytes / 2**30:.0f} GiB" if memory_bytes else ""
    return ", ".join(filter(None, (ids, capability, memory)))
