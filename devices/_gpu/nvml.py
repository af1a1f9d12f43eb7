"""NVIDIA's management library: through ``nvidia-ml-py`` whatever it tells, else by hand who a card is.

Numbers and layouts are those of ``nvml.h``.
"""

import ctypes
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import Structure, byref, c_char, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

from devices._errors import DeviceLostError
from devices.foundation.text import one_line

logger = logging.getLogger(__name__)

_LIBRARIES = ("libnvidia-ml.so.1", "nvml.dll")

#: NVML_SUCCESS and NVML_ERROR_NOT_FOUND, by which a function says that there is nothing to list.
_NOTHING = (0, 6)

#: NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED, NVML_ERROR_GPU_NOT_FOUND.
_LOST = (15, 16, 28)

_MOST_CARDS = 64
_TEXT_BYTES = 96


@dataclass(frozen=True)
class Identity:
    """Who an NVIDIA card is; ``None`` where the driver does not tell.

    Attributes:
        name: Its name.
        uuid: ``GPU-`` and hexadecimal groups.
        pci: ``domain:bus:device.function``.
        vendor_id: PCI's number of the maker.
        device_id: The maker's number of the product.
        memory_bytes: Its memory.
        capability: CUDA's compute capability, major and minor.
    """

    name: str
    uuid: str
    pci: str
    vendor_id: int
    device_id: int
    memory_bytes: int | None = None
    capability: tuple[int, int] | None = None


class Lister(Protocol):
    """What lists cards."""

    def driver(self) -> str:
        """Return the driver's version."""

    def identities(self) -> list[Identity]:
        """List the cards, in the driver's order."""


class Nvml:
    """The library as ``nvidia-ml-py`` gives it.

    Args:
        module: The module ``pynvml``, which must have been initialised for anything to be asked.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def begin(self) -> bool:
        """Initialise the library; tell whether there is a driver. Each begin has its ``end``."""
        try:
            self._module.nvmlInit()
        except self._module.NVMLError as error:
            logger.info("NVML shows no card: %s", one_line(str(error)))
            return False
        return True

    def end(self) -> None:
        """Give the library back."""
        self.do("nvmlShutdown")

    def ask(self, function: str, *arguments: object) -> object:
        """Return what a function answers, not trusted; ``None`` where this card or driver has no answer.

        Raises:
            DeviceLostError: The card is gone.
        """
        return self._call(function, *arguments)[1]

    def do(self, function: str, *arguments: object) -> bool:
        """Have something done; tell whether it was.

        Raises:
            DeviceLostError: The card is gone.
        """
        return self._call(function, *arguments)[0]

    def listed(self, function: str, *arguments: object) -> list[object] | None:
        """Return a list, empty where there is nothing to list, as ``ask`` does."""
        found = self._call(function, *arguments, at_nothing=[])[1]
        return found if isinstance(found, list) else None

    def whole(self, function: str, *arguments: object) -> int | None:
        """Return a number that is not negative, as ``ask`` does."""
        found = self.ask(function, *arguments)
        return found if isinstance(found, int) and found >= 0 else None

    def driver(self) -> str:
        """Return the driver's version."""
        return _line(self.ask("nvmlSystemGetDriverVersion"))

    def identities(self) -> list[Identity]:
        """List the cards, in the driver's order."""
        n = min(self.whole("nvmlDeviceGetCount") or 0, _MOST_CARDS)
        return [who for i in range(n) if (who := self._listed_identity(i)) is not None]

    def _listed_identity(self, i: int) -> Identity | None:
        """Return who the card of a number is; one that was lost leaves the others in use."""
        try:
            handle = self.ask("nvmlDeviceGetHandleByIndex", i)
            return None if handle is None else self._identity(handle)
        except DeviceLostError as error:
            logger.warning("NVIDIA's card %d is left out: %s", i, error)
            return None

    def _identity(self, handle: object) -> Identity:
        pci = self.ask("nvmlDeviceGetPciInfo", handle)
        memory = getattr(self.ask("nvmlDeviceGetMemoryInfo", handle), "total", None)
        match self.ask("nvmlDeviceGetCudaComputeCapability", handle):
            case int(major), int(minor):
                capability: tuple[int, int] | None = (major, minor)
            case _:
                capability = None
        return Identity(
            _line(self.ask("nvmlDeviceGetName", handle)),
            _line(self.ask("nvmlDeviceGetUUID", handle)),
            *_place(_line(getattr(pci, "busId", "")), getattr(pci, "pciDeviceId", 0)),
            memory if isinstance(memory, int) else None,
            capability,
        )

    def _call(self, function: str, *arguments: object, at_nothing: object = None) -> tuple[bool, object]:
        """Return whether a function did its work, and its answer; ``at_nothing`` where it lists nothing."""
        found = getattr(self._module, function, None)
        if found is None:
            logger.debug("this nvidia-ml-py has no %s", function)
            return False, None
        try:
            return True, found(*arguments)
        except self._module.NVMLError as error:
            if error.value in _LOST:
                raise DeviceLostError(
                    f"the card was lost: {one_line(str(error))}; restart the machine"
                ) from error
            logger.debug("%s: %s", function, error)
            return False, at_nothing if error.value in _NOTHING else None


class _Memory(Structure):
    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class _Pci(Structure):
    _fields_ = (
        ("legacy", c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("product", c_uint),
        ("subsystem", c_uint),
        ("text", c_char * 32),
    )


class Bare:
    """The library itself, asked who the cards are and nothing more.

    Args:
        library: It, initialised.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def driver(self) -> str:
        """Return the driver's version."""
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        return (
            one_line(text.value) if self._library.nvmlSystemGetDriverVersion(text, _TEXT_BYTES) == 0 else ""
        )

    def identities(self) -> list[Identity]:
        """List the cards, in the driver's order."""
        n = c_uint()
        if self._library.nvmlDeviceGetCount_v2(byref(n)) != 0:
            return []
        handles = [c_void_p() for _ in range(min(n.value, _MOST_CARDS))]
        return [
            self._identity(handle)
            for i, handle in enumerate(handles)
            if self._library.nvmlDeviceGetHandleByIndex_v2(i, byref(handle)) == 0
        ]

    def _identity(self, handle: c_void_p) -> Identity:
        memory, pci, major, minor = _Memory(), _Pci(), ctypes.c_int(), ctypes.c_int()
        has_memory = self._library.nvmlDeviceGetMemoryInfo(handle, byref(memory)) == 0
        has_capability = (
            self._library.nvmlDeviceGetCudaComputeCapability(handle, byref(major), byref(minor)) == 0
        )
        self._library.nvmlDeviceGetPciInfo_v3(handle, byref(pci))
        return Identity(
            self._text("nvmlDeviceGetName", handle),
            self._text("nvmlDeviceGetUUID", handle),
            *_place(one_line(pci.text), pci.product),
            memory.total if has_memory else None,
            (major.value, minor.value) if has_capability else None,
        )

    def _text(self, function: str, handle: c_void_p) -> str:
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        return one_line(text.value) if self._library[function](handle, text, _TEXT_BYTES) == 0 else ""


def installed() -> Nvml | None:
    """Return the library as ``nvidia-ml-py`` gives it; ``None`` where that is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    return Nvml(pynvml)


@contextmanager
def opened(nvml: Nvml | None) -> Iterator[Lister | None]:
    """Yield what lists NVIDIA's cards until left; ``None`` where there is no driver."""
    if nvml is None:
        with _bare() as found:
            yield found
    elif nvml.begin():
        try:
            yield nvml
        finally:
            nvml.end()
    else:
        yield None


@contextmanager
def _bare() -> Iterator[Bare | None]:
    library = _library()
    if library is None or library.nvmlInit_v2() != 0:
        yield None
        return
    try:
        yield Bare(library)
    finally:
        library.nvmlShutdown()


def _library() -> ctypes.CDLL | None:
    for name in _LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue  # another system's name, or no driver
    return None


def _line(found: object) -> str:
    return one_line(found) if isinstance(found, bytes | str) else ""


def _place(bus_id: str, product: object) -> tuple[str, int, int]:
    """Return where a card is as Linux writes it, and PCI's numbers of maker and product."""
    number = product if isinstance(product, int) else 0
    domain, _, rest = bus_id.lower().partition(":")
    return (f"{domain[-4:]}:{rest}" if rest else "", number & 0xFFFF, number >> 16)
