"""Writes docs/search-quality.md from the raw results of tabular_search.py, offspring.py and screening.py.

usage: python scripts/search_quality.py > docs/search-quality.md
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

_RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
_BUDGETS = (200, 400, 800)
_DEFAULT = "cars, screened (default)"

_HEAD = """# How the algorithms fare where the truth is known

Written by `scripts/search_quality.py` from what `tabular_search.py`, `offspring.py` and `screening.py` of
`benchmarks` stored, with hashes, in `benchmarks/results`.

## NAS-Bench-201, two devices

All 15 625 networks with their true accuracies (CIFAR-10, 200 epochs), parameters and measured latencies
on a Pixel 3 and a Titan RTX (batch 1). A budget counts *distinct* networks; asking for one again is
charged to nobody. The *hypervolume ratio* is that of what was evaluated to that of all networks, by the
definition of `nb201_hv_definition.json` (admitted networks, normalisation, reference point), under
which random search is far from perfect: it is run first, and the benchmark stops where it is not within
0.01 of the file's figures. *Recall* is the share of the true front that was found; *IGD+* the mean
distance from which the true front's points are not yet matched (lower is better). All populations are
of 40. Each figure is the mean over both devices and {seeds} seeds (random search: 200), ± the standard
deviation between seeds.

"""
_OFFSPRING = """
## How plain CARS makes offspring

Without screening, everything that is drawn is evaluated. Of the paper's offspring half are random, and a
mutation changes half of a network; few of those survive. Other recipes were compared where none of the
above is judged: errors on CIFAR-100 and ImageNet16-120, latencies on six other devices, the same for the
rest (`benchmarks/offspring.py`; mean over six problems and {seeds} seeds, ± the standard deviation between
seeds; admitted are as many networks as above). The default was chosen by these; the table above judges it.

| mutation, crossover, random | a mutation draws anew | 200 networks | 400 networks | 800 networks |
|---|---|---|---|---|
"""
_MOVING = """
There, errors stand still. Where those on CIFAR-10 move in 20 generations from the ones after 12 epochs to
the ones after 200, the last population has a hypervolume ratio of {default} by the default
and {paper} by the paper's (both devices, {seeds} seeds).

On a SuperNet the two were not compared. A screened pool is drawn by the paper's shares, `pool = "paper"`,
as before: whether nearer offspring would serve it was not measured.
"""
_SCREENING = """
## On a SuperNet, whose accuracies move

The demo's space and images, {seeds} seeds, the same steps and evaluations with and without screening, both
by the paper's offspring: hypervolume of the last population's costs (error, parameters, MACs).

| seed | with screening | without |
|---|---|---|
"""


def main() -> None:
    """Print the page."""
    raw = _raw("tabular_search")
    out = [_HEAD.format(seeds=len(raw[_DEFAULT][0]))]
    for i, (title, digits) in enumerate(
        (("hypervolume ratio", 4), ("recall of the true front", 3), ("IGD+", 4))
    ):
        out.append(_table(raw, i, title, digits))
    out.append(_unspent(raw))
    out.append(
        "Differences inside the spreads mean nothing: the selection rules (pNSGA-III, NSGA-II, NSGA-III) "
        "cannot be distinguished here.\n"
    )
    out.append(_offspring(_raw("offspring")))
    pairs = _raw("screening")
    volumes, mean, margin = _screening(pairs)
    out.append(_SCREENING.format(seeds=len(pairs)))
    out += [f"| {seed} | {a:.3f} | {b:.3f} |\n" for seed, (a, b) in enumerate(volumes)]
    out.append(
        f"\nMean difference {mean:+.3f}, 95 % interval {mean - margin:+.3f} to {mean + margin:+.3f} "
        "(Student's t over the pairs).\n"
    )
    sys.stdout.write("".join(out))


def _raw(name: str) -> Any:
    return json.loads((_RESULTS / f"{name}.json").read_text())["raw"]


def _table(raw: dict[str, Any], score: int, title: str, digits: int) -> str:
    lines = [
        f"| {title} | " + " | ".join(f"{budget} networks" for budget in _BUDGETS) + " |\n|---|---|---|---|\n"
    ]
    for method in sorted(raw, key=lambda m: -np.array(raw[m])[:, :, -1, 0].mean()):
        by_seed = np.array(raw[method])[..., score].mean(axis=0)
        cells = [
            f"{mean:.{digits}f} ± {sd:.{digits}f}"
            for mean, sd in zip(by_seed.mean(axis=0), by_seed.std(axis=0, ddof=1), strict=True)
        ]
        name = f"**{method}**" if method == _DEFAULT else method
        lines.append(f"| {name} | {' | '.join(cells)} |\n")
    return "".join(lines) + "\n"


def _unspent(raw: dict[str, Any]) -> str:
    """Name who ended before the budget was spent."""
    counts = {method: np.array(raw[method])[:, :, -1, 3].mean() for method in raw}
    short = [f"{method} {count:.0f}" for method, count in counts.items() if count < _BUDGETS[-1] - 0.5]
    if not short:
        return ""
    return (
        "Some algorithms end, or go in circles, before 800 distinct networks are evaluated; their last "
        f"column is of as many as they evaluated, on average: {', '.join(short)}.\n\n"
    )


def _offspring(raw: dict[str, Any]) -> str:
    """Return the section on recipes, the best at the largest budget first, and on moving errors."""
    sys.path.insert(0, str(_RESULTS.parent))
    from offspring import DEFAULT, RECIPES, strategy

    lines = []
    for method in sorted(raw["fixed"], key=lambda m: -np.array(raw["fixed"][m])[:, :, -1].mean()):
        by_seed = np.array(raw["fixed"][method]).mean(axis=0)
        cells = [_spread(by_seed[:, k]) for k in range(len(_BUDGETS))]
        if method in RECIPES:
            settings = strategy(0, RECIPES[method]).settings
            mutation, crossover = settings.mutation_share, settings.crossover_share
            name = f"{mutation:.2f}, {crossover:.2f}, {1 - mutation - crossover:.2f}"
            groups = {"one": "one group", "half": "each with 0.5"}[settings.mutated_groups]
        else:
            name, groups = method, "—"
        name = f"**{name}** (default)" if method == DEFAULT else name
        lines.append(f"| {name} | {groups} | {' | '.join(cells)} |\n")
    moving = {name: _spread(np.array(ratios).mean(axis=0)) for name, ratios in raw["moving"].items()}
    seeds = len(raw["moving"][DEFAULT][0])
    return _OFFSPRING.format(seeds=seeds) + "".join(lines) + _MOVING.format(seeds=seeds, **moving)


def _spread(values: Any) -> str:
    return f"{values.mean():.4f} ± {values.std(ddof=1):.4f}"


def _screening(pairs: list[dict[str, Any]]) -> tuple[Any, float, float]:
    """Return the hypervolumes (n, 2) of the pairs, and their mean difference with its margin."""
    sys.path.insert(0, str(_RESULTS.parent))
    from screening import paired_difference, volumes

    found = volumes(pairs)
    return (found, *paired_difference(found))


if __name__ == "__main__":
    main()
