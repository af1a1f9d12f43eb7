"""What ``bench`` and ``demo`` share: whole networks measured on the device, held against the table."""

from dataclasses import dataclass
from pathlib import Path

from cars_hw import spaces
from cars_hw.architecture import from_text
from cars_hw.cli._measuring import measure
from cars_hw.config import LatencySection, SearchConfig
from cars_hw.exporter import read_card
from cars_hw.graph import Graph
from cars_hw.runs import make_space
from cars_hw.trainer import Json
from cars_hw.workloads import network_workload
from devices._errors import ExportError, ProfilingError
from latency_tables.measurement import Failure, Measurement
from latency_tables.prediction import LatencyModel
from latency_tables.table import LatencyTable
from profilers.plan import MeasurementPlan
from profilers.runtimes._onnx_file import file_workload
from profilers.runtimes._runtime import Workload

_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Bench:
    """A whole network's latency.

    Attributes:
        name: The file, or the architecture.
        measured: What was measured.
        predicted_s: What the table says; ``None`` without a table or a model card.
    """

    name: str
    measured: Measurement
    predicted_s: float | None

    @property
    def measured_ms(self) -> float:
        """Milliseconds per inference."""
        return self.measured.latency_s * 1e3

    @property
    def difference_percent(self) -> float | None:
        """Prediction over measurement, less one."""
        return None if self.predicted_s is None else (self.predicted_s / self.measured.latency_s - 1) * 100

    @property
    def interval_text(self) -> str:
        """The measurement's 95 % interval."""
        low, high = self.measured.interval_s
        return f"{low * 1e3:.4f}..{high * 1e3:.4f}"

    @property
    def predicted_text(self) -> str:
        """The prediction in milliseconds, or that there is none."""
        return _UNKNOWN if self.predicted_s is None else f"{self.predicted_s * 1e3:.4f}"

    @property
    def difference_text(self) -> str:
        """The difference with its sign, or that there is none."""
        return _UNKNOWN if self.difference_percent is None else f"{self.difference_percent:+.1f} %"

    def to_json(self) -> dict[str, Json]:
        """Return the figures by name."""
        low, high = self.measured.interval_s
        return {
            "network": self.name,
            "measured_ms": self.measured_ms,
            "interval_ms": [low * 1e3, high * 1e3],
            "predicted_ms": None if self.predicted_s is None else self.predicted_s * 1e3,
            "difference_percent": self.difference_percent,
            "conditions": dict(self.measured.conditions),
        }


def bench_file(model: Path, config: SearchConfig, *, has_table: bool) -> Bench:
    """Measure ``model``; predict from its card and the table that ``config``, else the card, names."""
    graph, card_table = _card_facts(model)
    table = Path(config.latency.table) if has_table else card_table
    predicted_s = None if graph is None or table is None else predict(table, config.latency, graph)
    return Bench(str(model), _measured(file_workload(model), config.latency), predicted_s)


def bench_architecture(text: str, config: SearchConfig) -> Bench:
    """Measure the deployed network of an architecture, untrained; predict where the table exists."""
    space = make_space(config)
    architecture = from_text(text, space.choices)
    table = Path(config.latency.table)
    graph = space.graph(architecture, "deploy")
    predicted_s = predict(table, config.latency, graph) if table.exists() else None
    return Bench(text, _measured(network_workload(space, architecture), config.latency), predicted_s)


def predict(table: Path, latency: LatencySection, graph: Graph) -> float:
    """Return the latency in seconds that ``table`` gives for ``graph``.

    Raises:
        TableError: The table was measured elsewhere, or lacks an operation.
    """
    opened = LatencyTable.open(table)
    opened.require(device=latency.device.partition(":")[0], runtime=latency.runtime, threads=latency.threads)
    return LatencyModel(opened).predict(graph.live.specs()).latency_s


def _measured(workload: Workload, latency: LatencySection) -> Measurement:
    [entry] = measure(latency, [workload], MeasurementPlan(), what="the network")
    if isinstance(entry, Failure):
        raise ProfilingError(f"{entry.spec} could not be measured: {entry.status}: {entry.reason}")
    return entry


def _card_facts(model: Path) -> tuple[Graph | None, Path | None]:
    """Return the graph and the table that the model card names, where there is a card.

    The card is a file from outside: its space must be one of ours, never a module to import.
    """
    card = read_card(model)
    if not card:
        return None, None
    try:
        name, settings = card["space"]["name"], card["space"]["settings"]  # type: ignore[index,call-overload]
        text, table = str(card["architecture"]), card["latency"].get("table")  # type: ignore[union-attr]
    except (KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"the model card of {model} lacks {error}; export again") from error
    if name not in spaces.names() or not isinstance(settings, dict):
        raise ExportError(f"the model card of {model} names the space {name!r}, which is none of ours")
    space = spaces.load(str(name), **settings)
    path = Path(table) if isinstance(table, str) and Path(table).exists() else None
    return space.graph(from_text(text, space.choices), "search"), path
