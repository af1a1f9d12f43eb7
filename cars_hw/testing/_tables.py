"""Latency tables without measuring: every entry follows from the operation's text."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cars_hw.latency.contents import TableContents
from cars_hw.latency.filling import UnitFilling
from cars_hw.spaces._space import SearchSpace
from devices import connect
from latency_tables import (
    CALL_OVERHEAD,
    Extent,
    LatencyTable,
    Measurement,
    OpSpec,
    TableHeader,
)
from profilers import Filled, Profiler, Setup, Workload, keep_executed, runtimes

#: What an executed unit costs in these networks, of what it costs alone.
_IN_A_NETWORK = 0.9


def write_table(
    path: Path,
    space: SearchSpace,
    *,
    kind: str = "cpu",
    runtime: str = "onnxruntime",
    threads: int = 1,
    executes: Extent = "live",
) -> Path:
    """Write a table of operations that holds all of ``space``, as if measured on this machine."""
    here = connect("cpu")
    is_here = (kind, runtime) == ("cpu", "onnxruntime")
    version = runtimes.load(runtime, threads).version(here) if is_here else "0"
    device = replace(here.info(), kind=kind)
    with LatencyTable.create(
        path, TableHeader(device, runtime, version, threads, executes=executes)
    ) as table:
        table.add(*(Measurement(spec, (_latency_s(spec),)) for spec in TableContents(space).specs))
    return path


def write_unit_table(path: Path, space: SearchSpace, *, device: str = "fake", runtime: str = "fake") -> Path:
    """Write a table of units that holds all of ``space``, as if measured by a runtime that shows them.

    A network takes one call and its units, each at nine tenths of what it takes alone.
    """
    setup = Setup(device, runtime)

    def keep(networks: Sequence[Workload]) -> None:
        keep_executed(path, networks, setup)

    def fill(workloads: Sequence[Workload]) -> Filled:
        with connect(device) as on:
            header = Profiler(on, setup.load_runtime()).header("units")
        with LatencyTable.open_for_writing(path, header) as table:
            missing = table.missing([workload.spec for workload in workloads])
            entries = [Measurement(spec, (unit_latency_s(spec, table),)) for spec in missing]
            table.add(*entries)
        return Filled(list(entries), resting_s=0.0)

    UnitFilling(space, path, setup, keep, fill).run()
    return path


def unit_latency_s(spec: OpSpec, table: LatencyTable) -> float:
    """Return the seconds that ``write_unit_table`` gives a call, a unit, or a network of known units."""
    if spec not in table.executed:
        return _latency_s(spec)
    counts = table.executed[spec].counts
    net_s = (n * (_latency_s(unit) - _latency_s(CALL_OVERHEAD)) for unit, n in counts.items())
    return _latency_s(CALL_OVERHEAD) + _IN_A_NETWORK * math.fsum(net_s)


def _latency_s(spec: OpSpec) -> float:
    if spec == CALL_OVERHEAD:
        return 1e-6
    share = int.from_bytes(hashlib.sha256(str(spec).encode()).digest()[:4]) / 2**32
    return (3e-3 if spec.kind == "network" else 1e-5) * (1 + share)
