"""The graphics cards of this machine, each with its driver, by maker and number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from devices._device import Adapter
from devices._gpu import vulkan
from devices._gpu.driver import Driver
from devices._gpu.vulkan import VulkanCard

#: PCI's numbers of makers.
MAKERS = {0x10DE: "nvidia", 0x1002: "amd", 0x8086: "intel"}

SOFTWARE = "software"

#: Google's, under which SwiftShader names itself; Dawn, which is under WebGPU, refuses Mesa's llvmpipe.
_GOOGLE = 0x1AE0


@dataclass(frozen=True)
class Card:
    """A card that was found.

    Attributes:
        adapter: Which it is.
        address: How it is named: ``nvidia:0``.
        platform: What of it no update changes: its ids, memory and capability.
        driver_text: Its driver and its version.
        open: Opens its driver.
    """

    adapter: Adapter
    address: str
    platform: str
    driver_text: str
    open: Callable[[], Driver] = Driver


def cards() -> list[Card]:
    """List the cards of this machine, those that a processor plays last."""
    found = sorted(vulkan.cards(), key=lambda card: (card.is_software, card.vendor_id != _GOOGLE))
    return _numbered(found)


def maker(adapter: Adapter) -> str:
    """Return by which word an address names the maker of a card."""
    return SOFTWARE if adapter.is_software else MAKERS.get(adapter.vendor_id, f"{adapter.vendor_id:04x}")


def _numbered(found: Sequence[VulkanCard]) -> list[Card]:
    listed: list[Card] = []
    for card in found:
        adapter = partial(
            Adapter,
            card.name,
            card.vendor_id,
            card.device_id,
            uuid=card.uuid,
            pci=card.pci,
            is_software=card.is_software,
        )
        name = maker(adapter())
        number = sum(maker(other.adapter) == name for other in listed)
        platform = f"Vulkan {card.vendor_id:04x}:{card.device_id:04x}"
        listed.append(Card(adapter(number=number), f"{name}:{number}", platform, card.driver))
    return listed
