"""Pooling: several runs beside each other, those that differ in the seed alone as one configuration."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, stdev

import numpy as np

from cars_hw.config import SearchConfig
from cars_hw.evolution.domination import non_dominated
from cars_hw.ledger import Json
from cars_hw.results.reporting.model import Configuration, Difference, Pooled
from cars_hw.results.reporting.run_model import GenerationData, Number, RunData, number
from cars_hw.runs.changes import flat

#: What may differ between runs of one configuration: the seed, and what decides no result.
_NO_DIFFERENCE = frozenset(("search.seed", "search.checkpoint_every_s", "search.torch_device", "data.path"))
_RETRAINING = "retraining."
#: Where a target is, which decides no result either; its table is compared by what is in it.
_PLACES = (".table", ".device")
_ABSENT = "-"
#: So many runs of a configuration are all named.
_NAMED = 3


def deciding(config: SearchConfig) -> dict[str, Json]:
    """Return the settings by dotted keys that tell one configuration from another."""
    return {key: value for key, value in flat(config.to_values()).items() if _decides(key)}


def differences(labelled: Sequence[Mapping[str, Json]]) -> tuple[Difference, ...]:
    """Return the settings in which configurations differ, as ``deciding`` has them."""
    keys = dict.fromkeys(key for settings in labelled for key in settings)
    rows = (Difference(key, tuple(_text(one, key) for one in labelled)) for key in keys)
    return tuple(row for row in rows if len(set(row.values)) > 1)


def configuration(runs: Sequence[RunData], numbers: Sequence[int]) -> Configuration:
    """Return the runs of one configuration, pooled.

    Args:
        runs: All runs of the page.
        numbers: Of those of the configuration, at least one.
    """
    own = [runs[i] for i in numbers]
    return Configuration(
        label=_label([run.name for run in own]),
        runs=tuple(numbers),
        hypervolume=pooled(own, lambda generation: generation.hypervolume),
        best_error=pooled(own, lambda generation: generation.best_error),
        front=_front(runs, numbers),
    )


def pooled(runs: Iterable[RunData], figure: Callable[[GenerationData], Number]) -> Pooled:
    """Return a figure of the generations of several runs, with its spread over those that reached each."""
    by_index: dict[int, list[float]] = {}
    for run in runs:
        for generation in run.generations:
            by_index.setdefault(generation.index, []).append(float(figure(generation)))
    indices = sorted(by_index)
    each = [by_index[index] for index in indices]
    return Pooled(
        generation=tuple(indices),
        runs=tuple(map(len, each)),
        mean=tuple(number(fmean(values)) for values in each),
        deviation=tuple(number(stdev(values)) if len(values) > 1 else None for values in each),
        least=tuple(number(min(values)) for values in each),
        most=tuple(number(max(values)) for values in each),
    )


def _label(names: Sequence[str]) -> str:
    """Return what a configuration is called: its runs, or the first and last of many."""
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{names[0]} ... {names[-1]} ({len(names)} runs)"


def _front(runs: Sequence[RunData], numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the members within the limits, of all last fronts, that no other of them dominates."""
    members = [(i, one) for i in numbers for one in runs[i].front if not one.violations]
    if not members:
        return ()
    kept = non_dominated(np.array([one.costs for _, one in members], dtype=float)).tolist()
    return tuple((members[place][0], members[place][1].number) for place in kept)


def _decides(key: str) -> bool:
    is_place = key.startswith(("latency.", "targets.")) and key.endswith(_PLACES)
    return not (key in _NO_DIFFERENCE or key.startswith(_RETRAINING) or is_place)


def _text(settings: Mapping[str, Json], key: str) -> str:
    if key not in settings:
        return _ABSENT
    value = settings[key]
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
