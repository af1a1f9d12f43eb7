"""Whole networks measured on the device, held against what the table predicts of them.

Where a table is known, a few of its own networks are measured beside them, as anchors.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

import devices
from cars_hw.assembly import make_setup, open_table
from cars_hw.config import LatencySection, SearchConfig, SpaceSection
from cars_hw.errors import PluginNotAllowedError, UncountedError
from cars_hw.latency.anchors import Anchored, Anchors, intervals_of, speed_text
from cars_hw.latency.contents import contents_of, network_workload
from cars_hw.latency.model import latency_model, trust
from cars_hw.latency.network_breakdown import NetworkBreakdown
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture, from_text, to_text
from cars_hw.networks.genotype_text import read_text
from cars_hw.resolution import stored_space
from cars_hw.results.model_card import CardSpace, read_card
from cars_hw.spaces._space import SearchSpace
from devices import DeviceError
from latency_tables import (
    ChangedConditionsError,
    Failure,
    LatencyTable,
    Measurement,
    MissingEntryError,
    OpSpec,
    Prediction,
    SessionSpeed,
    TableMismatchError,
)
from profilers import (
    USUAL,
    FileFormat,
    OnProgress,
    OperatorTime,
    ProfilingError,
    Quality,
    Setup,
    Workload,
    formats,
    ignore_progress,
    measure,
    tried,
)

_UNKNOWN = "unknown"


@dataclass(frozen=True)
class _Predicted:
    """A table's prediction of a network, and how far it may be trusted; see ``Bench``."""

    prediction: Prediction | None = None
    trust: str = ""
    basis: SearchConfig | None = None
    missing: MissingEntryError | None = None
    anchors: Anchors | None = None


_UNKNOWN_COST = _Predicted()


@dataclass(frozen=True)
class Bench:
    """A whole network's latency.

    Attributes:
        name: The file, or the architecture.
        measured: What was measured, as it was.
        prediction: The table's prediction; ``None`` without a table or a model card.
        trust: How far the table may be trusted, in one line; empty without a table.
        basis: By which space, device and table the network was to be predicted, where measuring what the
            table lacks, or validating it, would help.
        missing: What the table lacks of the network.
        speed: How fast the device was against the table, by anchors; ``None`` without a table.
        table: The table's file; empty without one.
        interval_s: 95 % interval of ``measured.latency_s``, (low, high), for whatever process measures it; if
            not given, its own.
        workload: What was measured.
        setup: On what.
    """

    name: str
    measured: Measurement
    prediction: Prediction | None
    trust: str = ""
    basis: SearchConfig | None = field(default=None, repr=False, compare=False)
    missing: MissingEntryError | None = field(default=None, repr=False, compare=False)
    speed: SessionSpeed | None = None
    table: str = ""
    interval_s: tuple[float, float] | None = None
    workload: Workload | None = field(default=None, repr=False, compare=False)
    setup: Setup | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        known = "" if self.prediction is None else f" ms, {self.difference_text}"
        predicted = f"predicted {self.predicted_text}{known}"
        return f"<bench of {self.name}: measured {self.measured_text} ms, {predicted}>"

    @property
    def at_table_speed(self) -> Anchored:
        """What was measured, divided by the anchors' ratio where there is one."""
        return Anchored(self.measured, self.speed, self.interval_s)

    @property
    def measured_ms(self) -> float:
        """Milliseconds per inference, at the table's speed where there is a table."""
        return self.at_table_speed.latency_s * 1e3

    @property
    def predicted_ms(self) -> float | None:
        """Milliseconds that the table predicts."""
        return None if self.prediction is None else self.prediction.latency_s * 1e3

    @property
    def difference_percent(self) -> float | None:
        """Prediction over measurement, less one."""
        return None if self.predicted_ms is None else (self.predicted_ms / self.measured_ms - 1) * 100

    @property
    def measured_text(self) -> str:
        """The measured milliseconds with their 95 % interval."""
        found = self.at_table_speed
        return _with_interval(found.latency_s, found.interval_s)

    @property
    def predicted_text(self) -> str:
        """The predicted milliseconds with their 95 % interval, or that there are none."""
        if self.prediction is None:
            return _UNKNOWN
        return _with_interval(self.prediction.latency_s, self.prediction.interval_s)

    @property
    def speed_text(self) -> str:
        """How far the device is off from the table today; empty without a table."""
        if self.speed is None:
            return ""
        ratio = self.speed.ratio
        return f"{speed_text(self.speed, self.table)} today: what was measured is divided by {ratio:.3f}"

    @property
    def difference_text(self) -> str:
        """The difference with its sign, or that there is none."""
        return _UNKNOWN if self.difference_percent is None else f"{self.difference_percent:+.1f} %"

    def to_json(self) -> dict[str, Json]:
        """Return the figures by name."""
        return {
            "network": self.name,
            "measured_ms": self.measured_ms,
            "measured_interval_ms": [bound * 1e3 for bound in self.at_table_speed.interval_s],
            "uncorrected_ms": self.measured.latency_s * 1e3,
            "anchors": None if self.speed is None else {**asdict(self.speed)},
            "predicted_ms": self.predicted_ms,
            "predicted_interval_ms": [bound * 1e3 for bound in self.prediction.interval_s]
            if self.prediction
            else None,
            "difference_percent": self.difference_percent,
            "trust": self.trust,
            "conditions": dict(self.measured.conditions),
        }


def bench(  # noqa: PLR0913  (what, and how it is measured and predicted)
    models: Sequence[str | Path],
    config: SearchConfig,
    *,
    has_table: bool = True,
    made_by: FileFormat | None = None,
    allow_plugins: Collection[str] = (),
    allow_changed: Collection[str] = (),
    quality: Quality = USUAL,
    on_progress: OnProgress = ignore_progress,
) -> list[Bench]:
    """Measure model files, interleaved; predict each from its card and a table, and measure anchors of that.

    Each is tried before in a process of its own, which a file may crash.

    Args:
        models: Files that the runtime runs.
        config: Names device, runtime, threads and, with ``has_table``, the table; else the cards name it.
        has_table: Whether the table is the user's choice.
        made_by: Their format; if not given, that which the suffix of each means.
        allow_plugins: Modules from outside that cards may name as their space.
        allow_changed: What may have changed since the table was measured, beside what ``config`` allows: see
            ``latency_tables.Changeable``.
        quality: How precisely.
        on_progress: For progress.

    Raises:
        UnknownNameError: No format has a file's suffix.
        ProfilingError: One could not be measured.
        PluginNotAllowedError: A card names a module that is not allowed.
        TableMismatchError: The user's table is of another device or settings, or of conditions that changed;
            or, as ``ChangedSpeedError``, the device is too far off from when it was measured.
    """
    config = config.for_target().allowing(allow_changed)
    latency = config.latency
    paths = [Path(model) for model in models]
    setup = make_setup(latency)
    workloads = [tried(path, made_by or formats.of_file(path), setup) for path in paths]
    predictions = [_predict_file(path, config, has_table=has_table, allowed=allow_plugins) for path in paths]
    measured = _measured(workloads, predictions, latency, quality, on_progress)
    benches = zip(paths, workloads, measured, predictions, strict=True)
    return [
        _bench(str(path), workload, setup, fact, predicted) for path, workload, fact, predicted in benches
    ]


def bench_architecture(
    space: SearchSpace,
    architecture: Architecture,
    config: SearchConfig,
    *,
    allow_changed: Collection[str] = (),
    quality: Quality = USUAL,
    on_progress: OnProgress = ignore_progress,
) -> Bench:
    """Measure the deployed network of an architecture, untrained; predict where the table exists.

    Raises:
        ProfilingError: It could not be measured.
        MissingEntryError: The table lacks an operation.
        TableMismatchError: It is of another device or settings, or of conditions that changed; or, as
            ``ChangedSpeedError``, the device is too far off from when it was measured.
    """
    latency = config.for_target().allowing(allow_changed).latency
    has_table = os.path.exists(latency.table)
    predicted = _predict(open_table(latency), space, architecture, config) if has_table else _UNKNOWN_COST
    workload, setup = network_workload(space, architecture), make_setup(latency)
    [measured] = _measured([workload], [predicted], latency, quality, on_progress)
    return _bench(to_text(architecture), workload, setup, measured, predicted)


def break_down(result: Bench) -> NetworkBreakdown:
    """Say where the time of a measured network goes: predicted beside what the runtime's own profiler says.

    The device is asked for the profile now, some dozens of calls. Where it has none, or gives none, the
    prediction stands alone, and ``NetworkBreakdown.notes`` say why.

    Args:
        result: What ``bench`` or ``bench_architecture`` returned.

    Raises:
        ProfilingError: ``result`` does not say what was measured.
    """
    if result.workload is None or result.setup is None:
        raise ProfilingError(f"{result.name} was not measured by bench: nothing can be profiled")
    times, why_not = _profiled(result.workload, result.setup)
    measured_s, at_table_speed_s = result.measured.latency_s, result.at_table_speed.latency_s
    return NetworkBreakdown(measured_s, at_table_speed_s, result.prediction, times, why_not)


def read_genotype(space: SearchSpace, path: Path) -> Architecture:
    """Return the architecture whose published form stands in ``path``.

    The file is JSON, or Python's text as logs have it: ``Genotype(normal=[('sep_conv_3x3', 0), ...], ...)``,
    which is read and never evaluated.

    Raises:
        ArchitectureError: The file cannot be read, is no member of the space, or has keys that are not
            understood.
    """
    return space.from_description(read_text(path))


def _profiled(workload: Workload, setup: Setup) -> tuple[tuple[OperatorTime, ...], str]:
    """Return what the runtime's profiler says of a network, or why there is nothing."""
    runtime = setup.load_runtime()
    try:
        with devices.connect(setup.device) as device, device.quiet(runtime.threads):
            return tuple(runtime.breakdown(workload, device)), ""
    except (ProfilingError, DeviceError) as error:
        return (), str(error)


def _bench(name: str, workload: Workload, setup: Setup, measured: Anchored, found: _Predicted) -> Bench:
    table = "" if found.anchors is None else found.anchors.name
    return Bench(
        name,
        measured.measured,
        found.prediction,
        found.trust,
        found.basis,
        found.missing,
        measured.speed,
        table,
        measured.measured_interval_s,
        workload,
        setup,
    )


def _measured(
    workloads: Sequence[Workload],
    predictions: Sequence[_Predicted],
    latency: LatencySection,
    quality: Quality,
    on_progress: OnProgress,
) -> list[Anchored]:
    """Measure ``workloads`` beside the anchors of the tables that predict them, all interleaved.

    Tables of different kinds may name their anchors alike, and build them differently: each has its own.
    """
    beside = {_key(one.anchors): one.anchors.workloads for one in predictions if one.anchors is not None}
    together = [*workloads, *(workload for own in beside.values() for workload in own)]
    entries = measure(together, make_setup(latency), quality=quality, on_progress=on_progress)
    files, rest = entries[: len(workloads)], iter(entries[len(workloads) :])
    anchors = {key: list(islice(rest, len(own))) for key, own in beside.items()}
    found, intervals = [], intervals_of(entries)
    for entry, one in zip(files, predictions, strict=True):
        if isinstance(entry, Failure):
            raise ProfilingError(f"{entry.spec} could not be measured: {entry.status}: {entry.reason}")
        words = latency.allow_changed
        speed = one.anchors.speed(anchors[_key(one.anchors)], allow_changed=words) if one.anchors else None
        found.append(Anchored(entry, speed, intervals[entry.spec]))
    return found


def _key(anchors: Anchors) -> tuple[str, tuple[OpSpec, ...]]:
    """Return what tells the anchors of one table, for one space, from others."""
    return anchors.name, tuple(workload.spec for workload in anchors.workloads)


def _predict_file(
    model: Path, config: SearchConfig, *, has_table: bool, allowed: Collection[str]
) -> _Predicted:
    """Predict ``model`` from its card, where there is one and a table is known.

    A card is a file from outside: a space of ours or one that the user allows, and without the user's word a
    table is believed only if it has the very entries that the search used, by this runtime. Tables are of
    operations in float32. What a table cannot predict is measured all the same.
    """
    card = read_card(model)
    if card is None or not card.is_predictable:
        return _UNKNOWN_COST
    latency = config.for_target().latency
    known = next((one for one in card.all_latencies() if one.is_of(latency)), None)
    if not has_table and (known is None or not os.path.isfile(known.table)):
        return _UNKNOWN_COST
    for name in (card.space.name, *card.space.operation_kinds):
        if name not in allowed and "." in name:
            raise PluginNotAllowedError(f"the model card of {model}", name)
    space = stored_space(card.space.name, card.space.settings, card.space.operation_kinds)
    if card.scale == "search" and not space.deploys_search_graph:
        return _UNKNOWN_COST  # the table is of the deployed network's operations
    path = latency.table if has_table or known is None else known.table
    basis = _with_space_and_table(config, space, card.space, path)
    try:
        table = open_table(latency.model_copy(update={"table": path}))
        if not has_table and (known is None or table.digest(contents_of(space, table).specs) != known.sha256):
            return _UNKNOWN_COST
        found = _predict(table, space, from_text(card.architecture, space.choices), basis)
        more = card.beside_the_network
        return replace(found, trust=f"{found.trust}; the prediction is without {more}") if more else found
    except MissingEntryError as error:
        return _Predicted(trust=f"it cannot predict this network: {error}", basis=basis, missing=error)
    except TableMismatchError as error:
        if has_table:
            raise
        is_of_others = not isinstance(error, ChangedConditionsError)
        return _UNKNOWN_COST if is_of_others else _Predicted(trust=f"it cannot predict this network: {error}")


def _with_space_and_table(
    config: SearchConfig, space: SearchSpace, named: CardSpace, table: str
) -> SearchConfig:
    """Return the configuration of a card's space and a table, on what ``config`` measures."""
    settings = space.settings.values()
    section = SpaceSection.model_validate(
        {"name": named.name, "operation_kinds": named.operation_kinds, **settings}
    )
    alone = config.for_target().with_latency(table=table)
    return alone.model_copy(update={"space": section})


def _predict(
    table: LatencyTable, space: SearchSpace, architecture: Architecture, basis: SearchConfig
) -> _Predicted:
    """Predict ``architecture`` from ``table``; ``basis`` is the configuration of both."""
    table.warn_of_changes()
    found = trust(table, space)
    latency = basis.for_target().latency
    anchors = None if latency.is_elsewhere else Anchors(space, table, latency.table)
    try:
        prediction = latency_model(space, table, make_setup(latency)).predict(architecture)
    except (UncountedError, ProfilingError) as error:  # it is measured all the same
        return _Predicted(trust=f"it cannot predict this network: {error}", anchors=anchors)
    remedy = None if found.is_validated else basis.for_target()
    return _Predicted(prediction, str(found), remedy, anchors=anchors)


def _with_interval(latency_s: float, interval_s: tuple[float, float]) -> str:
    low, high = interval_s
    return f"{latency_s * 1e3:.4f} ({low * 1e3:.4f}..{high * 1e3:.4f})"
