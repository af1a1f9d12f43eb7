"""Pages whose figures are invented, reproducibly: of any number of generations, members and runs."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from cars_hw.results.reporting.model import Configuration, Difference, Page, Pooled
from cars_hw.results.reporting.run_model import (
    Accuracy,
    Breakdown,
    Curve,
    FileLink,
    FrontMember,
    GenerationData,
    GraphNode,
    GraphPart,
    HeldAgainst,
    LatencyData,
    Members,
    Number,
    PickData,
    Quantity,
    RetrainedData,
    RunData,
    SpentLine,
    TimePart,
    Warned,
    number,
)

OBJECTIVES = (
    Quantity("error", "error", "share"),
    Quantity("parameters", "parameters", ""),
    Quantity("latency_ms", "latency", "ms"),
)
_OPERATIONS = {
    "max_pool_3x3": 0.2,
    "avg_pool_3x3": 0.2,
    "skip_connect": 0.05,
    "sep_conv_3x3": 1.0,
    "sep_conv_5x5": 1.6,
    "dil_conv_3x3": 0.6,
    "dil_conv_5x5": 1.0,
}
_NAMES, _WEIGHTS = [*_OPERATIONS], [*_OPERATIONS.values()]
_LIMIT_MS = 0.9
_PARTS = {"separable": 0.42, "convolution": 0.21, "pointwise": 0.14, "pool": 0.1, "join": 0.08, "call": 0.05}

Costs = tuple[Number, ...]


@dataclass(frozen=True)
class Invention:
    """What is invented.

    Attributes:
        generations: Number of generations.
        population: Members of each.
        seed: Of the run.
        name: Of the run.
        configuration: Number of its configuration.
        measured: How many members of the front have a measured latency.
    """

    generations: int = 12
    population: int = 32
    seed: int = 0
    name: str = "first"
    configuration: int = 0
    measured: int = 10
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rng", random.Random(self.seed))  # noqa: S311

    def architecture(self) -> tuple[int, ...]:
        """Return two cells of four nodes, each with two predecessors and operations."""
        found: list[int] = []
        for _ in range(2):
            for node in range(4):
                first, second = sorted(self.rng.sample(range(node + 2), 2))
                found += [first, self.rng.randrange(7), second, self.rng.randrange(7)]
        return tuple(found)

    def costs(self, architecture: Sequence[int], generation: int) -> Costs:
        """Return error, parameters and latency of an architecture."""
        weight = sum(_WEIGHTS[option] for option in architecture[1::2])
        luck = self.rng.expovariate(1 / (0.18 * math.exp(-generation / 6) + 0.02))
        error = round((0.04 + 0.34 * math.exp(-weight / 5) + luck) * 500) / 500
        parameters = round(6000 + weight * 4200 + self.rng.gauss(0, 1500))
        return number(error), parameters, number(0.18 + weight * 0.042 + self.rng.gauss(0, 0.02))

    def run(self) -> RunData:
        """Return the run."""
        architectures: list[tuple[int, ...]] = []
        costs: list[Costs] = []
        kept: list[int] = []
        generations: list[GenerationData] = []
        for index in range(self.generations):
            for _ in range(self.population):
                architectures.append(self.architecture())
                costs.append(self.costs(architectures[-1], index))
                kept.append(len(costs) - 1)
            kept, front = _survivors(kept, costs, self.population)
            generations.append(self._generation(index, kept, front, costs))
        return self._data(architectures, costs, generations)

    def _generation(
        self, index: int, kept: Sequence[int], front: int, costs: Sequence[Costs]
    ) -> GenerationData:
        errors = tuple(costs[member][0] for member in kept)
        return GenerationData(
            index=index,
            population=tuple(kept),
            errors=errors,
            others={},
            front=front,
            infeasible=tuple(sorted(member for member in kept if costs[member][2] > _LIMIT_MS)),
            hypervolume=number(0.45 + 0.4 * (1 - math.exp(-index / 5)) + self.rng.gauss(0, 0.006)),
            best_error=min(errors),
            median_error=sorted(errors)[len(errors) // 2],
            seconds=number(9 + self.rng.random()),
            evaluations=self.population * (index + 1),
        )

    def _data(
        self,
        architectures: Sequence[tuple[int, ...]],
        costs: Sequence[Costs],
        generations: Sequence[GenerationData],
    ) -> RunData:
        final = generations[-1]
        front = self._front([*final.population[: final.front]], costs)
        texts = tuple(".".join(map(str, one)) for one in architectures)
        knee = len(front) // 3
        spent = SpentLine("training steps", 2400, 153600, 118.2)
        return RunData(
            name=self.name,
            path=f"runs/{self.name}",
            title="cars on darts, digits",
            seed=self.seed,
            configuration=self.configuration,
            summary=f"generation {final.index}: front of {len(front)} among {len(final.population)}",
            planned=self.generations - 1,
            warnings=(Warned("table", "the device was 12 % slower than when its table was measured"),),
            trust="cpu-onnxruntime.jsonl: 20 whole networks: RMSPE 3.1 % (noise floor 1.2 %)",
            notes=("latency_ms: the device was 1.020 times as slow when the front was measured",),
            limits={"latency_ms": _LIMIT_MS},
            limit_texts={"latency_ms": "the upper end of the latency's 90 % interval"},
            members=Members(texts, tuple(costs), (None,) * len(costs)),
            generations=tuple(generations),
            front=front,
            picks=(
                PickData("knee", knee, "farthest from the line through the extremes"),
                PickData("most-accurate", 0, "the least error"),
                PickData("fastest", len(front) - 1, "the least latency"),
            ),
            graphs={one.number: _graph(architectures[one.member]) for one in front},
            breakdowns={one.number: {"latency_ms": _breakdown(costs[one.member][2])} for one in front},
            no_breakdown={},
            accuracy=(self._accuracy(front),),
            retrained=self._retrained(front, texts),
            spent=(spent, SpentLine("evaluations, every one", 960, 480000, 64.1)),
            ledger={"steps": 2400, "training_s": 118.2, "evaluations": 960, "evaluation_s": 64.1},
            settings={"search.generations": self.generations - 1},
            toml=f'[search]\ngenerations = {self.generations - 1}\n\n[space]\nname = "darts"\n',
            files=(FileLink("export/knee.onnx", "export/knee.onnx", 81234),),
        )

    def _front(self, members: Sequence[int], costs: Sequence[Costs]) -> tuple[FrontMember, ...]:
        found = []
        for place, member in enumerate(members):
            latency = self._latency(float(costs[member][2]), is_measured=place < self.measured)
            own = costs[member][2] if latency.measured is None else latency.measured
            picks = {len(members) // 3: ("knee",), 0: ("most-accurate",)}.get(place, ())
            found.append(
                FrontMember(
                    number=place,
                    member=member,
                    costs=(*costs[member][:2], own),
                    latencies={"latency_ms": latency},
                    dominated=place == 1,
                    violations=(),
                    picks=picks,
                    retrained=("knee",) if "knee" in picks else (),
                )
            )
        return tuple(found)

    def _latency(self, predicted: float, *, is_measured: bool) -> LatencyData:
        interval = (number(predicted * 0.93), number(predicted * 1.07))
        if not is_measured:
            return LatencyData(predicted, interval)
        measured = number(predicted * (1 + self.rng.gauss(0.02, 0.04)))
        half = measured * self.rng.uniform(0.01, 0.04)
        ends = (number(measured - half), number(measured + half))
        difference = number((predicted / measured - 1) * 100)
        return LatencyData(predicted, interval, measured, ends, number(measured * 1.02), difference)

    def _accuracy(self, front: Sequence[FrontMember]) -> Accuracy:
        networks = []
        for _ in range(20):
            latency = self._latency(number(self.rng.uniform(0.25, 1.0)), is_measured=True)
            networks.append(_held(latency, None))
        networks += [_held(one.latencies["latency_ms"], one.member) for one in front[: self.measured]]
        text = "20 whole networks: RMSPE 3.1 % (noise floor 1.2 %, constant 31 %), rank correlation .98"
        return Accuracy("latency_ms", tuple(networks), 3.1, 1.2, 31.0, text)

    def _retrained(self, front: Sequence[FrontMember], texts: Sequence[str]) -> tuple[RetrainedData, ...]:
        found = []
        for name, place, error in (("knee", len(front) // 3, 0.032), ("most-accurate", 0, 0.021)):
            member = front[place]
            epochs = range(1, 31)
            fall = [math.exp(-epoch / 5) for epoch in epochs]
            curve = Curve(
                epoch=tuple(epochs),
                error=tuple(number(error + 0.4 * one + 0.01 * self.rng.random()) for one in fall),
                training_error=tuple(number(error * 0.4 + 0.45 * one) for one in fall),
                loss=tuple(number(2.3 * one + 0.02) for one in fall),
            )
            found.append(
                RetrainedData(
                    name=name,
                    number=place,
                    architecture=texts[member.member],
                    error=error,
                    shared_error=member.costs[0],
                    top5_error=0.002,
                    parameters=int(member.costs[1]),
                    judged="judged on 1 000 test images, which the search never saw",
                    are_unseen=True,
                    latencies=member.latencies,
                    curve=curve,
                )
            )
        return tuple(found)


def page_of_one(generations: int = 12, population: int = 32) -> Page:
    """Return the page of one run."""
    return _page([Invention(generations, population).run()], [("first", [0])])


def page_of_several() -> Page:
    """Return the page of two configurations: one of three seeds, one of a single seed."""
    several = [Invention(12, 24, seed, f"wide-{seed}").run() for seed in range(3)]
    other = Invention(8, 24, 7, "narrow", configuration=1).run()
    return _page([*several, other], [("wide", [0, 1, 2]), ("narrow", [3])])


def _page(runs: Sequence[RunData], labelled: Sequence[tuple[str, list[int]]]) -> Page:
    configurations = tuple(
        Configuration(
            label=label,
            runs=tuple(own),
            hypervolume=_pooled([[one.hypervolume for one in runs[i].generations] for i in own]),
            best_error=_pooled([[one.best_error for one in runs[i].generations] for i in own]),
            front=tuple((own[0], one.number) for one in runs[own[0]].front),
        )
        for label, own in labelled
    )
    lengths = tuple(str(runs[own[0]].planned) for _, own in labelled)
    differences = (Difference("search.generations", lengths),) if len(labelled) > 1 else ()
    reference = (0.9, 150000, 1.8)
    return Page(
        "cars on darts, digits",
        "cars_hw 0.1.0",
        OBJECTIVES,
        reference,
        configurations,
        differences,
        tuple(runs),
    )


def _pooled(series: Sequence[Sequence[Number]]) -> Pooled:
    columns = [[one[i] for one in series if i < len(one)] for i in range(max(map(len, series)))]
    means = [math.fsum(column) / len(column) for column in columns]
    return Pooled(
        generation=tuple(range(len(columns))),
        runs=tuple(map(len, columns)),
        mean=tuple(map(number, means)),
        deviation=tuple(map(_deviation, columns)),
        least=tuple(map(min, columns)),
        most=tuple(map(max, columns)),
    )


def _deviation(column: Sequence[Number]) -> Number | None:
    if len(column) < 2:
        return None
    mean = math.fsum(column) / len(column)
    return number(math.sqrt(math.fsum((one - mean) ** 2 for one in column) / (len(column) - 1)))


def _dominates(one: Costs, other: Costs) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def _survivors(kept: Sequence[int], costs: Sequence[Costs], n: int) -> tuple[list[int], int]:
    """Return the front first, by error, then those of the least sum; and how many the front are."""
    front: list[int] = []
    for one in sorted(kept, key=lambda one: costs[one]):  # none dominates one that comes before it
        if not any(_dominates(costs[other], costs[one]) for other in front):
            front.append(one)
    front = front[:n]
    rest = sorted(
        set(kept) - set(front), key=lambda one: costs[one][0] + costs[one][1] / 3e5 + costs[one][2] / 12
    )
    return [*front, *rest][:n], len(front)


def _held(latency: LatencyData, member: int | None) -> HeldAgainst:
    assert latency.measured is not None
    assert latency.measured_interval is not None
    return HeldAgainst(
        role="validation" if member is None else "front",
        predicted=latency.predicted,
        predicted_interval=latency.predicted_interval,
        measured=latency.measured,
        measured_interval=latency.measured_interval,
        member=member,
    )


def _graph(architecture: Sequence[int]) -> tuple[GraphPart, ...]:
    halves = (architecture[:16], architecture[16:])
    return (
        GraphPart("cell 0, 1, 3, 4", 4, _cell(halves[0])),
        GraphPart("cell 2", 1, _cell(halves[1])),
    )


def _cell(decisions: Sequence[int]) -> tuple[GraphNode, ...]:
    names = ["cell k-2", "cell k-1"]
    nodes: list[GraphNode] = []
    for place in range(4):
        first, option, second, other = decisions[4 * place : 4 * place + 4]
        read = []
        for source, operation in ((first, option), (second, other)):
            if _NAMES[operation] == "skip_connect":
                read.append(names[source])
                continue
            nodes.append(
                GraphNode(f"{place}.{len(nodes)}", _NAMES[operation].replace("_3", " 3"), (names[source],))
            )
            read.append(nodes[-1].id)
        nodes.append(GraphNode(f"node {place}", "add", tuple(read)))
        names.append(f"node {place}")
    nodes.append(GraphNode("out", "concat", tuple(names[2:])))
    return tuple(nodes)


def _breakdown(total: Number) -> Breakdown:
    classes = tuple(
        TimePart(name, 0 if name == "call" else 4, number(share * total), share)
        for name, share in _PARTS.items()
    )
    dearest = tuple(
        TimePart(f"{name} 3x3, 16 channels, 14x14", 2, number(share * total / 2), share / 2)
        for name, share in _PARTS.items()
    )
    return Breakdown(total, classes, (*dearest, TimePart("9 others", 12, number(total / 2), 0.5)))
