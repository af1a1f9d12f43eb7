"""Graphics cards as Vulkan's loader lists them, asked through its C interface.

Vulkan tells of every maker's cards, and which of them a processor plays. Layouts and numbers are those of the
Vulkan specification (VkPhysicalDeviceProperties2 and what may be chained to it), which never change.
"""

import ctypes
import logging
import uuid
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_int32, c_uint8, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass

from devices.foundation.text import one_line

logger = logging.getLogger(__name__)

_LIBRARIES = ("libvulkan.so.1", "libvulkan.so", "vulkan-1.dll")

#: Of a graphics card, a structure's ``sType``.
_APPLICATION, _INSTANCE, _PROPERTIES = 0, 1, 1_000_059_001
_IDS, _DRIVER, _PCI = 1_000_071_004, 1_000_196_000, 1_000_212_000

#: Version 1.1, from which on a card may be asked for more than its first properties.
_VERSION = 1 << 22 | 1 << 12

#: VK_PHYSICAL_DEVICE_TYPE_CPU.
_PLAYED = 4

#: No machine has more; what a broken driver claims is not allocated.
_MOST_CARDS = 64

#: More than any driver has by far: about 250 are registered.
_MOST_EXTENSIONS = 4096

#: By which a driver tells where on the bus a card is. Drivers complain of a structure that they do not know.
_TELLS_PCI = b"VK_EXT_pci_bus_info"


class _ApplicationInfo(Structure):
    _fields_ = (
        ("type", c_uint32),
        ("next", c_void_p),
        ("name", c_char_p),
        ("version", c_uint32),
        ("engine", c_char_p),
        ("engine_version", c_uint32),
        ("api", c_uint32),
    )


class _InstanceInfo(Structure):
    _fields_ = (
        ("type", c_uint32),
        ("next", c_void_p),
        ("flags", c_uint32),
        ("application", POINTER(_ApplicationInfo)),
        ("layers", c_uint32),
        ("layer_names", c_void_p),
        ("extensions", c_uint32),
        ("extension_names", c_void_p),
    )


class _Properties(Structure):
    """The fields that are read; ``rest`` is longer than what follows them, limits above all."""

    _fields_ = (
        ("api", c_uint32),
        ("driver", c_uint32),
        ("vendor", c_uint32),
        ("device", c_uint32),
        ("kind", c_int32),
        ("name", c_char * 256),
        ("cache", c_uint8 * 16),
        ("rest", c_uint64 * 128),
    )


class _Properties2(Structure):
    _fields_ = (("type", c_uint32), ("next", c_void_p), ("properties", _Properties))


class _Ids(Structure):
    _fields_ = (
        ("type", c_uint32),
        ("next", c_void_p),
        ("device_uuid", c_uint8 * 16),
        ("driver_uuid", c_uint8 * 16),
        ("luid", c_uint8 * 8),
        ("node_mask", c_uint32),
        ("has_luid", c_uint32),
    )


class _Driver(Structure):
    _fields_ = (
        ("type", c_uint32),
        ("next", c_void_p),
        ("id", c_uint32),
        ("name", c_char * 256),
        ("info", c_char * 256),
        ("conformance", c_uint8 * 4),
    )


class _Pci(Structure):
    _fields_ = (
        ("type", c_uint32),
        ("next", c_void_p),
        ("domain", c_uint32),
        ("bus", c_uint32),
        ("device", c_uint32),
        ("function", c_uint32),
    )


class _Extension(Structure):
    _fields_ = (("name", c_char * 256), ("version", c_uint32))


@dataclass(frozen=True)
class VulkanCard:
    """A card as its Vulkan driver describes it.

    Attributes:
        name: Its name.
        vendor_id: PCI's number of its maker, or Khronos' of one without.
        device_id: The maker's number of the product.
        uuid: As hexadecimal groups; empty where the driver gives none.
        luid: By which Windows knows it, as 16 hexadecimal digits; empty elsewhere.
        pci: ``domain:bus:device.function``; empty where the driver does not tell.
        driver: Name and version.
        is_software: Whether a processor plays it.
    """

    name: str
    vendor_id: int
    device_id: int
    uuid: str = ""
    luid: str = ""
    pci: str = ""
    driver: str = ""
    is_software: bool = False


def cards() -> list[VulkanCard]:
    """List the cards that Vulkan drivers of this machine show; none where there is no Vulkan."""
    library = _library()
    if library is None:
        return []
    instance = c_void_p()
    application = _ApplicationInfo(type=_APPLICATION, name=b"cars_hw", api=_VERSION)
    wanted = _InstanceInfo(type=_INSTANCE, application=ctypes.pointer(application))
    status = library.vkCreateInstance(byref(wanted), None, byref(instance))
    if status != 0:
        logger.info("Vulkan shows no card: vkCreateInstance returned %d", status)
        return []
    try:
        return [_card(library, handle) for handle in _handles(library, instance)]
    finally:
        library.vkDestroyInstance(instance, None)


def _library() -> ctypes.CDLL | None:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue  # another system's name, or not installed
        if hasattr(library, "vkGetPhysicalDeviceProperties2"):  # of version 1.1
            return library
    return None


def _handles(library: ctypes.CDLL, instance: c_void_p) -> list[c_void_p]:
    n = c_uint32(_MOST_CARDS)
    handles = (c_void_p * _MOST_CARDS)()
    status = library.vkEnumeratePhysicalDevices(instance, byref(n), handles)
    if status < 0:
        logger.info("Vulkan shows no card: vkEnumeratePhysicalDevices returned %d", status)
        return []
    return [c_void_p(handle) for handle in handles[: n.value]]


def _card(library: ctypes.CDLL, handle: c_void_p) -> VulkanCard:
    pci = _Pci(type=_PCI)
    tells_pci = _TELLS_PCI in _extensions(library, handle)
    driver = _Driver(type=_DRIVER, next=ctypes.addressof(pci) if tells_pci else None)
    ids = _Ids(type=_IDS, next=ctypes.addressof(driver))
    found = _Properties2(type=_PROPERTIES, next=ctypes.addressof(ids))
    first = found.properties
    library.vkGetPhysicalDeviceProperties(handle, byref(first))
    if first.api >= _VERSION:
        library.vkGetPhysicalDeviceProperties2(handle, byref(found))
    has_uuid = any(ids.device_uuid)
    return VulkanCard(
        name=one_line(first.name),
        vendor_id=first.vendor,
        device_id=first.device,
        uuid=str(uuid.UUID(bytes=bytes(ids.device_uuid))) if has_uuid else "",
        luid=bytes(ids.luid).hex() if ids.has_luid else "",
        pci=f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.{pci.function:x}" if tells_pci else "",
        driver=" ".join(filter(None, (one_line(driver.name), one_line(driver.info)))) or f"{first.driver:#x}",
        is_software=first.kind == _PLAYED,
    )


def _extensions(library: ctypes.CDLL, handle: c_void_p) -> set[bytes]:
    n = c_uint32(_MOST_EXTENSIONS)
    found = (_Extension * _MOST_EXTENSIONS)()
    status = library.vkEnumerateDeviceExtensionProperties(handle, None, byref(n), found)
    return {extension.name for extension in found[: n.value]} if status >= 0 else set()
