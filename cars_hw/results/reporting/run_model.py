"""RunData: what a page shows of one run, as plain values; the parts that it is made of.

Every number is in the unit of its objective, and is rounded here and nowhere else: whole numbers are kept,
others have six digits. So a page, ``report --json`` and the frames have the same figures.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cars_hw.ledger import Json

#: A cost as it is shown.
Number = int | float
#: The ends of a 95 % interval, (low, high).
Interval = tuple[Number, Number]


@dataclass(frozen=True)
class Quantity:
    """An objective: what a cost is.

    Attributes:
        name: Of the objective, which limits and picks go by.
        label: The same for people, without the unit.
        unit: ``"share"`` of images for an error, ``"ms"``, ``"bytes"``; empty for what is counted.
    """

    name: str
    label: str
    unit: str


@dataclass(frozen=True)
class Warned:
    """A reason to distrust a run.

    Attributes:
        kind: What it is about, for programs.
        text: One line that says it.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Members:
    """Each distinct architecture of the generations that are kept, once; what refers to one has its number.

    Attributes:
        architecture: In their text form, (n,).
        costs: By objective, as they were last judged, (n, m); the error is that of the last generation that
            had the member.
        bound: What limits were held against, (n, m); ``None`` where that are the costs.
    """

    architecture: tuple[str, ...]
    costs: tuple[tuple[Number, ...], ...]
    bound: tuple[tuple[Number, ...] | None, ...]


@dataclass(frozen=True)
class GenerationData:
    """A generation.

    Attributes:
        index: 0 after warm-up, then 1, 2, ...
        population: Numbers of the members, (p,): those of the front first, the most accurate first; empty
            where a page had no room for them.
        errors: Of the population then, (p,).
        others: By the number of a member, all of its costs then, where others than the error are not those
            of ``Members.costs``: a table was replaced, or measurements corrected it.
        front: How many of the population are the front.
        infeasible: Numbers of those members that violate a limit.
        hypervolume: Share of the box from 0 to the reference point that the front dominates, 0..1, by the
            costs that the search selected on.
        best_error: The least of the population.
        median_error: Its median.
        seconds: Time of the generation.
        evaluations: Made by the search so far.
    """

    index: int
    population: tuple[int, ...]
    errors: tuple[Number, ...]
    others: dict[int, tuple[Number, ...]]
    front: int
    infeasible: tuple[int, ...]
    hypervolume: Number
    best_error: Number
    median_error: Number
    seconds: Number
    evaluations: Number


@dataclass(frozen=True)
class LatencyData:
    """One latency of a member of the last front, milliseconds.

    Attributes:
        predicted: By which the search selected.
        predicted_interval: Of the prediction; ``None`` where the table is not at hand.
        measured: At the speed of the table; ``None`` where it was not measured.
        measured_interval: Of the measurement.
        uncorrected: As measured, at the speed of the device then.
        difference_percent: By how much the prediction is above the measurement.
    """

    predicted: Number
    predicted_interval: Interval | None = None
    measured: Number | None = None
    measured_interval: Interval | None = None
    uncorrected: Number | None = None
    difference_percent: Number | None = None


@dataclass(frozen=True)
class FrontMember:
    """A member of the last front.

    Attributes:
        number: In the front, which picks name.
        member: Its number in ``Members``.
        costs: By objective, (m,); latencies as measured where they were.
        latencies: By the names of their objectives.
        dominated: Whether another member of the front is better in every cost, as measured costs may have it.
        violations: What it exceeds, a line for each limit.
        picks: The words by which it is picked, ``"knee"``.
        retrained: The names under which it was retrained.
    """

    number: int
    member: int
    costs: tuple[Number, ...]
    latencies: dict[str, LatencyData]
    dominated: bool
    violations: tuple[str, ...]
    picks: tuple[str, ...]
    retrained: tuple[str, ...]


@dataclass(frozen=True)
class PickData:
    """A member that has a word.

    Attributes:
        choice: The word, as ``--pick`` takes it.
        number: Of the member, in the front.
        why: Why it is that one.
    """

    choice: str
    number: int
    why: str


@dataclass(frozen=True)
class GraphNode:
    """An operation in a drawing.

    Attributes:
        id: Unique in the drawing.
        label: What it is, short: ``"sep_conv 3x3"``.
        inputs: The nodes that it reads; those that are in no drawing are inputs of the part.
    """

    id: str
    label: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class GraphPart:
    """A part of a network: a cell, a stage, or all of it.

    Attributes:
        title: ``"cell 0, 1, 3"``: the places where this very part stands.
        times: How many places those are.
        nodes: In topological order; the last one is the output.
    """

    title: str
    times: int
    nodes: tuple[GraphNode, ...]


@dataclass(frozen=True)
class TimePart:
    """A part of a network's predicted latency.

    Attributes:
        name: The class of units, the kind of operation, or the call.
        count: How many a call executes; 0 for the call.
        ms: Milliseconds of all of them.
        share: Of the whole, 0..1.
    """

    name: str
    count: int
    ms: Number
    share: Number


@dataclass(frozen=True)
class Breakdown:
    """Where the predicted milliseconds of a network go.

    Attributes:
        total_ms: All of them.
        classes: The parts by class, dearest first.
        dearest: The dearest single units or operations, and last what all others are together.
    """

    total_ms: Number
    classes: tuple[TimePart, ...]
    dearest: tuple[TimePart, ...]


@dataclass(frozen=True)
class HeldAgainst:
    """A network's latency, predicted and measured, milliseconds.

    Attributes:
        role: ``"validation"`` of the table, or ``"front"`` of the run.
        predicted: By the table.
        predicted_interval: Of it; ``None`` where the table is not at hand.
        measured: At the speed of the table.
        measured_interval: Of it.
        member: Number in ``Members``; ``None`` for what is none of them.
    """

    role: Literal["validation", "front"]
    predicted: Number
    predicted_interval: Interval | None
    measured: Number
    measured_interval: Interval
    member: int | None = None


@dataclass(frozen=True)
class Accuracy:
    """Predictions of one target held against measurements.

    Attributes:
        quantity: Name of the latency's objective.
        networks: Those of the table's validation, then members of the run.
        rmspe_percent: Root of the mean square of the relative differences, of the validation; ``None``
            without one.
        noise_floor_percent: The same between halves of the measurements' own samples: none can be seen to be
            better.
        constant_percent: The same for a predictor that says the mean of all.
        text: What the table says of itself.
    """

    quantity: str
    networks: tuple[HeldAgainst, ...]
    rmspe_percent: Number | None
    noise_floor_percent: Number | None
    constant_percent: Number | None
    text: str


@dataclass(frozen=True)
class Curve:
    """A retraining, epoch by epoch.

    Attributes:
        epoch: Numbers of the epochs, (e,).
        error: On the images that judge, (e,); ``None`` where it was not judged.
        training_error: On the images trained on, (e,).
        loss: (e,).
    """

    epoch: tuple[Number, ...]
    error: tuple[Number | None, ...]
    training_error: tuple[Number | None, ...]
    loss: tuple[Number | None, ...]


@dataclass(frozen=True)
class RetrainedData:
    """A network that was retrained.

    Attributes:
        name: Of its folder.
        number: In the last front; ``None`` where it is not in that.
        architecture: In its text form.
        error: On the images that judge it.
        shared_error: That of the search, with shared weights; ``None`` where no generation knows it.
        top5_error: On the images that judge it.
        parameters: Of the deployed network.
        judged: Which images these are, and how many; a line.
        are_unseen: Whether neither training nor search saw them.
        latencies: By the names of the objectives.
        curve: Epoch by epoch.
    """

    name: str
    number: int | None
    architecture: str
    error: Number
    shared_error: Number | None
    top5_error: Number
    parameters: int
    judged: str
    are_unseen: bool
    latencies: dict[str, LatencyData]
    curve: Curve


@dataclass(frozen=True)
class SpentLine:
    """A line of what a search cost, as ``cars_hw.results.spending.Expense``."""

    what: str
    count: Number
    images: Number
    seconds: Number


@dataclass(frozen=True)
class FileLink:
    """A file of the run.

    Attributes:
        name: Its path below the run.
        href: From the page to it, quoted for a link.
        size_bytes: How long it is.
    """

    name: str
    href: str
    size_bytes: int


@dataclass(frozen=True)
class RunData:
    """A run.

    Attributes:
        name: Short, unique on the page.
        path: Its folder.
        title: Strategy, space and data.
        seed: Of everything random in the search.
        configuration: Number of its configuration in ``Page.configurations``.
        summary: Its last generation in a line.
        planned: Generations that it will have after the first.
        warnings: What makes the result less than it looks like; shown on top.
        trust: How far the latency tables may be trusted.
        notes: What has to be known to read the page: what was left out, speeds of devices.
        limits: The most that costs may be, by objective.
        limit_texts: What of a cost its limit is held against, by objective, where that is not the cost.
        members: Each distinct architecture once.
        generations: Oldest first; some without their members, which ``notes`` says.
        front: The last one.
        picks: Members that have a word.
        graphs: Drawings of members of the last front, by their numbers in it.
        breakdowns: Where their milliseconds go, by their numbers and then by the names of the latencies.
        no_breakdown: Why there is none, by the names of the latencies.
        accuracy: Predicted against measured, by target.
        retrained: What was retrained.
        spent: What the search cost, by both counts.
        ledger: Its figures.
        settings: The configuration, by dotted keys.
        toml: The same, as a file has it.
        files: Links to exported files, cards and others.
    """

    name: str
    path: str
    title: str
    seed: int
    configuration: int
    summary: str
    planned: int
    warnings: tuple[Warned, ...]
    trust: str
    notes: tuple[str, ...]
    limits: dict[str, Number]
    limit_texts: dict[str, str]
    members: Members
    generations: tuple[GenerationData, ...]
    front: tuple[FrontMember, ...]
    picks: tuple[PickData, ...]
    graphs: dict[int, tuple[GraphPart, ...]]
    breakdowns: dict[int, dict[str, Breakdown]]
    no_breakdown: dict[str, str]
    accuracy: tuple[Accuracy, ...]
    retrained: tuple[RetrainedData, ...]
    spent: tuple[SpentLine, ...]
    ledger: dict[str, Number]
    settings: dict[str, Json]
    toml: str
    files: tuple[FileLink, ...]


def number(value: float) -> Number:
    """Return a figure as it is shown: a whole number as it is, any other with six digits."""
    if math.isfinite(value) and float(value).is_integer():
        return int(value)
    return float(f"{value:.6g}")


def interval(ends: tuple[float, float]) -> Interval:
    """Return both ends as they are shown."""
    return number(ends[0]), number(ends[1])


def figures(ledger: Mapping[str, Json]) -> dict[str, Number]:
    """Return the figures of a ledger as they are shown."""
    return {name: number(value) for name, value in ledger.items() if isinstance(value, int | float)}
