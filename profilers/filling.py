"""Filling a table, or measuring without one: devices and runtimes by their names, connected and released."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import devices
from devices.foundation import ConfigError
from latency_tables import Entry, Failure, LatencyTable, Setting
from profilers import runtimes
from profilers.errors import ProfilingError
from profilers.fleet import Fleet
from profilers.parts import parts_of
from profilers.plan import USUAL, Quality
from profilers.profiler import Profiler, plan_for
from profilers.runtimes._runtime import Runtime, Workload

#: Whole networks that each of several devices measures, to see whether they agree.
CONTROLS = 3

#: Called with a device's address, the rounds of its present group that are done, and the most that there are.
OnRound = Callable[[str, int, int], None]


def ignore_rounds(device: str, rounds: int, most: int) -> None:
    """Show no progress."""


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
    """

    entries: list[Entry]
    resting_s: float
    taken_up: int = 0
    were_there: int = 0
    failures: tuple[Failure, ...] = ()
    lost: tuple[str, ...] = ()


def fill_table(  # noqa: PLR0913  (what, where, on what and how)
    path: Path,
    workloads: Sequence[Workload],
    setup: Setup,
    *,
    addresses: Sequence[str] = (),
    quality: Quality = USUAL,
    retry_failures: bool = False,
    again: bool = False,
    on_round: OnRound = ignore_rounds,
) -> Filled:
    """Measure what the table at ``path`` lacks of ``workloads``; whatever ends this, the next call goes on.

    An interrupt costs a block; a kill, half a minute: so often is what was measured brought to the disk.

    Args:
        path: The table; made where there is none.
        workloads: What it is to hold; several devices all measure the last ``CONTROLS`` of them.
        setup: On what.
        addresses: Identical devices that share the work; that of ``setup`` if empty. Parts of the table that
            an earlier call left are merged.
        quality: How precisely.
        retry_failures: Whether what failed before is measured again.
        again: Whether everything is measured anew; by one device only.
        on_round: For progress.

    Raises:
        DeviceError: A device cannot be reached or used.
        ProfilingError: Several devices disagree, or were to measure anew.
        TableError: The table is of other conditions, or cannot be written.
    """
    shared = addresses or [setup.device]
    if again and (len(shared) > 1 or parts_of(path)):
        raise ProfilingError(
            f"{path} is measured anew by one device alone, and has no parts of several then: profile it first"
        )
    if len(shared) > 1 or parts_of(path):
        filled = _fill_by_fleet(
            path, workloads, setup, shared, quality=quality, retry_failures=retry_failures, on_round=on_round
        )
    else:
        with _profiler(setup, shared[0], quality, on_round) as profiler:
            with LatencyTable.open_for_writing(path, profiler.header()) as table:
                entries = list(profiler.fill(table, workloads, retry_failures=retry_failures, again=again))
            filled = Filled(entries, profiler.resting_s, profiler.taken_up)
    failures = LatencyTable.open(path).failures
    found = tuple(failures[workload.spec] for workload in workloads if workload.spec in failures)
    new = {entry.spec for entry in filled.entries}  # several devices measure the controls each
    were_there = len({workload.spec for workload in workloads} - new)
    return replace(filled, were_there=were_there, failures=found)


def measure(
    workloads: Sequence[Workload],
    setup: Setup,
    *,
    quality: Quality = USUAL,
    on_round: OnRound = ignore_rounds,
) -> list[Entry]:
    """Measure ``workloads`` without a table; return an entry for each, in their order.

    Raises:
        DeviceError: The device cannot be reached or used.
    """
    with _profiler(setup, setup.device, quality, on_round) as profiler:
        return profiler.measure(workloads)


def _fill_by_fleet(  # noqa: PLR0913  (those of fill_table)
    path: Path,
    workloads: Sequence[Workload],
    setup: Setup,
    addresses: Sequence[str],
    *,
    quality: Quality,
    retry_failures: bool,
    on_round: OnRound,
) -> Filled:
    with ExitStack() as opened:
        members = [
            (opened.enter_context(devices.connect(address)), setup.load_runtime()) for address in addresses
        ]
        plan = plan_for(members[0][0], quality)
        address_of = {
            device.info().serial_hash: address
            for address, (device, _) in zip(addresses, members, strict=True)
        }
        fleet = Fleet(
            members, plan, on_round=lambda serial, n: on_round(address_of[serial], n, plan.max_rounds)
        )
        entries = list(fleet.fill(path, workloads, workloads[-CONTROLS:], retry_failures=retry_failures))
        return Filled(entries, fleet.resting_s, fleet.taken_up, lost=tuple(fleet.lost.values()))


@contextmanager
def _profiler(setup: Setup, address: str, quality: Quality, on_round: OnRound) -> Iterator[Profiler]:
    with devices.connect(address) as device:
        plan = plan_for(device, quality)
        show = partial(_shown, on_round, address, plan.max_rounds)
        yield Profiler(device, setup.load_runtime(), plan, on_round=show)


def _shown(on_round: OnRound, address: str, most: int, rounds: int) -> None:
    on_round(address, rounds, most)
