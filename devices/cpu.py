"""The processors of this machine."""

import hashlib
import hmac
import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from devices import _proc
from devices._device import DeviceInfo, DeviceState, HostDevice, ThreadUse
from devices._errors import DeviceError
from devices._kinds import kinds, listed
from devices._kinds import processors as in_list

try:
    import resource
except ModuleNotFoundError:  # Windows
    resource = None  # type: ignore[assignment]

_PROCESSORS = re.compile(r"[0-9]{1,5}(,[0-9]{1,5})*")

#: What kernels since 5.13 list on hybrid processors of Intel's, slowest first.
_INTEL_KINDS = ("cpu_lowpower", "cpu_atom", "cpu_core")

#: Processors favour some cores of one kind by up to a tenth of clock; efficient cores lack 16 % at the least.
_FAVOUR = 1.13

_CORE_FILES = ("cpu_capacity", "cpufreq/cpuinfo_max_freq", "cpufreq/related_cpus")


class Cpu(HostDevice):
    """The processors of this machine; its address lists those to use: ``cpu``, ``cpu:1``, ``cpu:2,3``.

    Args:
        processors: Numbers of the processors to use; empty: of those that this process may use, all of the
            fastest kind.
        root: Where ``proc``, ``sys`` and ``etc`` are.
    """

    def __init__(self, processors: Sequence[int] = (), *, root: Path = Path("/")) -> None:
        allowed = _affinity() or tuple(range(_count()))
        missing = sorted(set(processors) - set(allowed))
        if missing:
            raise DeviceError(
                f"this process may not use processor {missing[0]}; choose among {_text(allowed)}"
            )
        self._root = root
        self._kinds = self._kinds_of_core()
        self._processors = tuple(sorted(set(processors) or self._fastest(allowed)))
        self._quiet_threads: int | None = None

    @classmethod
    def connect(cls, address: str) -> Self:
        if address and not _PROCESSORS.fullmatch(address):
            raise DeviceError(f"{address[:64]!r} is no list of processors; write cpu, cpu:1 or cpu:2,3")
        return cls([int(number) for number in address.split(",") if number])

    def info(self) -> DeviceInfo:
        return DeviceInfo(
            kind="cpu",
            model=_proc.cpu_model(self._read("proc/cpuinfo")) or platform.processor() or platform.machine(),
            platform=platform.machine() + self._kind_text(),
            os_build=f"{platform.system()} {platform.release()}",
            cores=_count(),
            serial_hash=_hash(self._read("etc/machine-id").strip()),
        )

    def state(self) -> DeviceState:
        affinity = _affinity()
        first = (affinity or self._processors)[0]
        scaling = f"sys/devices/system/cpu/cpu{first}/cpufreq"
        zones = sorted(self._root.glob("sys/class/thermal/thermal_zone*/temp"))
        clock_mhz = _proc.scaling_mhz(self._read(f"{scaling}/scaling_cur_freq"))
        steal = _proc.steal_ticks(self._read("proc/stat"))
        return DeviceState(
            clock_mhz=clock_mhz or _proc.cpu_clock_mhz(self._read("proc/cpuinfo"), first),
            governor=self._read(f"{scaling}/scaling_governor").strip() or None,
            temperature_c=_proc.hottest_c(self._read(zone) for zone in zones),
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            steal_s=None if steal is None else steal / os.sysconf("SC_CLK_TCK"),
            affinity=affinity,
            threads=self._quiet_threads,
        )

    @contextmanager
    def quiet(self, threads: int) -> Iterator[None]:
        """Pin this thread, and every thread that it starts from now on, to ``threads`` processors.

        They are the highest-numbered ones of the fastest kind: processor 0 serves most interrupts. A thread
        has the affinity of the one that started it, so a thread pool must be created inside of this. Where
        the system cannot pin (macOS, Windows), nothing is pinned.

        Raises:
            DeviceError: There are fewer processors than threads.
        """
        if not 1 <= threads <= len(self._processors):
            raise DeviceError(
                f"{threads} threads do not fit on the processors to use ({_text(self._processors)}); "
                f"ask for 1 to {len(self._processors)} threads, or name more processors"
            )
        before, threads_before = _affinity(), self._quiet_threads
        if before:
            os.sched_setaffinity(0, sorted(self._processors, key=self._preference)[-threads:])
        self._quiet_threads = threads
        try:
            yield
        finally:
            self._quiet_threads = threads_before
            if before:
                os.sched_setaffinity(0, before)

    def clock_s(self) -> float:
        return time.perf_counter()

    def synchronize(self) -> None:
        """Return at once: a call on the CPU has ended when it returns."""

    def thread_use(self) -> ThreadUse | None:
        if resource is None or not hasattr(resource, "RUSAGE_THREAD"):  # of Linux alone
            return None
        return ThreadUse(resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw, time.thread_time())

    def worker_address(self) -> str | None:
        """Return the address of all processors: the affinity says which."""
        return "cpu" if os.name == "posix" else None

    def _kinds_of_core(self) -> Sequence[Sequence[int]]:
        """Return the processors of each kind of core, slowest first; none where it is not reported."""
        folders = list(self._root.glob("sys/devices/system/cpu/cpu[0-9]*"))
        found = {name: set(in_list(self._read(f"sys/devices/{name}/cpus"))) for name in _INTEL_KINDS}
        listed_ones = set[int]().union(*found.values())
        if listed_ones:  # a virtual machine may show one list only: the others are of the other kind
            others = {int(folder.name.removeprefix("cpu")) for folder in folders} - listed_ones
            found["cpu_atom" if found["cpu_core"] else "cpu_core"] |= others
        ranked = [sorted(numbers) for numbers in found.values() if numbers]
        if len(ranked) > 1:
            return ranked
        reports = [
            f"{folder.name}/{name}:{self._read(folder / name).strip()}"
            for folder in folders
            for name in _CORE_FILES
        ]
        return kinds("\n".join(reports), self._read("proc/cpuinfo"), step=_FAVOUR)

    def _fastest(self, allowed: Sequence[int]) -> Sequence[int]:
        usable = [set(kind) & set(allowed) for kind in self._kinds]
        if len(usable) < 2:
            return allowed
        return sorted(next((kind for kind in reversed(usable) if kind), allowed))

    def _preference(self, processor: int) -> tuple[int, int]:
        ranks = [rank for rank, kind in enumerate(self._kinds) if processor in kind]
        return (ranks[0] if ranks else 0, processor)

    def _kind_text(self) -> str:
        """Return of what kind the processors to use are, where the machine has several."""
        if len(self._kinds) < 2:
            return ""
        used = [kind for kind in self._kinds if set(kind) & set(self._processors)]
        if len(used) != 1:
            return f"; cores {listed(self._processors)} of several kinds"
        names = ["slow", *["middle"] * (len(self._kinds) - 2), "fast"]
        return f"; {names[self._kinds.index(used[0])]} cores {listed(used[0])}"

    def _read(self, path: str | Path) -> str:
        try:
            return (self._root / path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""  # this kernel, or this container, has none


def _affinity() -> tuple[int, ...]:
    """Return the processors that this thread may use; empty where the system does not report them."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def _count() -> int:
    return os.cpu_count() or 1


def _text(processors: Sequence[int]) -> str:
    return ", ".join(map(str, processors))


def _hash(machine_id: str) -> str:
    """Key a constant with the machine's id, which man 5 machine-id asks not to be published."""
    return hmac.new(machine_id.encode(), b"cars_hw", hashlib.sha256).hexdigest()[:16] if machine_id else ""
