"""A graphics card of this machine: NVIDIA's, AMD's, Intel's, or one that a processor plays."""

import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from devices._device import Accelerator, Adapter, DeviceInfo, DeviceState
from devices._errors import DeviceError
from devices._gpu.cards import SOFTWARE, Card, cards

_ADDRESS = re.compile(r"[a-z0-9]{1,16}(:[0-9]{1,3})?")


class Gpu(Accelerator):
    """A graphics card: ``gpu``, the only one; ``gpu:nvidia:0``, ``gpu:amd:0``, ``gpu:intel:0``.

    ``gpu:software`` is a card that a processor plays, and is used only where it is named.

    Args:
        card: Which.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._driver = card.open()
        self._quiet_threads: int | None = None

    @classmethod
    def connect(cls, address: str) -> Self:
        return cls(_chosen(address, cards()))

    @classmethod
    def addresses(cls) -> Sequence[str]:
        """List every card that is found, those that a processor plays too."""
        return [card.address for card in cards()]

    @property
    def adapter(self) -> Adapter:
        return self._card.adapter

    def info(self) -> DeviceInfo:
        return DeviceInfo(
            kind="gpu",
            model=self.adapter.name,
            platform=self._card.platform,
            os_build=f"{platform.system()} {platform.release()}",
            cores=os.cpu_count() or 1,
            vendor_build=self._card.driver_text,
        )

    def state(self) -> DeviceState:
        return DeviceState(threads=self._quiet_threads)

    @contextmanager
    def quiet(self, threads: int) -> Iterator[None]:
        if threads != 1:
            raise DeviceError(f"a card is given its work by 1 thread, not {threads}; ask for 1 thread")
        self._quiet_threads = threads
        try:
            yield
        finally:
            self._quiet_threads = None

    def clock_s(self) -> float:
        return time.perf_counter()

    def synchronize(self) -> None:
        """Return at once: runtimes wait for their own work."""

    def why_untimed(self) -> str | None:
        if self.adapter.is_software:
            return f"{self.adapter.name} is played by a processor: its times are no card's"
        return None

    def worker_address(self) -> str | None:
        return f"gpu:{self._card.address}"


def _chosen(address: str, found: Sequence[Card]) -> Card:
    """Return the card that ``address`` names.

    Raises:
        DeviceError: There is none such, or several.
    """
    if address and not _ADDRESS.fullmatch(address):
        raise DeviceError(f"{address[:64]!r} names no card; write gpu, gpu:nvidia:0 or gpu:{SOFTWARE}")
    real = [card for card in found if not card.adapter.is_software]
    if not address:
        matching = real
    else:
        matching = [card for card in found if address in (card.address, card.address.partition(":")[0])]
    if len(matching) == 1 or (matching and address == SOFTWARE):
        return matching[0]
    known = ", ".join(f"gpu:{card.address}" for card in found) or "none"
    what = "several cards" if matching else "no card"
    raise DeviceError(f"{what} at gpu{':' if address else ''}{address}; name one that is there: {known}")
