"""What the still pictures of a page show: fronts, figures over generations, latencies, curves."""

from collections.abc import Sequence

from cars_hw.results.reporting.drawing.elements import Html, heading, joined
from cars_hw.results.reporting.drawing.stills import Axis, Point, Still
from cars_hw.results.reporting.model import Configuration, Page, Pooled
from cars_hw.results.reporting.run_model import Accuracy, Number, RetrainedData, RunData


def fronts(page: Page) -> Html:
    """Return a picture of all last fronts for each objective after the first, which is up."""
    return joined(_front(page, objective) for objective in range(1, len(page.objectives)))


def hypervolumes(page: Page) -> Html:
    """Return a picture of the hypervolume over generations, a line for each configuration."""
    pooled = [configuration.hypervolume for configuration in page.configurations]
    return _over_generations("hypervolume, share of the box", page.configurations, pooled)


def errors(page: Page) -> Html:
    """Return a picture of the least error over generations, a line for each configuration."""
    pooled = [configuration.best_error for configuration in page.configurations]
    return _over_generations("least error, share of images", page.configurations, pooled)


def accuracies(run: RunData) -> Html:
    """Return a picture for each target of predicted over measured latencies, with where both agree."""
    return joined(_accuracy(one) for one in run.accuracy if one.networks)


def curves(found: Sequence[RetrainedData]) -> Html:
    """Return a picture of errors over epochs; those on the images trained on are dotted."""
    lines = [
        (number, style, _known(one.curve.epoch, values))
        for number, one in enumerate(found)
        for style, values in (("", one.curve.error), (" dotted", one.curve.training_error))
    ]
    points = [point for _, _, line in lines for point in line]
    if not points:
        return Html("")
    still = Still(
        Axis.over("epoch", [x for x, _ in points]),
        Axis.over("error, share of images", [0, *(y for _, y in points)]),
        "Errors of retrained networks over epochs",
    )
    for number, style, line in lines:
        start = len(still)
        still.line(line, f"line{style}")
        still.toned(number, start)
    return still.svg()


def _front(page: Page, objective: int) -> Html:
    populations = [_population(run, objective) for run in page.runs]
    own = [[_point(member.costs, objective) for member in run.front] for run in page.runs]
    points = [point for group in (*populations, *own) for point in group]
    across, up = page.objectives[objective], page.objectives[0]
    still = Still(
        Axis.over(heading(across), [x for x, _ in points]),
        Axis.over(heading(up), [y for _, y in points]),
        f"The last front: {up.label} over {across.label}",
    )
    for population in populations:
        still.marks(population, "population", 3)
    for run in page.runs:
        start = len(still)
        for name, is_poor in (("dominated", True), ("front", False)):
            members = [one for one in run.front if (one.dominated or bool(one.violations)) is is_poor]
            still.marks([_point(one.costs, objective) for one in members], name, 4.4)
        still.toned(run.configuration, start)
    _add_limit(still, page, objective)
    return still.svg()


def _add_limit(still: Still, page: Page, objective: int) -> None:
    """Draw the limit that all runs have, as far as it lies in the picture."""
    limits = {run.limits.get(page.objectives[objective].name) for run in page.runs}
    limit = limits.pop() if len(limits) == 1 else None
    if limit is not None and limit < still.x.high:
        still.line([(limit, still.y.low), (limit, still.y.high)], "limit")


def _population(run: RunData, objective: int) -> list[Point]:
    generation = next(one for one in reversed(run.generations) if one.population)
    others = generation.population[generation.front :]
    return [_point(run.members.costs[member], objective) for member in others]


def _point(costs: Sequence[Number], objective: int) -> Point:
    return costs[objective], costs[0]


def _over_generations(title: str, configurations: Sequence[Configuration], pooled: Sequence[Pooled]) -> Html:
    values = [value for one in pooled for value in (*one.least, *one.most)]
    still = Still(
        Axis.over("generation", [index for one in pooled for index in one.generation]),
        Axis.over(title, values),
        f"{title}, over generations",
    )
    for number, one in enumerate(pooled):
        start = len(still)
        if len(configurations[number].runs) > 1:
            ends = [*zip(one.generation, one.least, strict=True)]
            still.line([*ends, *reversed([*zip(one.generation, one.most, strict=True)])], "band")
        still.line([*zip(one.generation, one.mean, strict=True)], "line")
        still.toned(number, start)
    return still.svg()


def _accuracy(one: Accuracy) -> Html:
    values = [value for network in one.networks for value in (network.predicted, network.measured)]
    low, high = min(values), max(values)
    still = Still(
        Axis.over("measured, ms", values),
        Axis.over("predicted, ms", values),
        f"{one.quantity}, predicted over measured",
    )
    still.line([(low, low), (high, high)], "identity")
    for role, name in (("validation", "population"), ("front", "measured")):
        members = (network for network in one.networks if network.role == role)
        still.marks([(network.measured, network.predicted) for network in members], name)
    return still.svg()


def _known(epochs: Sequence[Number], values: Sequence[Number | None]) -> list[Point]:
    pairs = zip(epochs, values, strict=True)
    return [(epoch, value) for epoch, value in pairs if value is not None]
