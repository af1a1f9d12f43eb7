"""A graphics card of this machine: NVIDIA's, AMD's, Intel's, or one that a processor plays."""

import hashlib
import hmac
import logging
import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Self

from devices._device import Accelerator, Adapter, DeviceInfo, DeviceState
from devices._errors import DeviceError
from devices._gpu import readiness, vulkan
from devices._gpu.cards import Card, cards, chosen
from devices._gpu.clocks import Clocks
from devices._gpu.driver import Pulse
from devices._gpu.processes import Family
from devices.foundation.files import cache_folder, read_regular

logger = logging.getLogger(__name__)

#: What follows a card's address where a process measures for another one: that one's number.
_FOR = re.compile(r"(?P<card>.*);for=(?P<pid>[1-9][0-9]{0,9})", re.DOTALL)

_MACHINE = Path("/etc/machine-id")
_MAX_BYTES = 4096


class Gpu(Accelerator):
    """A graphics card: ``gpu``, the only one; ``gpu:nvidia:0``, ``gpu:amd:0``, ``gpu:intel:0``.

    ``gpu:software`` is a card that a processor plays. It is used only where it is named, and never timed.

    Args:
        card: Which.
        family: The process whose children measure too; this one if not given.
        records: Folder of what to set again after a crash; that of the user's caches if not given.

    Raises:
        DeviceError: Its driver does not answer.
    """

    def __init__(self, card: Card, *, family: Family | None = None, records: Path | None = None) -> None:
        self._card, self._family = card, family or Family()
        self._serial_hash = _hash(self.adapter.uuid or self.adapter.pci)
        self._driver = card.open(self._family)
        self._quiet_threads: int | None = None
        self._highest_mhz: float | None = None
        name = f"{card.address} {self._serial_hash}"
        file = f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
        self._clocks = Clocks(
            self._driver, name=f"gpu {name}", record=(records or cache_folder() / "clocks") / file
        )
        if self._family.root == os.getpid():  # a worker finds the card as the process has it that started it
            self._begin()

    @classmethod
    def connect(cls, address: str) -> Self:
        measuring = _FOR.fullmatch(address)
        if measuring is None:
            return cls(chosen(address, cards()))
        return cls(chosen(measuring["card"], cards()), family=Family(int(measuring["pid"])))

    @classmethod
    def addresses(cls) -> Sequence[str]:
        """List every card that is found, those that a processor plays too."""
        return [card.address for card in cards()]

    @property
    def adapter(self) -> Adapter:
        return self._card.adapter

    def shown_by_vulkan(self) -> Sequence[Adapter]:
        return [
            Adapter(
                card.name,
                card.vendor_id,
                card.device_id,
                uuid=card.uuid,
                pci=card.pci,
                is_software=card.is_software,
            )
            for card in vulkan.cards()
        ]

    def info(self) -> DeviceInfo:
        """Return the card's identity; ``cores`` are those of the machine, which give it its work."""
        return DeviceInfo(
            kind="gpu",
            model=self.adapter.name or "unknown card",
            platform=self._card.platform,
            os_build=f"{platform.system()} {platform.release()}",
            cores=os.cpu_count() or 1,
            serial_hash=self._serial_hash,
            vendor_build=self._card.driver_text,
        )

    def state(self) -> DeviceState:
        pulse, readings = self._driver.pulse(), self._driver.readings()
        return DeviceState(
            clock_mhz=pulse.clock_mhz,
            is_clock_fixed=None if self.adapter.is_software else self._clocks.are_held(),
            temperature_c=readings.temperature_c,
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            threads=self._quiet_threads,
            memory_clock_mhz=readings.memory_clock_mhz,
            base_clock_mhz=pulse.base_clock_mhz,
            power_w=readings.power_w,
            throttling=pulse.throttling,
            other_processes=pulse.others,
        )

    @contextmanager
    def quiet(self, threads: int) -> Iterator[None]:
        """Hold the card's clock where that is permitted; nobody else here measures on the card meanwhile.

        Drivers have threads of their own, so nothing is pinned. If this process dies, whoever opens the card
        next lets the clock go.

        Raises:
            DeviceError: More than one thread is asked for, or somebody measures on the card already.
        """
        if threads != 1:
            raise DeviceError(f"a card is given its work by 1 thread, not {threads}; ask for 1 thread")
        with self._held():
            self._quiet_threads = threads
            try:
                yield
            finally:
                self._quiet_threads = None

    def why_not_ready(self) -> str | None:
        return readiness.why_not_ready(self._driver.pulse())

    def signs_of_heat(self) -> str | None:
        return readiness.signs_of_heat(self._driver.pulse())

    def why_untimed(self) -> str | None:
        if self.adapter.is_software:
            return f"{self.adapter.name} is played by a processor: its times are no card's"
        return None

    def disturbance(self) -> str | None:
        pulse = self._driver.pulse()
        return readiness.disturbance(pulse, self._sustained_mhz(pulse))

    def energy_j(self) -> float | None:
        return self._driver.energy_j()

    def clock_s(self) -> float:
        return time.perf_counter()

    def synchronize(self) -> None:
        """Return at once: runtimes wait for their own work."""

    def worker_address(self) -> str | None:
        """Return the card's address, and whom a process there works for: it is no stranger on the card."""
        return f"gpu:{self._card.address};for={self._family.root}"

    def close(self) -> None:
        self._driver.close()

    def _begin(self) -> None:
        """Undo what a crashed process left, and say what is not known of the card."""
        try:
            self._clocks.recover()
        except BaseException:
            self._driver.close()
            raise
        if self._card.hint:
            logger.warning("%s: %s", self.adapter.name, self._card.hint)

    def _sustained_mhz(self, pulse: Pulse) -> float | None:
        """Return the clock that a block is held against: while it is held, the highest seen since.

        A driver holds it where heat and power allow, which may be far below the clock that it names.
        """
        if not self._clocks.are_held():
            self._highest_mhz = None
            return pulse.base_clock_mhz
        self._highest_mhz = max(self._highest_mhz or 0.0, pulse.clock_mhz or 0.0) or None
        return self._highest_mhz

    def _held(self) -> AbstractContextManager[None]:
        """Hold the clock of a card; one that a processor plays has none, and may serve several at once."""
        return nullcontext() if self.adapter.is_software else self._clocks.held()


def _hash(name: str) -> str:
    """Key a card's number with the machine's id: the same card in another machine is another device."""
    try:
        machine = read_regular(_MACHINE, _MAX_BYTES).strip()
    except OSError:
        machine = b""
    return hmac.new(machine, b"cars_hw" + name.encode(), hashlib.sha256).hexdigest()[:16] if name else ""
