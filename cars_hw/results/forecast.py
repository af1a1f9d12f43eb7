"""Forecast: how long measuring or searching will take, as a range and never a promise.

Before anything is measured, the range follows from the plan: how many workloads are missing, the rounds that
each takes, the rest between rounds, and bounds of what a block, a load and a network take on common machines
and phones. A search is timed by itself: what steps and evaluations took so far, times those that are left.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cars_hw.assembly import make_setup, make_space
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import (
    Contents,
    TableContents,
    UnitContents,
    contents_of,
)
from cars_hw.latency.filling import kind_of, lacking_networks, operation_contents, stored_contents
from cars_hw.ledger import Json, Ledger
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import network_spec
from cars_hw.results.duration import duration_text
from cars_hw.saving.record import Generation
from cars_hw.search import Schedule
from latency_tables import VALIDATION_NETWORKS, LatencyTable, OpSpec
from profilers import CONTROLS, USUAL, MeasurementPlan, Quality, lacking, plan_at

#: Up to this factor, steps and evaluations still to come take less, or more, than those so far.
_FASTER, _SLOWER = 0.8, 1.5

#: A first round evaluates new architectures alone; later ones, members and offspring, some with two weights.
_MOST_GROWTH = 3.0


#: Executed units of 16 networks, by the operations of their space: 98 by 51 in the demo's.
_UNITS_PER_OPERATION = 2.0

#: The first steps take longer than the others, and are not told from them before.
_TIMED_STEPS = 20

#: Of the training, and after each of two generations: the second evaluates members and offspring.
_FORECASTS = 3


@dataclass(frozen=True)
class Span:
    """A range of durations.

    Attributes:
        least_s: Seconds if all goes well.
        most_s: Seconds if it does not; more is possible.
    """

    least_s: float
    most_s: float

    def __str__(self) -> str:
        least, most = duration_text(self.least_s), duration_text(self.most_s)
        if least == most:
            return f"about {least}"
        same_unit = least.split()[1] == most.split()[1]
        return f"about {least.split()[0] if same_unit else least} to {most}"

    def __add__(self, other: "Span") -> "Span":
        return Span(self.least_s + other.least_s, self.most_s + other.most_s)

    def __mul__(self, factor: float) -> "Span":
        return Span(self.least_s * factor, self.most_s * factor)


@dataclass(frozen=True)
class MeasuringForecast:
    """What is to be measured, and how long that may take.

    Attributes:
        operations: Operations that are missing.
        networks: Whole networks that are missing.
        time: How long they may take, on all devices together.
        units: Executed units that are missing.
        is_complete: Whether all units are known; those of networks that are still to be chosen or read are
            estimated.
    """

    operations: int
    networks: int
    time: Span
    units: int = 0
    is_complete: bool = True

    def __str__(self) -> str:
        counts = ((self.operations, "operation"), (self.units, "unit"), (self.networks, "network"))
        parts = [f"{n} {what}{'s' * (n != 1)}" for n, what in counts if n]
        if not parts:
            return "nothing is missing"
        about = "" if self.is_complete else "about "
        verb = "is" if self.operations + self.units + self.networks == 1 else "are"
        return f"{about}{' and '.join(parts)} {verb} missing; {self.time}"


@dataclass(frozen=True)
class _Machine:
    """Bounds of what measuring takes on a kind of device, beside the blocks that the plan asks for.

    Measured with ONNX Runtime and LiteRT on x86 and on the programs for phones; other machines differ.
    """

    operation_load_s: Span
    network_load_s: Span
    block_overhead_s: Span
    macs_per_s: tuple[float, float]


_HOST = _Machine(Span(0.003, 0.06), Span(0.1, 2.0), Span(0.0, 0.0), macs_per_s=(8e10, 2e9))
_PHONE = _Machine(Span(0.4, 2.0), Span(1.0, 5.0), Span(0.3, 1.0), macs_per_s=(3e10, 1e9))


def profile_forecast(
    config: SearchConfig,
    *,
    devices: Sequence[str] = (),
    quality: Quality = USUAL,
    retry_failures: bool = False,
    further: Sequence[Architecture] = (),
    by_operations: bool = False,
) -> MeasuringForecast:
    """Return what ``profile`` would measure, and how long that may take; no device is asked.

    Args:
        config: Names space, device, runtime and table.
        devices: Identical devices that share the work, in place of that of ``config``.
        quality: How precisely.
        retry_failures: Whether what failed before is measured again.
        further: Whole networks that the table is to hold beside those that every table has.
        by_operations: As for ``profile``.

    Raises:
        TableError: The table cannot be read.
    """
    latency, space = config.for_target().latency, make_space(config)
    path = Path(latency.table)
    is_of_units = kind_of(path, make_setup(latency), by_operations=by_operations) == "units"
    stored = stored_contents if is_of_units else operation_contents
    contents: UnitContents | TableContents = stored(space, path, lacking_networks(space, path, further))
    missing = set(lacking(path, contents.specs, retry_failures=retry_failures))
    parts = sum(spec in missing for spec in contents.parts)
    networks = _missing_networks(contents, contents.calibration, missing)
    unknown = _unknown(contents) if isinstance(contents, UnitContents) else _Unknown(0, ())
    parts, networks = parts + unknown.units, [*networks, *unknown.networks_macs]
    plan = plan_at((devices or [latency.device])[0], quality)
    time = measuring_time(plan, parts, networks, devices=len(devices) or 1)
    operations, units = (0, parts) if is_of_units else (parts, 0)
    is_complete = unknown == _Unknown(0, ())
    return MeasuringForecast(operations, len(networks), time, units, is_complete)


def validation_forecast(
    config: SearchConfig,
    *,
    networks: int = VALIDATION_NETWORKS,
    quality: Quality = USUAL,
    again: bool = False,
) -> MeasuringForecast:
    """Return what ``validate`` would measure, and how long that may take; no device is asked.

    Args:
        config: Names space, device and table.
        networks: How many networks it is held against.
        quality: How precisely.
        again: Whether they are measured anew.

    Raises:
        TableError: The table cannot be read.
    """
    latency, space = config.for_target().latency, make_space(config)
    path = Path(latency.table)
    contents = contents_of(space, LatencyTable.open(path)) if path.exists() else TableContents(space)
    chosen = contents.validation(networks)
    specs = [network_spec(space.deployed(architecture)) for architecture in chosen]
    missing = set(specs if again else lacking(path, specs, retry_failures=True))
    macs = _missing_networks(contents, chosen, missing)
    plan = plan_at(latency.device, quality)
    return MeasuringForecast(0, len(macs), measuring_time(plan, 0, macs))


def measuring_time(
    plan: MeasurementPlan, operations: int, networks_macs: Sequence[int], *, devices: int = 1
) -> Span:
    """Return how long measuring may take, by the plan.

    At best, a workload is precise at the earliest round that ends it; at worst, in the middle between that
    and the last one, with blocks twice as long, for a block is doubled until it is long enough.

    Args:
        plan: How each device measures.
        operations: How many.
        networks_macs: Multiply-accumulates of each whole network.
        devices: How many share the work; each measures the controls.
    """
    if not operations and not networks_macs:
        return Span(0.0, 0.0)
    machine = _HOST if plan.sentinel is None else _PHONE
    networks = [_network_time(plan, machine, macs) for macs in networks_macs]
    controls = networks[-CONTROLS:] * (devices - 1)
    total = _workload_time(plan, machine.operation_load_s, _block(plan, machine)) * operations
    for network in (*networks, *controls):
        total += network
    workloads = operations + len(networks) + len(controls)
    groups = math.ceil(workloads / devices / plan.group_size)
    return total * (1 / devices) + Span(plan.spread_s, plan.spread_s) * groups


def training_left(schedule: Schedule, ledger: Ledger) -> Span | None:
    """Return how long the steps of a search may take that are left; ``None`` before the first."""
    taken = ledger.tried_steps
    if not taken:
        return None
    left_s = max(0, schedule.total_steps - taken) * ledger.training_s / taken
    return Span(left_s * _FASTER, left_s * _SLOWER)


def search_left(schedule: Schedule, ledger: Ledger, history: Sequence[Generation]) -> Span | None:
    """Return how long a search may still take; ``None`` before its first generation is complete.

    Args:
        schedule: How much is trained.
        ledger: What was spent so far.
        history: The generations that are complete.
    """
    training = training_left(schedule, ledger)
    if training is None or not history or not ledger.evaluations:
        return training if history else None
    counts = [0.0, *(_number(generation.ledger.get("evaluations")) for generation in history)]
    each, begun = counts[-1] - counts[-2], ledger.evaluations - counts[-1]
    rounds = schedule.generations + 1 - len(history)
    evaluation_s = ledger.evaluation_s / ledger.evaluations * _evaluating_alone(history)
    least_s = max(0.0, rounds * each - begun) * evaluation_s * _FASTER
    growth = _MOST_GROWTH if len(history) == 1 else 1.0
    most_s = max(0.0, rounds * each * growth - begun) * evaluation_s * _SLOWER
    return training + Span(least_s, most_s)


def _evaluating_alone(history: Sequence[Generation]) -> float:
    """Return seconds on the clock for each of the last generation's evaluations; 1, or less with workers."""
    last, before = history[-1], history[-2].ledger if len(history) > 1 else {}
    training_s, evaluation_s = (
        _number(last.ledger.get(name)) - _number(before.get(name)) for name in ("training_s", "evaluation_s")
    )
    if evaluation_s <= 0:
        return 1.0
    return min(1.0, max(0.0, last.seconds - training_s) / evaluation_s)


def schedule_text(schedule: Schedule, history: Sequence[Generation]) -> str:
    """Return what a search still has to do, in one line, before anything is timed."""
    rounds = schedule.generations + 1 - len(history)
    taken = schedule.warm_up_steps + schedule.steps * (len(history) - 1) if history else 0
    steps = schedule.total_steps - taken
    return f"{rounds} generations and {steps} training steps to go; a forecast follows once some are timed"


@dataclass
class Announcements:
    """Says how long a search may take as soon as that is known, and again when it is known better.

    Attributes:
        schedule: How much is trained.
        write: Takes a line.
    """

    schedule: Schedule
    write: Callable[[str], None]
    _begun_at: int | None = field(init=False, default=None)
    _said: int = field(init=False, default=0)

    def step(self, ledger: Ledger) -> None:
        """Say, once, how long the training alone may take: evaluations come later."""
        taken = ledger.tried_steps
        if self._begun_at is None:
            self._begun_at = taken
        left = training_left(self.schedule, ledger)
        if self._said or ledger.evaluations or left is None or taken < self._begun_at + _TIMED_STEPS:
            return
        self._said = 1
        self.write(f"the training that is left takes {left}; evaluations are not timed yet")

    def generation(self, ledger: Ledger, history: Sequence[Generation]) -> None:
        """Say how long the whole may take, after the first two generations that are complete."""
        left = search_left(self.schedule, ledger, history)
        if self._said < _FORECASTS and left is not None and len(history) <= self.schedule.generations:
            self._said += 1
            self.write(f"the generations that are left take {left}")


@dataclass(frozen=True)
class _Unknown:
    """What is missing of a table of units without being known yet, estimated.

    Attributes:
        units: Of networks that were not read yet; beyond these, a few.
        networks_macs: Of each network that is still to be chosen, those of one in their place.
    """

    units: int
    networks_macs: tuple[int, ...]


def _unknown(contents: UnitContents) -> _Unknown:
    space = contents.space
    expected = round(_UNITS_PER_OPERATION * len(space.all_operations("deploy")))
    units = max(0, expected - len(contents.units)) if contents.unread else 0
    others = contents.candidates[: contents.unchosen]
    return _Unknown(units, tuple(space.deployed(architecture).macs() for architecture in others))


def _missing_networks(
    contents: Contents, architectures: Sequence[Architecture], missing: set[OpSpec]
) -> list[int]:
    """Return the multiply-accumulates of those networks that are missing."""
    graphs = [contents.space.deployed(architecture) for architecture in architectures]
    return [graph.macs() for graph in graphs if network_spec(graph) in missing]


def _network_time(plan: MeasurementPlan, machine: _Machine, macs: int) -> Span:
    fast, slow = machine.macs_per_s
    block = _block(plan, machine)
    calls = Span(max(block.least_s, macs / fast), max(block.most_s, macs / slow))
    return _workload_time(plan, machine.network_load_s, calls)


def _block(plan: MeasurementPlan, machine: _Machine) -> Span:
    """Return what a block takes, with its share of the sentinel's runs."""
    block = Span(plan.block_s, 2 * plan.block_s if plan.first_calls == 0 else plan.block_s)
    if plan.sentinel is None:
        return block + machine.block_overhead_s
    sentinel = Span(plan.sentinel.block_s, plan.sentinel.block_s) + machine.block_overhead_s
    return block + machine.block_overhead_s + sentinel * (1 / plan.sentinel.blocks_between)


def _workload_time(plan: MeasurementPlan, load: Span, block: Span) -> Span:
    earliest = (plan.check_rounds[1:] or plan.check_rounds)[0]
    timed = Span(earliest * block.least_s, (earliest + plan.max_rounds) / 2 * block.most_s)
    return load + Span(min(timed.least_s, plan.budget_s), min(timed.most_s, plan.budget_s))


def _number(figure: Json) -> float:
    return float(figure) if isinstance(figure, int | float) else 0.0
