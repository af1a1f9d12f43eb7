"""Tables of a page about one run; with a name above where a page has several."""

from collections.abc import Sequence

from cars_hw.results.reporting.drawing.elements import (
    Html,
    cell,
    figure_text,
    figures,
    heading,
    interval_text,
    row,
    table,
)
from cars_hw.results.reporting.model import Page
from cars_hw.results.reporting.run_model import (
    Accuracy,
    FrontMember,
    GraphPart,
    LatencyData,
    Quantity,
    RunData,
    TimePart,
)

_NODE_COLUMNS = ("node", "operation", "reads")


def front_table(page: Page, number: int) -> Html:
    """Return the last front of a run: its costs; of latencies that were measured, what was predicted, too."""
    run = page.runs[number]
    measured = _measured_names(run)
    columns = [
        name
        for one in page.objectives
        for name in (
            [f"{heading(one)}, measured", "95 %", "predicted"] if one.name in measured else [heading(one)]
        )
    ]
    rows = [
        row(str(member.number), _front_cells(page, run, member), _chosen(number, member))
        for member in run.front
    ]
    caption = f"The last front of {run.name}: {len(run.front)} member{'s' if len(run.front) > 1 else ''}"
    names = ["#", "picks", *columns, "architecture"]
    return table(caption, names, rows, texts=("#", "picks", "architecture"), tall=True, sortable=True)


def generations_table(run: RunData) -> Html:
    """Return the figures of each generation."""
    rows = [
        row(
            str(one.index),
            figures(
                (one.hypervolume, one.best_error, one.median_error, one.front, one.evaluations, one.seconds)
            ),
        )
        for one in run.generations
    ]
    columns = [
        "generation",
        "hypervolume, share of the box",
        "least error, share of images",
        "median error",
        "front",
        "evaluations so far",
        "seconds",
    ]
    return table(f"Generations of {run.name}", columns, rows, texts=["generation"], tall=True)


def graph_tables(run: RunData, number: int) -> list[Html]:
    """Return, for each part of a member of the front, what its nodes are and what they read."""
    return [_graph_table(part, number) for part in run.graphs.get(number, ())]


def breakdown_tables(run: RunData, number: int) -> list[Html]:
    """Return where the predicted milliseconds of a member of the front go, by class and by part."""
    found: list[Html] = []
    for name, one in run.breakdowns.get(number, {}).items():
        found.append(_parts_table(f"{name} of member {number}, by class", one.classes))
        found.append(_parts_table(f"{name} of member {number}, the dearest", one.dearest))
    return found


def accuracy_table(run: RunData, one: Accuracy) -> Html:
    """Return the networks whose latency was predicted and measured."""
    rows = [
        row(
            "validation" if network.member is None else _name_of(run, network.member),
            [
                *figures([network.measured]),
                cell(interval_text(network.measured_interval)),
                *figures([network.predicted]),
                cell(interval_text(network.predicted_interval) if network.predicted_interval else ""),
            ],
        )
        for network in one.networks
    ]
    columns = ["network", "measured, ms", "95 %", "predicted, ms", "95 %"]
    return table(
        f"{one.quantity} of {run.name}, predicted and measured", columns, rows, texts=["network"], tall=True
    )


def retrained_table(run: RunData) -> Html:
    """Return what was retrained: its errors beside that of the search, and its latencies."""
    names = list(dict.fromkeys(name for one in run.retrained for name in one.latencies))
    rows = [
        row(
            one.name,
            [
                *figures([one.number, one.error, one.shared_error, one.top5_error, one.parameters]),
                *(latency for name in names for latency in _latency_cells(one.latencies.get(name))),
                *figures([len(one.curve.epoch)]),
                cell(one.architecture, "long"),
            ],
        )
        for one in run.retrained
    ]
    errors = ["error, share of images", "with shared weights", "top-5 error", "parameters"]
    latencies = [column for name in names for column in (f"{name} measured, ms", "95 %", "predicted, ms")]
    columns = ["network", "#", *errors, *latencies, "epochs", "architecture"]
    return table(f"Retrained of {run.name}", columns, rows, texts=("network", "architecture"))


def spent_table(run: RunData) -> Html:
    """Return what the search cost, counted as it was and as published."""
    rows = [row(line.what, figures((line.count, line.images, line.seconds))) for line in run.spent]
    return table(
        f"What {run.name} cost", ["spent on", "count", "images", "seconds"], rows, texts=["spent on"]
    )


def ledger_table(run: RunData) -> Html:
    """Return the figures of the ledger."""
    rows = [row(name.replace("_", " "), figures([value])) for name, value in run.ledger.items()]
    return table(f"The ledger of {run.name}", ["figure", "value"], rows, texts=["figure"])


def _measured_names(run: RunData) -> set[str]:
    return {
        name
        for member in run.front
        for name, latency in member.latencies.items()
        if latency.measured is not None
    }


def _chosen(number: int, member: FrontMember) -> dict[str, str | int | float | bool]:
    """Return what lets the script choose the member by its row."""
    poor = {"class": "dim"} if member.dominated or member.violations else {}
    return {"data-run": number, "data-member": member.member, **poor}


def _front_cells(page: Page, run: RunData, member: FrontMember) -> list[Html]:
    measured = _measured_names(run)
    cells = [cell(", ".join(member.picks), "text")]
    for quantity, cost in zip(page.objectives, member.costs, strict=True):
        if quantity.name in measured:
            cells += _latency_cells(member.latencies.get(quantity.name))
        else:
            cells += figures([cost])
    return [*cells, cell(run.members.architecture[member.member], "long")]


def _latency_cells(latency: LatencyData | None) -> list[Html]:
    if latency is None:
        return figures([None, None, None])
    interval = "" if latency.measured_interval is None else interval_text(latency.measured_interval)
    return [*figures([latency.measured]), cell(interval), *figures([latency.predicted])]


def _graph_table(part: GraphPart, number: int) -> Html:
    rows = [
        row(node.id, [cell(node.label, "text"), cell(", ".join(node.inputs), "long")]) for node in part.nodes
    ]
    times = f", {part.times} times" if part.times > 1 else ""
    return table(f"Member {number}: {part.title}{times}", _NODE_COLUMNS, rows, texts=_NODE_COLUMNS)


def _parts_table(caption: str, parts: Sequence[TimePart]) -> Html:
    rows = [
        row(part.name, [*figures([part.count, part.ms]), cell(f"{part.share * 100:.1f} %")]) for part in parts
    ]
    return table(caption, ["part", "count", "ms", "share"], rows, texts=["part"])


def _name_of(run: RunData, member: int) -> str:
    numbers = (one.number for one in run.front if one.member == member)
    return next((f"member {number}" for number in numbers), run.members.architecture[member])


def reference_text(objectives: Sequence[Quantity], reference: Sequence[int | float]) -> str:
    """Say at which point the box ends that hypervolumes are shares of."""
    ends = (f"{one.label} {figure_text(end)}" for one, end in zip(objectives, reference, strict=True))
    return f"A hypervolume is the share of the box from 0 to {', '.join(ends)} that the front dominates."
