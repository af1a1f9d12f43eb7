"""The steps of the demo, each the work of a verb; and the demo's results as tables and JSON."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cars_hw.assembly import make_setup, make_space
from cars_hw.candidate import Candidate
from cars_hw.cli._measuring import measuring_bars
from cars_hw.cli._output import print_table, say
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import network_workload
from cars_hw.latency.filling import kind_of
from cars_hw.ledger import Json
from cars_hw.networks.architecture import to_text
from cars_hw.networks.graph import Graph
from cars_hw.results.bench import Bench
from cars_hw.results.bench import bench as bench_files
from cars_hw.results.exporter import Export
from cars_hw.results.forecast import profile_forecast
from cars_hw.results.members import export as export_members
from cars_hw.results.picks import pick
from cars_hw.results.report import report as write_page
from cars_hw.results.run_warnings import excesses
from cars_hw.results.tables import profile as profile_table
from cars_hw.runs import Run
from cars_hw.saving.record import Generation
from latency_tables import LatencyTable, Measurement
from profilers import fill_table

_NETWORKS = "networks.jsonl"


@dataclass(frozen=True)
class Member:
    """A member of the final front, measured as a whole network.

    Attributes:
        architecture: Its text form.
        error: Share of the fitness images classified wrongly.
        parameters: Learnable parameters.
        macs: Multiply-accumulates of one inference.
        predicted_ms: The latency that the search selected on.
        measured_ms: Its latency on the device.
    """

    architecture: str
    error: float
    parameters: int
    macs: int
    predicted_ms: float
    measured_ms: float

    @property
    def difference_percent(self) -> float:
        """Prediction over measurement, less one."""
        return (self.predicted_ms / self.measured_ms - 1) * 100


def profile(config: SearchConfig) -> None:
    """Measure what the table lacks of the space."""
    say(f"{config.latency.table}: {profile_forecast(config)}")
    kind = kind_of(Path(config.latency.table), make_setup(config.latency))
    with measuring_bars(f"{kind} and networks") as show:
        filled = profile_table(config, on_progress=show)
    say(f"{config.latency.table}: {len(filled.entries)} measured, {filled.were_there} were there")


def measure_front(run: Run, generation: Generation, allow_changed: Collection[str]) -> list[Member]:
    """Measure every member of the front as a whole network."""
    space = make_space(run.config)
    path = run.path / _NETWORKS
    workloads = [network_workload(space, member.architecture) for member in generation.front]
    with measuring_bars("networks") as show:
        setup = make_setup(run.config.latency)
        fill_table(path, workloads, setup, allow_changed=allow_changed, on_progress=show)
    table = LatencyTable.open(path)
    return [
        _member(space.graph(candidate.architecture, "deploy"), candidate, generation, table[workload.spec])
        for candidate, workload in zip(generation.front, workloads, strict=True)
    ]


def export(
    run: Run, generation: Generation, picks: Sequence[str], *, allow_infeasible: bool = False
) -> dict[str, Export]:
    """Write the picks to ONNX, verified; those that violate a limit only where that is allowed."""
    front = generation.front
    within = [i for i, one in enumerate(front) if not excesses(run.config, generation, one)]
    chosen = [
        name for name in picks if allow_infeasible or not excesses(run.config, generation, pick(front, name))
    ]
    return export_members(run, chosen or [str(within[0])], allow_infeasible=allow_infeasible)


def bench(run: Run, exports: dict[str, Export], allow_changed: Collection[str]) -> dict[str, Bench]:
    """Measure the exported files."""
    with measuring_bars("networks") as show:
        files = [done.path for done in exports.values()]
        benches = bench_files(files, run.config, allow_changed=allow_changed, on_progress=show)
    return dict(zip(exports, benches, strict=True))


def report(run: Run) -> Path:
    """Write the page."""
    return write_page(run)


def print_results(front: Sequence[Member], exports: dict[str, Export], benches: dict[str, Bench]) -> None:
    """Print the final front and the exported files."""
    print_table(
        ["#", "error %", "parameters", "MACs", "predicted ms", "measured ms", "difference %", "architecture"],
        [
            [
                str(i),
                f"{member.error * 100:.1f}",
                str(member.parameters),
                str(member.macs),
                f"{member.predicted_ms:.3f}",
                f"{member.measured_ms:.3f}",
                f"{member.difference_percent:+.1f}",
                member.architecture,
            ]
            for i, member in enumerate(front)
        ],
        title="the final front",
    )
    print_table(
        ["pick", "file", "error %", "to torch", "predicted ms", "measured ms", "difference"],
        [
            [
                name,
                str(done.path),
                f"{done.error * 100:.1f}",
                f"{done.max_difference:.0e}",
                benches[name].predicted_text,
                benches[name].measured_text,
                benches[name].difference_text,
            ]
            for name, done in exports.items()
        ],
        title="exported, and measured again",
    )


def summary(
    generation: Generation, front: Sequence[Member], exports: dict[str, Export], benches: dict[str, Bench]
) -> dict[str, Json]:
    """Return every figure that the demo printed, but the seconds of its steps."""
    return {
        "front": [{**asdict(member), "difference_percent": member.difference_percent} for member in front],
        "exports": {
            name: {
                **done.to_json(),
                "table_error": pick(generation.front, name).costs[0],
                **benches[name].to_json(),
            }
            for name, done in exports.items()
        },
        "ledger": dict(generation.ledger),
    }


def _member(graph: Graph, candidate: Candidate, generation: Generation, measured: Measurement) -> Member:
    costs = generation.costs_of(candidate)
    return Member(
        to_text(candidate.architecture),
        costs["error"],
        graph.parameters(),
        graph.macs(),
        costs["latency_ms"],
        measured.latency_s * 1e3,
    )
