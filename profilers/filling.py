"""Filling a table, or measuring without one: devices and runtimes by their names, connected and released."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import devices
from devices.foundation import ConfigError, load_plugin
from latency_tables import (
    Entry,
    Failure,
    KeyedBy,
    LatencyTable,
    Measurement,
    OpSpec,
    Setting,
    partial_path,
)
from profilers import runtimes
from profilers._sampling.sampling import failure
from profilers.errors import ProfilingError
from profilers.fleet import Elsewhere, Fleet
from profilers.parts import parts_of
from profilers.plan import USUAL, MeasurementPlan, Quality
from profilers.profiler import Profiler, plan_for, plan_of_kind
from profilers.progress.report import OnProgress, OnStep, Progress, ignore_progress
from profilers.progress.tally import Tally
from profilers.runtimes._runtime import Runtime, Workload
from profilers.worker.contract import MEASURING_ERRORS

#: Whole networks that each of several devices measures, to see whether they agree.
CONTROLS = 3


@dataclass(frozen=True)
class Setup:
    """On what to measure, by names.

    Attributes:
        device: ``NAME[:ADDRESS]``.
        runtime: A runtime of this project, or, with a dot, one from outside.
        threads: Threads of one inference.
        settings: Settings of the runtime.
    """

    device: str = "cpu"
    runtime: str = "onnxruntime"
    threads: int = 1
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def load_runtime(self) -> Runtime:
        """Return the runtime.

        Raises:
            UnknownNameError: There is none of that name, or it has no such setting.
            ConfigError: A setting has a value that it does not take.
        """
        if "threads" in self.settings:
            raise ConfigError(f"threads is no setting of {self.runtime}, but stands beside its settings")
        return runtimes.load(self.runtime, self.threads, **self.settings)


@dataclass(frozen=True)
class Filled:
    """What filling a table gave.

    Attributes:
        entries: Those that are new.
        resting_s: Seconds that were lost to waiting for devices to be ready.
        taken_up: How many went on from what an earlier call had measured of them when it was interrupted.
        were_there: How many were in the table before.
        failures: Those of the wanted ones that could not be measured, now or before.
        lost: Why devices were given up, whose work others took over.
        outdated: Further ones that the table holds of a time when the device was slower than it has proved
            to be.
    """

    entries: list[Entry]
    resting_s: float
    taken_up: int = 0
    were_there: int = 0
    failures: tuple[Failure, ...] = ()
    lost: tuple[str, ...] = ()
    outdated: tuple[OpSpec, ...] = ()


def fill_table(  # noqa: PLR0913  (what, where, on what and how)
    path: Path,
    workloads: Sequence[Workload],
    setup: Setup,
    *,
    addresses: Sequence[str] = (),
    elsewhere: Sequence[Elsewhere] = (),
    quality: Quality = USUAL,
    retry_failures: bool = False,
    again: bool = False,
    allow_changed: Collection[str] = (),
    keyed_by: KeyedBy = "operations",
    on_progress: OnProgress = ignore_progress,
) -> Filled:
    """Measure what the table at ``path`` lacks of ``workloads``; whatever ends this, the next call goes on.

    An interrupt costs a block; a kill, half a minute: so often is what was measured brought to the disk.

    Args:
        path: The table; made where there is none.
        workloads: What it is to hold; several devices all measure the last ``CONTROLS`` of them.
        setup: On what.
        addresses: Identical devices that share the work; that of ``setup`` if empty. Parts of the table that
            an earlier call left are merged.
        elsewhere: Identical devices that other processes measure on, in place of all of these.
        quality: How precisely.
        retry_failures: Whether what failed before is measured again.
        again: Whether everything is measured anew; by one device only.
        allow_changed: Which conditions may have changed since the table was made: see
            ``latency_tables.Changeable``. What is measured then says so; ``device`` allows nothing here.
        keyed_by: What the table is made of.
        on_progress: For progress.

    Raises:
        DeviceError: A device cannot be reached or used.
        ProfilingError: Several devices disagree, or were to measure anew.
        TableMismatchError: The table is of another device, of other settings, or of conditions that changed.
        TableError: The table cannot be written.
    """
    shared = addresses or [setup.device]
    is_shared = bool(elsewhere) or len(shared) > 1 or bool(parts_of(path))
    if again and is_shared:
        raise ProfilingError(
            f"{path} is measured anew by one device alone, and has no parts of several then: profile it first"
        )
    if is_shared:
        filled = _fill_by_fleet(
            path,
            workloads,
            setup,
            elsewhere or shared,
            quality=quality,
            retry_failures=retry_failures,
            allow_changed=allow_changed,
            keyed_by=keyed_by,
            on_progress=on_progress,
        )
    else:
        with _profiler(workloads, setup, shared[0], quality, on_progress) as (profiler, tally):
            header, is_new = profiler.header(keyed_by), not os.path.lexists(path)
            with (
                LatencyTable.open_for_writing(path, header, allow_changed=allow_changed) as table,
                _removed_if_bare(path, is_new),
            ):
                table.warn_of_changes()
                if not again:
                    tally.begin(table.measurements, {} if retry_failures else table.failures, shared[0])
                found = profiler.fill(table, workloads, retry_failures=retry_failures, again=again)
                entries = list({entry.spec: entry for entry in found}.values())
                outdated = tuple(profiler.outdated(table))
            filled = Filled(entries, profiler.resting_s, profiler.taken_up, outdated=outdated)
    failures = LatencyTable.open(path).failures
    failed = tuple(failures[workload.spec] for workload in workloads if workload.spec in failures)
    new = {entry.spec for entry in filled.entries}  # several devices measure the controls each
    were_there = len({workload.spec for workload in workloads} - new)
    return replace(filled, were_there=were_there, failures=failed)


def keep_executed(
    path: Path,
    networks: Sequence[Workload],
    setup: Setup,
    *,
    retry_failures: bool = False,
    allow_changed: Collection[str] = (),
    on_progress: OnProgress = ignore_progress,
) -> None:
    """Keep in a table of units what the device's runtime makes of each of ``networks`` that it lacks.

    A network that the runtime does not execute becomes a failure.

    Args:
        path: The table; made where there is none.
        networks: Modules.
        setup: On what.
        retry_failures: Whether one that failed before is tried again.
        allow_changed: As for ``fill_table``.
        on_progress: For progress.

    Raises:
        DeviceError: The device cannot be reached or used.
        TableMismatchError: The table is of another device, of other settings, or of conditions that changed.
        TableError: The table cannot be written.
    """
    with devices.connect(setup.device) as device:
        runtime, is_new = setup.load_runtime(), not os.path.lexists(path)
        header = Profiler(device, runtime).header("units")
        with (
            device.quiet(runtime.threads),
            LatencyTable.open_for_writing(path, header, allow_changed=allow_changed) as table,
            _removed_if_bare(path, is_new),
        ):
            wanted = [
                network
                for network in networks
                if network.spec not in table.executed
                and (retry_failures or network.spec not in table.failures)
            ]
            for done, found in enumerate(_kept(runtime, wanted, device, table), start=1):
                table.add(*found)
                on_progress(Progress(done, len(wanted), 0, None, device=setup.device))


def _kept(
    runtime: Runtime, networks: Sequence[Workload], device: devices.Device, table: LatencyTable
) -> Iterator[tuple[Failure, ...]]:
    """Keep in ``table`` what the runtime on ``device`` makes of each network; yield why it makes nothing."""
    left = list(networks)
    while left:
        try:
            for graph in runtime.executed_each(tuple(left), device):
                table.add_executed(left[0].spec, graph)
                del left[0]
                yield ()
            return
        except MEASURING_ERRORS as error:
            yield (failure(left.pop(0).spec, error),)


def lacking(path: Path, specs: Iterable[OpSpec], *, retry_failures: bool = False) -> list[OpSpec]:
    """Return those of ``specs`` that ``fill_table`` would measure; everything where there is no table.

    Args:
        path: The table; parts of several devices count as it.
        specs: What it is to hold.
        retry_failures: Whether what failed before is measured again.

    Raises:
        TableError: The table cannot be read.
    """
    there, failed = _in_table_and_parts(path)
    finished = there.keys() | (set() if retry_failures else failed.keys())
    return [spec for spec in specs if spec not in finished]


def plan_at(address: str, quality: Quality = USUAL) -> MeasurementPlan:
    """Return how the device at ``address`` would be measured; it is not asked.

    Raises:
        UnknownNameError: There is no such device.
    """
    name = address.partition(":")[0]
    return plan_of_kind(load_plugin("devices", name, devices.Device, what="device"), quality)


def measure(
    workloads: Sequence[Workload],
    setup: Setup,
    *,
    quality: Quality = USUAL,
    on_progress: OnProgress = ignore_progress,
    before_run: Callable[[], None] = lambda: None,
) -> list[Entry]:
    """Measure ``workloads`` without a table; return an entry for each, in their order.

    Args:
        workloads: What is measured, as one interleaved group.
        setup: On what.
        quality: How precisely.
        on_progress: For progress.
        before_run: See ``Profiler``; what it raises ends the measuring.

    Raises:
        DeviceError: The device cannot be reached or used.
    """
    with _profiler(workloads, setup, setup.device, quality, on_progress, before_run) as (profiler, _):
        return profiler.measure(workloads)


def _fill_by_fleet(  # noqa: PLR0913  (those of fill_table)
    path: Path,
    workloads: Sequence[Workload],
    setup: Setup,
    wanted: Sequence[str | Elsewhere],
    *,
    quality: Quality,
    retry_failures: bool,
    allow_changed: Collection[str],
    keyed_by: KeyedBy,
    on_progress: OnProgress,
) -> Filled:
    with ExitStack() as opened:
        members = [
            (opened.enter_context(devices.connect(one)), setup.load_runtime())
            if isinstance(one, str)
            else one
            for one in wanted
        ]
        labels = [one if isinstance(one, str) else one.label for one in wanted]
        first = members[0]
        plan = plan_for(first[0], quality) if isinstance(first, tuple) else plan_at(first.address, quality)
        tally = Tally([workload.spec for workload in workloads], plan, on_progress)
        watchers: dict[str, OnStep] = {}
        fleet = Fleet(
            members,
            plan,
            allow_changed=allow_changed,
            on_step=lambda name, step: watchers[name](step),
        )
        for name, label, member in zip(fleet.names, labels, members, strict=True):
            watchers[name] = tally.watch(label, member[0] if isinstance(member, tuple) else None)
        there, failed = _in_table_and_parts(path)
        tally.begin(there, {} if retry_failures else failed, labels[0])
        entries = list(
            fleet.fill(
                path,
                workloads,
                workloads[-CONTROLS:],
                retry_failures=retry_failures,
                keyed_by=keyed_by,
            )
        )
        return Filled(entries, fleet.resting_s, fleet.taken_up, lost=tuple(fleet.lost.values()))


def _in_table_and_parts(path: Path) -> tuple[dict[OpSpec, Measurement], dict[OpSpec, Failure]]:
    """Return what was measured before, and what failed."""
    there: dict[OpSpec, Measurement] = {}
    failed: dict[OpSpec, Failure] = {}
    for file in [*([path] if os.path.lexists(path) else []), *parts_of(path)]:
        table = LatencyTable.open(file)
        there |= table.measurements
        failed |= table.failures
    return there, failed


@contextmanager
def _removed_if_bare(path: Path, is_new: bool) -> Iterator[None]:
    """Leave no new table that has nothing but its header, not even blocks, where what fills it fails."""
    try:
        yield
    except BaseException:
        if is_new and not partial_path(path).exists() and path.read_bytes().count(b"\n") <= 1:
            path.unlink()
        raise


@contextmanager
def _profiler(
    workloads: Sequence[Workload],
    setup: Setup,
    address: str,
    quality: Quality,
    on_progress: OnProgress,
    before_run: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Profiler, Tally]]:
    with devices.connect(address) as device:
        plan = plan_for(device, quality)
        tally = Tally([workload.spec for workload in workloads], plan, on_progress)
        watch = tally.watch(address, device)
        yield Profiler(device, setup.load_runtime(), plan, on_step=watch, before_run=before_run), tally
