"""Parts of a table: what each of several devices measured, and how they become one table."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from devices import DeviceError
from latency_tables import LatencyTable, Measurement, OpSpec, TableHeader, partial_path
from profilers.errors import ProfilingError
from profilers.runtimes._runtime import Workload

#: Largest relative difference of a control between two devices whose entries may stand in one table.
TOLERANCE = 0.05


def parts_of(path: Path) -> list[Path]:
    """Return the parts of the table at ``path`` that were not merged yet."""
    form = re.compile(re.escape(path.name) + r"\.part-[0-9a-f]+")
    try:
        names = os.listdir(path.parent)
    except OSError:
        return []  # whoever opens the table reports what is wrong with its folder
    return [path.with_name(name) for name in sorted(names) if form.fullmatch(name)]


def part_path(path: Path, serial: str) -> Path:
    """Return where the device whose serial number has this hash keeps its part of the table at ``path``."""
    return path.with_name(f"{path.name}.part-{serial}")


def merge(path: Path, controls: Sequence[Workload], *, tolerance: float = TOLERANCE) -> None:
    """Make one table of the parts beside ``path``, and remove them.

    Raises:
        ProfilingError: Two parts disagree on a control, which every device measures; all parts stay.
        TableError: A part is of other hardware, or a file cannot be read or written.
    """
    parts = [LatencyTable.open(part) for part in parts_of(path)]
    before = [LatencyTable.open(path)] if path.exists() else []
    for table in [*before, *parts][1:]:
        require_alike([*before, *parts][0].header, table.header)
    _require_agreement([*before, *parts], [workload.spec for workload in controls], tolerance)
    serials = {serial for table in [*before, *parts] for serial in table.header.device.serials}
    first = parts[0].header
    header = replace(first, device=replace(first.device, serial_hash="+".join(sorted(serials))))
    merged = LatencyTable.in_memory(header)
    for table in [*parts, *before]:
        merged.add(*table.failures.values())
    for table in [*parts, *before]:
        merged.add(*(_marked(entry, table.header) for entry in table.measurements.values()))
    if before and before[0].validation is not None:
        merged.add_validation(before[0].validation)
    merged.save(path)
    for part in parts_of(path):
        part.unlink()
        partial_path(part).unlink(missing_ok=True)  # what was unfinished there, another device has finished


def require_alike(first: TableHeader, other: TableHeader) -> None:
    """Refuse devices that differ in more than their serial number.

    Raises:
        DeviceError: Naming the first fact in which they differ.
    """
    first_facts, other_facts = first.facts(), other.facts()
    for name in first_facts | other_facts:
        found, wanted = first_facts.get(name, "unset"), other_facts.get(name, "unset")
        if found != wanted and name != "device.serial_hash":
            raise DeviceError(
                f"the devices differ in {name}: {found!r:.80} and {wanted!r:.80}; "
                "only identical ones share a table"
            )


def _require_agreement(tables: Sequence[LatencyTable], controls: Sequence[OpSpec], tolerance: float) -> None:
    """Check that all devices that measured a control measured the same."""
    for spec in controls:
        seen = {table.header.device.serial_hash: table[spec].latency_s for table in tables if spec in table}
        if len(seen) < 2:
            continue
        slowest, fastest = max(seen, key=seen.__getitem__), min(seen, key=seen.__getitem__)
        excess = seen[slowest] / seen[fastest] - 1
        if excess > tolerance:
            raise ProfilingError(
                f"the devices disagree: {slowest} takes {excess:.0%} longer than {fastest} for {spec} "
                f"({tolerance:.0%} are allowed); the parts are kept: remove one device's part, or cool it "
                "and profile again"
            )


def _marked(entry: Measurement, header: TableHeader) -> Measurement:
    """Say which device measured ``entry``."""
    conditions = {"serial_hash": header.device.serial_hash, **entry.conditions}
    return replace(entry, conditions=conditions)
