"""What ``profile``, ``bench`` and ``demo`` share: measuring on a device, with a progress bar."""

from collections.abc import Sequence
from pathlib import Path

import devices
from cars_hw.cli._output import progress
from cars_hw.config import LatencySection
from latency_tables.measurement import Entry
from latency_tables.table import LatencyTable
from profilers import runtimes
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Workload


def fill_table(
    latency: LatencySection,
    workloads: Sequence[Workload],
    plan: MeasurementPlan,
    *,
    what: str,
    path: Path | None = None,
) -> list[Entry]:
    """Measure what the table lacks of ``workloads``; return the new entries.

    Args:
        latency: Device, runtime, threads and, unless ``path`` is given, the table.
        workloads: What the table is to hold.
        plan: How precisely.
        what: Name of the workloads in the plural, for the progress bar.
        path: Another table than that of ``latency``.
    """
    with devices.connect(latency.device) as device:
        profiler = Profiler(device, runtimes.load(latency.runtime, threads=latency.threads), plan)
        with LatencyTable.append(path or Path(latency.table), profiler.header()) as table, progress() as bars:
            missing = table.missing([workload.spec for workload in workloads])
            task = bars.add_task(f"measuring {what}", total=len(missing))
            entries = []
            for entry in profiler.fill(table, workloads):
                entries.append(entry)
                bars.advance(task)
            return entries


def measure(
    latency: LatencySection, workloads: Sequence[Workload], plan: MeasurementPlan, *, what: str
) -> list[Entry]:
    """Measure ``workloads`` without a table; return an entry for each, in their order."""
    with devices.connect(latency.device) as device, progress() as bars:
        runtime = runtimes.load(latency.runtime, threads=latency.threads)
        bars.add_task(f"measuring {what}", total=None)
        return Profiler(device, runtime, plan).measure(workloads)
