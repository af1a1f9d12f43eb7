"""The contract of hardware to measure on, and what is recorded about it."""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

from devices.foundation.plugins import plugin_name

#: How ``os_build`` begins where it names the kernel; what follows is the system built on it.
_KERNEL = re.compile(r"((?:Linux|Darwin|Windows|[A-Za-z]*BSD) [^ ,;]+)[ ,;]*(.*)")


@dataclass(frozen=True)
class DeviceInfo:
    """Identity of hardware, and those of its conditions that an update of its system changes.

    Attributes:
        kind: The plug-in's name: ``"cpu"``, ``"android"``.
        model: Processor or product name as the hardware reports it.
        platform: SoC, driver or instruction set.
        os_build: Operating system: its build, or kernel and release where these are all that is known of it.
        cores: Logical processors.
        serial_hash: Salted hash of a serial number, never the serial; empty where there is none. Several
            identical devices that measured one table together have theirs joined by ``+``.
        abi: Instruction set of its programs, where that may be another than the hardware's; empty where it is
            not known, as the texts below.
        kernel: Kernel and release, where ``os_build`` is another text.
        security_patch: Level of the system's patches.
        vendor_build: Build of the drivers.
    """

    kind: str
    model: str
    platform: str
    os_build: str
    cores: int
    serial_hash: str = ""
    abi: str = ""
    kernel: str = ""
    security_patch: str = ""
    vendor_build: str = ""

    @property
    def serials(self) -> tuple[str, ...]:
        """The hash of each device's serial number."""
        return tuple(self.serial_hash.split("+"))

    def identity(self) -> dict[str, str | int]:
        """Return what never changes about the device, by name, but for its serial number."""
        always: dict[str, str | int] = {
            "kind": self.kind,
            "model": self.model,
            "platform": self.platform,
            "cores": self.cores,
        }
        return {**always, "abi": self.abi} if self.abi else always

    def conditions(self) -> dict[str, str]:
        """Return what an update changes, by name, where it is known: the kernel, and the build."""
        named = _KERNEL.fullmatch(self.os_build)
        kernel, build = named.groups() if named else ("", self.os_build)
        found = {
            "kernel": self.kernel or kernel,
            "build": build,
            "security_patch": self.security_patch,
            "vendor_build": self.vendor_build,
        }
        return {name: value for name, value in found.items() if value}

    def includes(self, other: "DeviceInfo") -> bool:
        """Tell whether ``other`` is this device, or one of these identical ones, in whatever condition."""
        mine, its = self.identity(), other.identity()
        is_alike = all(mine[name] == its[name] for name in mine.keys() & its.keys())
        return is_alike and other.serial_hash in (self.serial_hash, *self.serials)

    def __str__(self) -> str:
        return f"{self.kind}: {self.model}, {self.cores} cores, {self.os_build}"


@dataclass(frozen=True)
class DeviceState:
    """Conditions that change: recorded with every measurement. ``None`` where hardware does not report it.

    Attributes:
        clock_mhz: Present clock of the first processor used.
        residency_s: ``(mhz, seconds)`` pairs: how long that processor has run at each clock since boot.
        governor: Policy that moves the clock.
        is_clock_fixed: Whether we hold the clock at a point that the hardware can sustain.
        temperature_c: Hottest sensor.
        skin_c: Temperature of the surface, by which phones throttle.
        thermal_status: Android's 0 (none) to 6 (shutdown): how much the system throttles.
        cooling: Names of what slows the hardware down now, to cool it.
        battery_percent: Charge of the battery.
        battery_c: Its temperature.
        is_charging: Whether it is being charged, which heats.
        load: Runnable threads over the last minute.
        steal_s: Seconds, since boot, that the hypervisor gave to somebody else, over all processors.
        affinity: Processors that a measured program may use.
        cpuset: Name of the set of processors that the system confines programs to.
        threads: Threads that the device is held quiet for; ``None`` when it is not.
        memory_clock_mhz: Clock of a card's memory.
        base_clock_mhz: Clock that a card is built to sustain.
        power_w: What a card draws.
        throttling: Names of what holds clocks down now: heat, power, a low voltage.
        other_processes: How many processes of others use a card.
    """

    clock_mhz: float | None = None
    residency_s: tuple[tuple[float, float], ...] = ()
    governor: str | None = None
    is_clock_fixed: bool | None = None
    temperature_c: float | None = None
    skin_c: float | None = None
    thermal_status: int | None = None
    cooling: tuple[str, ...] = ()
    battery_percent: float | None = None
    battery_c: float | None = None
    is_charging: bool | None = None
    load: float | None = None
    steal_s: float | None = None
    affinity: tuple[int, ...] = ()
    cpuset: str | None = None
    threads: int | None = None
    memory_clock_mhz: float | None = None
    base_clock_mhz: float | None = None
    power_w: float | None = None
    throttling: tuple[str, ...] = ()
    other_processes: int | None = None

    def mean_clock_mhz(self, before: "DeviceState") -> float | None:
        """Return the mean clock since ``before``; ``None`` where that is unknown, or it restarted."""
        earlier = dict(before.residency_s)
        spans = [(mhz, seconds - earlier.get(mhz, 0.0)) for mhz, seconds in self.residency_s]
        span_s = sum(seconds for _, seconds in spans)
        if not earlier or span_s <= 0 or any(seconds < 0 for _, seconds in spans):
            return None
        return sum(mhz * seconds for mhz, seconds in spans) / span_s


@dataclass(frozen=True)
class ThreadUse:
    """What the present thread has had of its processor since it began.

    Attributes:
        switches: How often it was taken off the processor against its will.
        cpu_s: Seconds that it ran.
    """

    switches: int
    cpu_s: float


class Device(ABC):
    """Something to measure on. A context manager: leaving it closes the connection.

    Not thread-safe; one owner at a time.
    """

    def __repr__(self) -> str:
        return f"<device {plugin_name(type(self))}>"

    @classmethod
    @abstractmethod
    def connect(cls, address: str) -> Self:
        """Connect to the device at ``address`` (empty: the only or default one).

        Raises:
            DeviceError: There is no such device, or it cannot be used; the message names the remedy.
        """

    @classmethod
    def addresses(cls) -> Sequence[str]:
        """Return the addresses at which there is something to measure on now; here, the empty one alone.

        Raises:
            DeviceError: They cannot be found out.
        """
        return ("",)

    @abstractmethod
    def info(self) -> DeviceInfo:
        """Return the device's identity."""

    def boot_id(self) -> str:
        """Return a name of the present boot, by which two devices of one serial number differ.

        Empty where the device has none.
        """
        return ""

    @abstractmethod
    def state(self) -> DeviceState:
        """Return the present conditions."""

    @abstractmethod
    def quiet(self, threads: int) -> AbstractContextManager[None]:
        """Fix what may be fixed for measuring with ``threads`` threads; leaving restores it."""

    def why_not_ready(self) -> str | None:
        """Return why measuring now would mislead, and what helps; ``None``: the device is ready.

        A low battery, a device about to shut down: what may pass if it is waited for, and what no
        reference workload shows.

        Raises:
            DeviceError: The device was lost, or restarted.
        """
        return None

    def signs_of_heat(self) -> str | None:
        """Return what the device reports of heat that may slow it, and what helps; ``None``: nothing.

        Devices report late, or wrongly. So this explains what a reference workload found, and decides only
        where none can be run.

        Raises:
            DeviceError: The device was lost, or restarted.
        """
        return None

    def why_untimed(self) -> str | None:
        """Return why times of this device say nothing of any hardware; ``None``: they are latencies.

        What runs on such a device, one that only plays a card in software, is checked and never timed.
        """
        return None

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

    def thread_use(self) -> ThreadUse | None:
        """Return what this thread has had of its processor; ``None`` where that is not known."""
        return None

    def disturbance(self) -> str | None:
        """Return what the hardware reports now by which the block that just ended does not count.

        ``None``: nothing, or it reports nothing. Asked after each block: it takes a millisecond at most.
        """
        return None

    def energy_j(self) -> float | None:
        """Return the joules that the hardware has used since some moment; ``None``: it does not tell."""
        return None

    def worker_address(self) -> str | None:
        """Return how a process connects to the same hardware that has the affinity of this thread.

        ``None``, as here: it cannot, or what it measures there is not the same.
        """
        return None


@dataclass(frozen=True)
class Adapter:
    """Which of a machine's graphics cards a device is, by the names that drivers and runtimes know.

    Attributes:
        name: As its driver reports it.
        vendor_id: PCI's number of its maker: 0x10de is NVIDIA, 0x1002 AMD, 0x8086 Intel.
        device_id: The maker's number of the product.
        number: Among the cards of this maker, in the order in which its driver lists them.
        uuid: As the driver writes it; empty where it has none.
        pci: ``domain:bus:device.function``; empty where it is not known.
        is_software: Whether a processor plays it.
    """

    name: str
    vendor_id: int
    device_id: int
    number: int = 0
    uuid: str = ""
    pci: str = ""
    is_software: bool = False


class Accelerator(HostDevice):
    """A graphics card of this machine, whose work runs beside the thread that gives it.

    ``synchronize`` waits for nothing that a runtime has queued by itself: runtimes wait for their own work.
    """

    @property
    @abstractmethod
    def adapter(self) -> Adapter:
        """Which card it is: a runtime that runs on another one measures nothing of this device."""

    def shown_by_vulkan(self) -> Sequence[Adapter]:
        """Return the cards that Vulkan shows: one of them a runtime on Vulkan takes, by itself."""
        return [self.adapter]


@dataclass(frozen=True)
class Completed:
    """A program that ended on a remote device.

    Attributes:
        stdout: What it wrote, not trusted.
        stderr: What it wrote there, not trusted.
        exit_status: 0 where the program reports that all went well.
    """

    stdout: bytes
    stderr: bytes
    exit_status: int


class RemoteDevice(Device):
    """A device with files and programs of its own; nothing is timed over the link to it.

    Whatever is written there lies in one folder of ours. Between ``quiet`` and its end, programs run on the
    processors that were chosen then.
    """

    @abstractmethod
    def push(self, content: bytes, *, executable: bool = False) -> str:
        """Write ``content`` to a file named by its SHA-256, unless that is there already; return its path.

        Raises:
            DeviceError: The device is full, refuses, or was lost.
        """

    @abstractmethod
    def run(
        self, argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        """Run a program to its end; no shell takes ``argv`` apart.

        Raises:
            DeviceTimeoutError: It took longer than ``timeout_s``; it was killed.
            DeviceLostError: The device was lost meanwhile.
        """

    @abstractmethod
    def pull(self, path: str, *, max_bytes: int) -> bytes:
        """Return the content of a file, not trusted.

        Raises:
            DeviceError: There is no such file, it is larger than ``max_bytes``, or the device was lost.
        """

    @abstractmethod
    def scratch(self) -> AbstractContextManager[str]:
        """Make a fresh folder of a random name for the results of one run; leaving removes it."""


class Conversation(ABC):
    """A program that runs on a remote device and answers what it is asked; leaving it ends the program."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: a program on a remote device>"

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Write all of ``content`` to the program's standard input.

        Raises:
            DeviceLostError: The device was lost, or the program has ended.
        """

    @abstractmethod
    def read(self, n: int, *, timeout_s: float) -> bytes:
        """Return up to ``n`` bytes of its standard output, not trusted; none where it has ended.

        Raises:
            DeviceTimeoutError: Nothing came for so long.
        """

    @abstractmethod
    def last_words(self) -> str:
        """Return the end of what it wrote to its standard error, not trusted."""


class RemoteHost(RemoteDevice):
    """A remote device that runs Python, and programs of ours that answer: a board, another machine."""

    @abstractmethod
    def converse(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Conversation]:
        """Start a program, on the processors that ``quiet`` chose; no shell takes ``argv`` apart.

        Nothing is asked of the device for each message. The program ends when its standard input does.

        Raises:
            DeviceError: It cannot be started, or the device was lost.
        """

    @abstractmethod
    def python(self) -> str:
        """Return the Python that programs of ours run under, as the address names it."""
