"""The part of a run's page about what was retrained."""

import math
from collections.abc import Mapping

from cars_hw.ledger import Json
from cars_hw.results.reporting.markup import figure, svg, table, text
from cars_hw.results.reporting.retrained import RetrainedMember, columns, rows
from cars_hw.retraining.records import Retrained


def retrained_section(members: Mapping[str, RetrainedMember]) -> str:
    """Return a table of what was retrained, what judged it, and the curves; nothing where nothing was."""
    if not members:
        return ""
    others = ["top-5 error", "parameters", "epochs", "architecture"]
    further = [
        [
            f"{one.retrained.top5_error:.4f}",
            str(one.retrained.parameters),
            str(len(one.retrained.curve)),
            one.retrained.architecture,
        ]
        for one in members.values()
    ]
    shown = [[*row, *more] for row, more in zip(rows(members), further, strict=True)]
    curves = svg_of_curves({name: one.retrained for name, one in members.items()})
    return (
        "<h2>Retrained from scratch, at the size that is deployed</h2>"
        f"{table([*columns(members), *others], shown)}"
        f"{''.join(f'<p>{text(line)}</p>' for line in _judged_lines(members))}"
        f'<div class="plots">{curves}</div>'
    )


def _judged_lines(members: Mapping[str, RetrainedMember]) -> list[str]:
    """Say what judged the networks: names with the same images in a line."""
    by_images: dict[str, list[str]] = {}
    for name, one in members.items():
        images = one.retrained.images
        seen = "" if images.are_unseen else ", by which the search chose: the error may come out too low"
        by_images.setdefault(f"{images.judging} {images.judged_on}{seen}", []).append(name)
    lines = [f"{', '.join(names)}: judged on {images}." for images, names in by_images.items()]
    return [*lines, "The error with shared weights is that of the search, on its fitness images."]


def svg_of_curves(found: Mapping[str, Retrained]) -> str:
    """Draw, over epochs, the errors on the images that judge, and dotted those on the images trained on."""
    drawn = figure()
    axes = drawn.add_subplot()
    for i, one in enumerate(found.values()):
        judged, trained = (_points(one, name) for name in ("error", "training_error"))
        axes.plot(*judged, color=f"C{i % 10}", marker="o", markersize=3)
        axes.plot(*trained, color=f"C{i % 10}", linestyle=":")
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel("error, % (dotted: on training images)")
    labels = axes.legend(axes.lines[::2], list(found), frameon=False).get_texts()
    for label in labels:
        label.set_parse_math(False)  # a name from a file is no formula
    return svg(drawn)


def _points(found: Retrained, name: str) -> tuple[list[float], list[float]]:
    """Return the epochs in which a figure of the curve is known, and it, in percent."""
    points = [(_number(epoch.get("epoch")), _number(epoch.get(name))) for epoch in found.curve]
    known = [(x, y * 100) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    return [x for x, _ in known], [y for _, y in known]


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
