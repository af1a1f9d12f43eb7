"""Sections of a page, in their order: complete without a script, whose charts replace the pictures."""

from collections.abc import Callable, Iterable, Sequence

from cars_hw.results.reporting.drawing import plots
from cars_hw.results.reporting.drawing.elements import (
    Html,
    cell,
    element,
    figure_text,
    figures,
    joined,
    row,
    table,
)
from cars_hw.results.reporting.drawing.run_tables import (
    accuracy_table,
    breakdown_tables,
    front_table,
    generations_table,
    graph_tables,
    ledger_table,
    reference_text,
    retrained_table,
    spent_table,
)
from cars_hw.results.reporting.model import Page
from cars_hw.results.reporting.run_model import FileLink, RunData

_KIBI = 1024


def hero(page: Page) -> Html:
    """Return the title, what makes the results less than they look like, and the main figures."""
    return element(
        "div",
        {"class": "hero"},
        element("h1", {}, page.title),
        _warnings(page),
        *(
            element("div", {"data-of-run": number}, _summary(page, run), _tiles(run))
            for number, run in enumerate(page.runs)
        ),
        *([_runs_table(page)] if len(page.runs) > 1 else []),
    )


def front(page: Page) -> Html:
    """Return the fronts: pictures, the chosen member, a table, and what has to be known to read them."""
    chart = element(
        "div",
        {"class": "split"},
        element("div", {"class": "stack"}, _still("front", plots.fronts(page))),
        element(
            "aside", {"class": "detail", "id": "detail", "aria-label": "The chosen member", "hidden": True}
        ),
    )
    return _panel(
        "front",
        "The front",
        chart,
        *(_of_run(page, number, *_front_parts(page, number)) for number in range(len(page.runs))),
        controls=True,
    )


def network(page: Page) -> Html:
    """Return the chosen network's drawing, and where its milliseconds go; first, of each first pick."""
    graphs = _each(page, lambda run: joined(graph_tables(run, _first_pick(run))))
    parts = _each(
        page, lambda run: joined((*breakdown_tables(run, _first_pick(run)), *_lines(run.no_breakdown)))
    )
    drawing = _panel(
        "graph",
        "The chosen network",
        element("p", {"class": "small", "id": "graph-of"}, "The first pick of each run"),
        _still("graph", graphs),
        note="Boxes are operations; what they read comes from the left, or from above.",
    )
    breakdown = _panel("breakdown", "Where its milliseconds go", _still("breakdown", parts))
    return joined((drawing, breakdown))


def progress(page: Page) -> Html:
    """Return hypervolume and error over generations, and their figures."""
    tables = _each(page, generations_table)
    return _panel(
        "progress",
        "Progress",
        element(
            "div",
            {"class": "pair"},
            element("div", {"class": "stack"}, _still("hypervolume", plots.hypervolumes(page))),
            element("div", {"class": "stack"}, _still("error", plots.errors(page))),
        ),
        element("p", {"class": "small"}, reference_text(page.objectives, page.reference)),
        _details("All generations as a table", tables),
    )


def accuracy(page: Page) -> Html:
    """Return predicted against measured latencies; nothing where none was measured."""
    if not any(run.accuracy for run in page.runs):
        return Html("")
    tables = _each(page, lambda run: joined(accuracy_table(run, one) for one in run.accuracy))
    return _panel(
        "accuracy",
        "Predicted against measured",
        _still("accuracy", _each(page, plots.accuracies)),
        _details("As a table", tables),
    )


def retrained(page: Page) -> Html:
    """Return what was retrained from scratch; nothing where nothing was."""
    if not any(run.retrained for run in page.runs):
        return Html("")
    shown = [(number, run) for number, run in enumerate(page.runs) if run.retrained]
    return _panel(
        "retrained",
        "Retrained from scratch, at the size that is deployed",
        _still("curves", joined(plots.curves(run.retrained) for _, run in shown)),
        *(_of_run(page, number, retrained_table(run), *_judged(run)) for number, run in shown),
    )


def spending(page: Page) -> Html:
    """Return what the searches cost."""
    parts = _each(page, lambda run: joined((spent_table(run), _details("The ledger", ledger_table(run)))))
    return _panel("spent", "What was spent", parts)


def configuration(page: Page) -> Html:
    """Return the settings: those in which configurations differ, then all."""
    files = _each(page, lambda run: _files(run.files))
    return element(
        "div",
        {"class": "stack"},
        *([_differences(page)] if page.differences else []),
        _panel(
            "configuration",
            "Configuration",
            *(
                _of_run(page, number, element("p", {"class": "small"}, run.path), _toml(number, run))
                for number, run in enumerate(page.runs)
            ),
        ),
        *([_panel("files", "Files", files)] if any(run.files for run in page.runs) else []),
    )


def _front_parts(page: Page, number: int) -> Iterable[Html]:
    run = page.runs[number]
    yield front_table(page, number)
    picks = [
        element(
            "li", {}, element("span", {"class": "badge"}, pick.choice), f" member {pick.number}, {pick.why}"
        )
        for pick in run.picks
    ]
    if picks:
        yield element("ul", {"class": "picks"}, *picks)
    yield from (element("p", {"class": "small"}, text) for text in (run.trust, *run.notes) if text)


def _panel(name: str, title: str, *children: str, note: str = "", controls: bool = False) -> Html:
    heading = element("h2", {"id": f"{name}-title"}, title)
    chosen = [element("div", {"class": "controls", "id": f"{name}-controls"})] if controls else []
    told = [element("p", {"class": "small"}, note)] if note else []
    return element(
        "section",
        {"class": "panel", "id": name, "aria-labelledby": f"{name}-title"},
        element("div", {"class": "head"}, heading, *chosen),
        *told,
        *children,
    )


def _still(name: str, content: Html) -> Html:
    """Return what a chart of the script takes the place of."""
    return element("div", {"class": "still stack", "id": f"{name}-chart"}, content)


def _of_run(page: Page, number: int, *children: str) -> Html:
    """Return what belongs to one run; with its name where there are several."""
    name = [element("h3", {}, page.runs[number].name)] if len(page.runs) > 1 else []
    return element("div", {"class": "stack", "data-of-run": number}, *name, *children)


def _each(page: Page, content: Callable[[RunData], Html]) -> Html:
    return joined(_of_run(page, number, content(run)) for number, run in enumerate(page.runs))


def _details(summary: str, content: Html) -> Html:
    return element("details", {}, element("summary", {}, summary), content)


def _warnings(page: Page) -> Html:
    by_text: dict[str, list[str]] = {}
    for run in page.runs:
        for found in run.warnings:
            by_text.setdefault(found.text, []).append(run.name)
    lines = [
        element("li", {}, f"{', '.join(names)}: {text}" if len(page.runs) > 1 else text)
        for text, names in by_text.items()
    ]
    return element("ul", {"class": "warnings", "aria-label": "Warnings"}, *lines) if lines else Html("")


def _summary(page: Page, run: RunData) -> Html:
    name = element("strong", {}, f"{run.name}: ") if len(page.runs) > 1 else ""
    return element("p", {"class": "lede"}, name, run.summary)


def _tiles(run: RunData) -> Html:
    last = run.generations[-1]
    seconds = sum(one.seconds for one in run.generations)
    found = [
        ("members of the front", figure_text(len(run.front)), ""),
        ("least error, share", figure_text(last.best_error), ""),
        ("hypervolume, share", figure_text(last.hypervolume), ""),
        ("generations", figure_text(last.index), f" of {run.planned}"),
        ("evaluations", figure_text(last.evaluations), ""),
        ("time", f"{seconds:.0f}", " s"),
    ]
    tiles = [
        element("div", {}, element("dt", {}, name), element("dd", {}, value, element("small", {}, more)))
        for name, value, more in found
    ]
    return element("dl", {"class": "tiles"}, *tiles)


def _runs_table(page: Page) -> Html:
    rows = [
        row(
            run.name,
            [
                cell(page.configurations[run.configuration].label, "text"),
                *figures((run.seed, run.generations[-1].index, len(run.front))),
                *figures((run.generations[-1].hypervolume, run.generations[-1].best_error)),
                *figures((run.generations[-1].evaluations,)),
            ],
        )
        for run in page.runs
    ]
    columns = [
        "run",
        "configuration",
        "seed",
        "generations",
        "front",
        "hypervolume",
        "least error",
        "evaluations",
    ]
    return table("The runs, after their last generations", columns, rows, texts=columns[:2])


def _first_pick(run: RunData) -> int:
    return next((pick.number for pick in run.picks if pick.choice == "knee"), run.front[0].number)


def _lines(texts: dict[str, str]) -> list[Html]:
    return [element("p", {"class": "small"}, f"{name}: {why}") for name, why in texts.items()]


def _judged(run: RunData) -> list[Html]:
    by_text: dict[str, list[str]] = {}
    for one in run.retrained:
        by_text.setdefault(one.judged, []).append(one.name)
    lines = [f"{', '.join(names)}: {text}" for text, names in by_text.items()]
    told = [*lines, "The error with shared weights is that of the search, on its fitness images."]
    return [element("p", {"class": "small"}, line) for line in told]


def _differences(page: Page) -> Html:
    rows = [row(one.key, [cell(value, "text") for value in one.values]) for one in page.differences]
    labels = [one.label for one in page.configurations]
    content = table(
        "Settings in which the configurations differ", ["setting", *labels], rows, texts=["setting", *labels]
    )
    return _panel("differences", "Differences", content)


def _toml(number: int, run: RunData) -> Html:
    name = f"toml-{number}"
    content = element(
        "pre",
        {"id": name, "tabindex": "0", "role": "region", "aria-label": f"Settings of {run.name}"},
        run.toml,
    )
    copies = element("div", {"class": "controls", "data-copies": name})
    return joined((copies, content))


def _files(files: Sequence[FileLink]) -> Html:
    links = [
        element("li", {}, element("a", {"href": file.href}, file.name, element("small", {}, _size(file))))
        for file in files
    ]
    return element("ul", {"class": "files"}, *links) if links else element("p", {"class": "small"}, "None.")


def _size(file: FileLink) -> str:
    if file.size_bytes < _KIBI:
        return f"{file.size_bytes} bytes"
    return f"{file.size_bytes / _KIBI:.0f} KiB"
