"""What ``profile``, ``bench`` and ``demo`` share: measuring on a device, with a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

import devices
from cars_hw.cli._output import progress
from cars_hw.config import LatencySection
from latency_tables.measurement import Entry
from latency_tables.table import LatencyTable
from profilers import runtimes
from profilers.plan import USUAL, MeasurementPlan, Quality
from profilers.profiler import Profiler, plan_for
from profilers.runtimes._runtime import Workload


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
) -> Filled:
    """Measure what the table lacks of ``workloads``; return the new entries.

    Args:
        latency: Device, runtime, threads and, unless ``path`` is given, the table.
        workloads: What the table is to hold.
        what: Name of the workloads in the plural, for the progress bar.
        quality: How precisely.
        path: Another table than that of ``latency``.
        retry_failures: Whether what failed before is measured again.
    """
    with _profiler(latency, what, quality) as profiler:
        with LatencyTable.append(path or Path(latency.table), profiler.header()) as table:
            entries = list(profiler.fill(table, workloads, retry_failures=retry_failures))
        return Filled(entries, profiler.resting_s)


def measure(latency: LatencySection, workloads: Sequence[Workload], *, what: str) -> list[Entry]:
    """Measure ``workloads`` without a table; return an entry for each, in their order."""
    with _profiler(latency, what, USUAL) as profiler:
        return profiler.measure(workloads)


@contextmanager
def _profiler(latency: LatencySection, what: str, quality: Quality) -> Iterator[Profiler]:
    with devices.connect(latency.device) as device, progress() as bars:
        runtime = runtimes.load(latency.runtime, latency.threads, **latency.settings)
        plan = plan_for(device, quality)
        yield Profiler(device, runtime, plan, on_round=_bar(bars, what, plan))


def _bar(bars: Progress, what: str, plan: MeasurementPlan) -> Callable[[int], None]:
    """Return what to call after each round; the time left is that of the longest measurement possible."""
    task = bars.add_task(f"measuring {what}: rounds", total=plan.max_rounds)
    return lambda rounds: bars.update(task, completed=rounds)
