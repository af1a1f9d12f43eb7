"""The steps of the demo, each the work of a verb; and the demo's results as tables and JSON."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cars_hw.assembly import make_setup
from cars_hw.candidate import Candidate
from cars_hw.cli._commands import explained
from cars_hw.cli._measuring import measuring_bars
from cars_hw.cli._output import print_table, say
from cars_hw.cli._searching import print_front
from cars_hw.config import SearchConfig
from cars_hw.latency.filling import kind_of
from cars_hw.ledger import Json
from cars_hw.networks.architecture import to_text
from cars_hw.results.bench import Bench
from cars_hw.results.bench import bench as bench_files
from cars_hw.results.exporting.files import Export
from cars_hw.results.forecast import profile_forecast
from cars_hw.results.measured import MeasuredGeneration, measure_front
from cars_hw.results.members import export as export_members
from cars_hw.results.picks import pick
from cars_hw.results.report import report as write_page
from cars_hw.results.run_warnings import excesses
from cars_hw.results.tables import profile as profile_table
from cars_hw.results.tables import validate as validate_table
from cars_hw.runs import Run
from cars_hw.spaces import SearchSpace
from latency_tables import ChangedSpeedError
from profilers import ProfilingError, Quality

_LATENCY = "latency_ms"

#: Shorter than usual, which pays for the second group of a table of units, a validation, and anchors: these
#: take out a slow mode that lasts all the while.
_QUALITY = Quality(spread_s=6.0)

#: Enough to see a table that is far off; ``table validate`` measures twenty, which also judge the order.
_VALIDATION_NETWORKS = 6
#: A round of so few networks and anchors takes a hundredth of a second: what slows one slows all of them.
_VALIDATION_QUALITY = Quality(spread_s=2.0)


@dataclass(frozen=True)
class Remeasured:
    """A member of the front, measured again as an exported file.

    Attributes:
        front_ms: Its latency in the front.
        front_interval_ms: The 95 % interval of that.
        bench: What was measured again.
    """

    front_ms: float
    front_interval_ms: tuple[float, float]
    bench: Bench

    @property
    def difference_percent(self) -> float:
        """The file's latency over that in the front, less one."""
        return (self.bench.measured_ms / self.front_ms - 1) * 100

    @property
    def is_inside(self) -> bool:
        """Whether the two differ by no more than their intervals together allow."""
        low, high = (bound * 1e3 for bound in self.bench.at_table_speed.interval_s)
        again_ms, (least_ms, most_ms) = self.bench.measured_ms, self.front_interval_ms
        if again_ms < self.front_ms:
            return self.front_ms - again_ms <= math.hypot(self.front_ms - least_ms, high - again_ms)
        return again_ms - self.front_ms <= math.hypot(most_ms - self.front_ms, again_ms - low)

    def to_json(self) -> dict[str, Json]:
        """Return the figures by name."""
        return {
            "front_measured_ms": self.front_ms,
            "front_measured_interval_ms": [*self.front_interval_ms],
            "remeasured_difference_percent": self.difference_percent,
            "is_inside_interval": self.is_inside,
        }


def profile(config: SearchConfig) -> None:
    """Measure what the table lacks of the space."""
    say(f"{config.latency.table}: {profile_forecast(config, quality=_QUALITY)}")
    kind = kind_of(Path(config.latency.table), make_setup(config.latency))
    with measuring_bars(f"{kind} and networks") as show:
        filled = profile_table(config, quality=_QUALITY, on_progress=show)
    say(f"{config.latency.table}: {len(filled.entries)} measured, {filled.were_there} were there")


def validate(config: SearchConfig) -> None:
    """Hold the table against networks that it was not made of; say what that gave, or why it could not be."""
    table = config.latency.table
    try:
        with measuring_bars("networks") as show:
            report = validate_table(
                config, networks=_VALIDATION_NETWORKS, quality=_VALIDATION_QUALITY, on_progress=show
            )
    except (ChangedSpeedError, ProfilingError) as error:
        say(f"{table}: it was not validated: {explained(error)}")
    else:
        say(f"{table}: validated on {report}")


def measure(run: Run, allow_changed: Collection[str]) -> MeasuredGeneration:
    """Measure every member of the front as a whole network, beside networks of the table."""
    with measuring_bars("networks") as show:
        return measure_front(run, allow_changed=allow_changed, quality=_QUALITY, on_progress=show)


def export(
    run: Run, generation: MeasuredGeneration, picks: Sequence[str], *, allow_infeasible: bool = False
) -> dict[str, Export]:
    """Write the picks to ONNX, verified; those that violate a limit only where that is allowed."""
    front = generation.front
    within = [i for i, one in enumerate(front) if not excesses(run.config, generation, one)]
    chosen = [
        name for name in picks if allow_infeasible or not excesses(run.config, generation, pick(front, name))
    ]
    return export_members(run, chosen or [str(within[0])], allow_infeasible=allow_infeasible)


def bench(run: Run, exports: dict[str, Export], allow_changed: Collection[str]) -> dict[str, Bench]:
    """Measure the exported files, beside networks of the table."""
    with measuring_bars("networks") as show:
        files = [done.path for done in exports.values()]
        benches = bench_files(
            files, run.config, allow_changed=allow_changed, quality=_QUALITY, on_progress=show
        )
    return dict(zip(exports, benches, strict=True))


def report(run: Run) -> Path:
    """Write the page."""
    return write_page(run)


def print_results(
    generation: MeasuredGeneration, exports: Mapping[str, Export], benches: Mapping[str, Bench]
) -> None:
    """Print the final front and the exported files."""
    print_front(generation)
    again = _measured_again(generation, benches)
    rows = []
    for name, done in exports.items():
        found = again.get(name)
        rows.append(
            [
                name,
                str(done.path),
                "" if done.error is None else f"{done.error * 100:.1f}",
                f"{done.max_difference:.0e}",
                benches[name].predicted_text,
                benches[name].measured_text,
                "" if found is None else f"{found.difference_percent:+.1f}",
                "" if found is None else "yes" if found.is_inside else "no",
            ]
        )
    print_table(
        [
            "pick",
            "file",
            "error %",
            "to torch",
            "predicted ms",
            "measured ms",
            "to the front %",
            "within the intervals",
        ],
        rows,
        title="exported, and measured again",
    )
    for line in dict.fromkeys(one.speed_text for one in benches.values() if one.speed_text):
        say(line)


def summary(
    space: SearchSpace,
    generation: MeasuredGeneration,
    exports: Mapping[str, Export],
    benches: Mapping[str, Bench],
) -> dict[str, Json]:
    """Return every figure that the demo printed, but the seconds of its steps."""
    again = _measured_again(generation, benches)
    return {
        "front": [_member_json(space, member, generation) for member in generation.front],
        "exports": {
            name: {
                **done.to_json(),
                "table_error": pick(generation.front, name).costs[0],
                **benches[name].to_json(),
                **(again[name].to_json() if name in again else {}),
            }
            for name, done in exports.items()
        },
        "ledger": dict(generation.ledger),
    }


def _measured_again(generation: MeasuredGeneration, benches: Mapping[str, Bench]) -> dict[str, Remeasured]:
    """Return, by their picks, those of the exported members that were measured in the front."""
    found = {}
    for name, bench in benches.items():
        latency = generation.latencies_of(pick(generation.front, name)).get(_LATENCY)
        if latency is not None:
            low, high = (bound * 1e3 for bound in latency.interval_s)
            found[name] = Remeasured(latency.latency_s * 1e3, (low, high), bench)
    return found


def _member_json(space: SearchSpace, member: Candidate, generation: MeasuredGeneration) -> dict[str, Json]:
    graph, measured = space.graph(member.architecture, "deploy"), generation.measured_json(member)
    found = measured.get(_LATENCY)
    return {
        "architecture": to_text(member.architecture),
        "error": generation.costs_of(member)["error"],
        "parameters": graph.parameters(),
        "macs": graph.macs(),
        "predicted_ms": generation.predicted_of(member)[_LATENCY],
        **(found if isinstance(found, dict) else {}),
    }
