"""Parts of a table: what each of several devices measured, and how they become one table."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from devices import DeviceError, DeviceInfo
from latency_tables import (
    ChangedConditionsError,
    LatencyTable,
    Measurement,
    OpSpec,
    TableHeader,
    TableMismatchError,
    partial_path,
)
from profilers.errors import ProfilingError
from profilers.runtimes._runtime import Workload

#: Largest relative difference of a control between two devices whose entries may stand in one table.
TOLERANCE = 0.05


class Identified(Protocol):
    """What tells a device from others."""

    def info(self) -> DeviceInfo:
        """Return its identity."""
        ...

    def boot_id(self) -> str:
        """Return a name of its present boot; empty where it has none."""
        ...


def parts_of(path: Path) -> list[Path]:
    """Return the parts of the table at ``path`` that were not merged yet."""
    form = re.compile(re.escape(path.name) + r"\.part-[0-9a-f]+")
    try:
        names = os.listdir(path.parent)
    except OSError:
        return []  # whoever opens the table reports what is wrong with its folder
    return [path.with_name(name) for name in sorted(names) if form.fullmatch(name)]


def part_path(path: Path, name: str) -> Path:
    """Return where the member of that name keeps its part of the table at ``path``."""
    return path.with_name(f"{path.name}.part-{name}")


def member_names(members: Sequence[Identified]) -> tuple[str, ...]:
    """Return a name of each device, in hexadecimal digits: the hash of its serial number.

    Cheap phones leave the factory with one number, or with none. Those get the hash of their present boot
    beside it: until they restart, they are told apart, and find their parts again.

    Raises:
        DeviceError: Two of them are one device, or cannot be told apart.
    """
    serials = [device.info().serial_hash for device in members]
    names = tuple(
        serial if serial and n == 1 else name_of_boot(device)
        for device, serial, n in zip(
            members, serials, map(Counter(serials).__getitem__, serials), strict=True
        )
    )
    if len(set(names)) == len(names):
        return names
    if all(device.boot_id() for device in members):
        raise DeviceError("two of the addresses lead to one device; name it once")
    raise DeviceError(
        "two of the addresses lead to one device, or to devices of one serial number or of none that do not "
        "report their boot, and so cannot be told apart: keep a table for each"
    )


def name_of_boot(device: Identified) -> str:
    """Return the name of a device until it restarts: of its serial number and its present boot."""
    boot = hashlib.sha256(b"cars_hw: a boot " + device.boot_id().encode()).hexdigest()[:16]
    return device.info().serial_hash + boot


def merge(
    path: Path,
    controls: Sequence[Workload],
    *,
    tolerance: float = TOLERANCE,
    allow_changed: Collection[str] = (),
) -> None:
    """Make one table of the parts beside ``path``, and remove them.

    Args:
        path: The table, whose header stays where it is there already.
        controls: Measured by every device.
        tolerance: Largest relative difference of a control between two devices.
        allow_changed: The conditions that may differ: see ``latency_tables.Changeable``. A measurement under
            others than the table's says so.

    Raises:
        ProfilingError: Two parts disagree on a control, which every device measures; all parts stay.
        DeviceError: A part is of other hardware.
        ChangedConditionsError: It is of other conditions, and nobody allowed that.
        TableError: A file cannot be read or written.
    """
    paths = parts_of(path)
    parts = [LatencyTable.open(part) for part in paths]
    before = [LatencyTable.open(path)] if path.exists() else []
    first = [*before, *parts][0].header
    for table in [*before, *parts][1:]:
        require_alike(first, table.header, allow_changed)
    names = [*(table.header.device.serial_hash for table in before), *map(_member_of, paths)]
    _require_agreement(
        list(zip(names, [*before, *parts], strict=True)), [work.spec for work in controls], tolerance
    )
    serials = {serial for table in [*before, *parts] for serial in table.header.device.serials}
    header = replace(first, device=replace(first.device, serial_hash="+".join(sorted(serials))))
    merged = LatencyTable.in_memory(header)
    for table in [*parts, *before]:
        merged.add(*table.failures.values())
    for table in [*parts, *before]:
        merged.add(*(_marked(entry, table.header, first) for entry in table.measurements.values()))
    for table in [*parts, *before]:
        for network, graph in table.executed.items():
            merged.add_executed(network, graph)
    if before and before[0].validation is not None:
        merged.add_validation(before[0].validation)
    merged.save(path)
    for part in paths:
        part.unlink()
        partial_path(part).unlink(missing_ok=True)  # what was unfinished there, another device has finished


def _member_of(part: Path) -> str:
    """Return the name of the member that a part is of."""
    return part.name.rpartition(".part-")[2]


def require_alike(first: TableHeader, other: TableHeader, allow_changed: Collection[str] = ()) -> None:
    """Refuse devices that differ in more than their serial number.

    Raises:
        DeviceError: Naming the first fact in which they differ.
        ChangedConditionsError: They differ in conditions alone, and not all of these are allowed to.
    """
    twin = replace(other, device=replace(other.device, serial_hash=first.device.serial_hash))
    try:
        first.require_equal(twin, allow_changed=allow_changed)
    except ChangedConditionsError:
        raise
    except TableMismatchError as error:
        raise DeviceError(
            f"the devices differ in {error.field}: {error.found!r:.80} and {error.wanted!r:.80}; "
            "only identical ones share a table"
        ) from error


def _require_agreement(
    tables: Sequence[tuple[str, LatencyTable]], controls: Sequence[OpSpec], tolerance: float
) -> None:
    """Check that all devices that measured a control, each with its name, measured the same."""
    for spec in controls:
        seen = {name: table[spec].latency_s for name, table in tables if spec in table}
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


def _marked(entry: Measurement, header: TableHeader, first: TableHeader) -> Measurement:
    """Say which device measured ``entry``, and under which conditions, if not under those of ``first``."""
    changed = {name: now for name, (_, now) in first.changes(header).items()}
    conditions = {"serial_hash": header.device.serial_hash, **changed, **entry.conditions}
    return replace(entry, conditions=conditions)
