"""What ``profile``, ``bench`` and ``demo`` share: measuring on a device, with a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

import devices
from cars_hw.cli._output import progress, say
from cars_hw.config import LatencySection
from latency_tables import Entry, LatencyTable
from profilers import USUAL, Fleet, MeasurementPlan, Profiler, Quality, Runtime, Workload, plan_for, runtimes

#: Whole networks that each of several devices measures, to see whether they agree.
SENTINELS = 3


@dataclass(frozen=True)
class Filled:
    """What filling a table gave.

    Attributes:
        entries: Those that are new.
        resting_s: Seconds that were lost to waiting for the device to be ready.
    """

    entries: list[Entry]
    resting_s: float


def fill_table(
    latency: LatencySection,
    workloads: Sequence[Workload],
    *,
    what: str,
    quality: Quality = USUAL,
    path: Path | None = None,
    retry_failures: bool = False,
    again: bool = False,
) -> Filled:
    """Measure what the table lacks of ``workloads``; return the new entries.

    Args:
        latency: Device, runtime, threads and, unless ``path`` is given, the table.
        workloads: What the table is to hold.
        what: Name of the workloads in the plural, for the progress bar.
        quality: How precisely.
        path: Another table than that of ``latency``.
        retry_failures: Whether what failed before is measured again.
        again: Whether everything is measured anew.
    """
    with _profiler(latency, what, quality) as profiler:
        with LatencyTable.append(path or Path(latency.table), profiler.header()) as table:
            entries = list(profiler.fill(table, workloads, retry_failures=retry_failures, again=again))
        return Filled(entries, profiler.resting_s)


def fill_by_fleet(
    latency: LatencySection,
    addresses: Sequence[str],
    workloads: Sequence[Workload],
    *,
    quality: Quality = USUAL,
    retry_failures: bool = False,
) -> Filled:
    """Let several identical devices share what the table lacks of ``workloads``; return the new entries.

    The last ``SENTINELS`` of the workloads are measured by every device.
    """
    with ExitStack() as opened:
        bars = opened.enter_context(progress())
        members = [
            (opened.enter_context(devices.connect(address)), _runtime(latency)) for address in addresses
        ]
        plan = plan_for(members[0][0], quality)
        tasks = {
            device.info().serial_hash: bars.add_task(f"{address}: rounds", total=plan.max_rounds)
            for address, (device, _) in zip(addresses, members, strict=True)
        }
        fleet = Fleet(members, plan, on_round=lambda serial, n: bars.update(tasks[serial], completed=n))
        sentinels = workloads[-SENTINELS:]
        path = Path(latency.table)
        entries = list(fleet.fill(path, workloads, sentinels, retry_failures=retry_failures))
        for reason in fleet.lost.values():
            say(f"given up: {reason}; the others took over what it had not finished")
        return Filled(entries, fleet.resting_s)


def measure(latency: LatencySection, workloads: Sequence[Workload], *, what: str) -> list[Entry]:
    """Measure ``workloads`` without a table; return an entry for each, in their order."""
    with _profiler(latency, what, USUAL) as profiler:
        return profiler.measure(workloads)


@contextmanager
def _profiler(latency: LatencySection, what: str, quality: Quality) -> Iterator[Profiler]:
    with devices.connect(latency.device) as device, progress() as bars:
        plan = plan_for(device, quality)
        yield Profiler(device, _runtime(latency), plan, on_round=_bar(bars, what, plan))


def _runtime(latency: LatencySection) -> Runtime:
    return runtimes.load(latency.runtime, latency.threads, **latency.settings)


def _bar(bars: Progress, what: str, plan: MeasurementPlan) -> Callable[[int], None]:
    """Return what to call after each round; the time left is that of the longest measurement possible."""
    task = bars.add_task(f"measuring {what}: rounds", total=plan.max_rounds)
    return lambda rounds: bars.update(task, completed=rounds)
