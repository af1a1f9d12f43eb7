"""The contract of hardware to measure on, and what is recorded about it."""

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class DeviceInfo:
    """Identity of hardware: equal for two devices whose latencies may be compared.

    Attributes:
        kind: The plug-in's name: ``"cpu"``, ``"android"``.
        model: Processor or product name as the hardware reports it.
        platform: SoC, driver or instruction set.
        os_build: Operating system and kernel release.
        cores: Logical processors.
        serial_hash: Salted hash of a serial number, never the serial; empty where there is none.
    """

    kind: str
    model: str
    platform: str
    os_build: str
    cores: int
    serial_hash: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.model}, {self.cores} cores, {self.os_build}"


@dataclass(frozen=True)
class DeviceState:
    """Conditions that change: recorded with every measurement. ``None`` where the hardware does not tell.

    Attributes:
        clock_mhz: Present clock of the first processor used.
        governor: Policy that moves the clock.
        temperature_c: Hottest sensor.
        load: Runnable threads over the last minute.
        steal_s: Seconds, since boot, that the hypervisor gave to somebody else, over all processors.
        affinity: Processors that this process may use.
        threads: Threads that the device is held quiet for; ``None`` when it is not.
    """

    clock_mhz: float | None = None
    governor: str | None = None
    temperature_c: float | None = None
    load: float | None = None
    steal_s: float | None = None
    affinity: tuple[int, ...] = ()
    threads: int | None = None


class Device(ABC):
    """Something to measure on. A context manager: leaving it closes the connection.

    Not thread-safe; one owner at a time.
    """

    @classmethod
    @abstractmethod
    def connect(cls, address: str) -> Self:
        """Connect to the device at ``address`` (empty: the only or default one).

        Raises:
            DeviceError: There is no such device, or it cannot be used; the message names the remedy.
        """

    @abstractmethod
    def info(self) -> DeviceInfo:
        """Return the device's identity."""

    @abstractmethod
    def state(self) -> DeviceState:
        """Return the present conditions."""

    @abstractmethod
    def quiet(self, threads: int) -> AbstractContextManager[None]:
        """Fix what may be fixed for measuring with ``threads`` threads; leaving restores it."""

    def pause(self, seconds: float) -> None:
        """Let the device rest."""
        time.sleep(seconds)

    def close(self) -> None:  # noqa: B027  (most devices have nothing to release)
        """Release the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class HostDevice(Device):
    """A device whose work is started from this process."""

    @abstractmethod
    def clock_s(self) -> float:
        """Return a monotonic time in seconds; only differences mean anything."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all work given to the device has ended."""
