"""Figures of searches that were judged: gains with intervals, and differences between arms of equal seeds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from _rows import Row
from _truth_arms import ARMS
from numpy.typing import NDArray
from scipy.stats import t, ttest_ind

Floats = NDArray[np.float64]

#: Errors, in %, at which latencies of two arms are compared.
ERRORS = (6.5, 7.0, 7.5, 8.0, 9.0, 10.0)
_GOAL = 0.3
#: What the default is held against, seed by seed.
RIVALS = ("random_search", "macs")


def rows(raw: Mapping[str, Any], source: str) -> list[Row]:
    """Return what was found: first what could have been, the smallest difference that would be detected."""
    jobs = by_arm(raw["jobs"])
    truth, blind = bounds(raw)
    gains = {arm: (_figures(own, "hypervolume") - blind) / (truth - blind) for arm, own in jobs.items()}
    found = [
        *_differences(jobs, gains, source),
        Row("end_to_end.hypervolume.truth", truth, n=len(raw["bounds"]["truth"]), source=source),
        Row("end_to_end.hypervolume.blind", blind, n=len(raw["bounds"]["random"]), source=source),
    ]
    bounding = {}
    for kind, own in raw["bounds"].items():
        values = np.array([one["hypervolume"] for one in own])
        bounding[kind] = (values - blind) / (truth - blind)
        found.append(_mean_row(f"end_to_end.bound.{kind}.hypervolume", values, source))
        found.append(_mean_row(f"end_to_end.bound.{kind}.gain", bounding[kind], source))
    for arm, own in jobs.items():
        found.extend(_arm_rows(arm, own, gains[arm], source))
    if len(gains.get("default", ())) > 1:
        found.append(_above_live(gains["default"], bounding["live"], source))
    return found


def _above_live(own: Floats, live: Floats, source: str) -> Row:
    """Return what shared weights add to the number of live parameters, which alone drives a bound (Welch)."""
    found = ttest_ind(own, live, equal_var=False).confidence_interval(0.95)
    above, spread = float(own.mean() - live.mean()), (float(found.low), float(found.high))
    return Row("end_to_end.gain.above_live", above, spread=spread, n=len(own), source=source)


def by_arm(jobs: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return jobs by their arms, in the order of ``ARMS``, each by its seeds."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in sorted(jobs, key=lambda one: (list(ARMS).index(one["arm"]), one["seed"])):
        found.setdefault(one["arm"], []).append(one)
    return found


def bounds(raw: Mapping[str, Any]) -> tuple[float, float]:
    """Return the mean hypervolumes of the truth, and of the better of the two that are blind."""
    means = {kind: float(np.mean([one["hypervolume"] for one in own])) for kind, own in raw["bounds"].items()}
    return means["truth"], max(means["random"], means["parameters"])


def interval(values: Floats) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean by Student's t; ``None`` for one value, or an infinite one."""
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    margin = float(t.ppf(0.975, len(values) - 1)) * _standard_error(values)
    return float(values.mean()) - margin, float(values.mean()) + margin


def detectable(values: Floats) -> float:
    """Return the difference that a paired test at 5 % detects with a power of 80 %; NaN for one value."""
    if len(values) < 2:
        return float("nan")
    quantiles = [float(t.ppf(level, len(values) - 1)) for level in (0.975, 0.8)]
    return math.fsum(quantiles) * _standard_error(values)


def _standard_error(values: Floats) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def _differences(
    jobs: Mapping[str, Sequence[Mapping[str, Any]]], gains: Mapping[str, Floats], source: str
) -> Iterator[Row]:
    """Hold the default against its rivals, over the seeds that both have."""
    for rival in RIVALS:
        if "default" not in jobs or rival not in jobs:
            continue
        seeds = {
            arm: {one["seed"]: place for place, one in enumerate(jobs[arm])} for arm in ("default", rival)
        }
        both = sorted(seeds["default"].keys() & seeds[rival].keys())
        if len(both) < 2:
            continue
        own = np.array([gains["default"][seeds["default"][seed]] for seed in both])
        its = np.array([gains[rival][seeds[rival][seed]] for seed in both])
        base = f"end_to_end.gain.above_{rival}"
        yield Row(f"{base}.detectable", detectable(own - its), n=len(both), source=source)
        yield _mean_row(base, own - its, source)
        if rival == "macs":
            yield from _saved(jobs, seeds, both, source)


def _saved(
    jobs: Mapping[str, Sequence[Mapping[str, Any]]],
    seeds: Mapping[str, Mapping[int, int]],
    both: Sequence[int],
    source: str,
) -> Iterator[Row]:
    from _truth_judge import saved_ms

    def costs(arm: str, seed: int) -> Floats:
        found: Floats = np.array(jobs[arm][seeds[arm][seed]]["costs"])
        return found

    saved = np.array([saved_ms(costs("default", seed), costs("macs", seed), ERRORS) for seed in both])
    compared = saved[np.isfinite(saved)]
    if len(compared):
        yield _mean_row("end_to_end.saved_against_macs", compared, source, unit="ms")


def _arm_rows(arm: str, own: Sequence[Mapping[str, Any]], gains: Floats, source: str) -> Iterator[Row]:
    base = "end_to_end" if arm == "default" else f"end_to_end.{arm}"
    gain = _mean_row(f"{base}.gain", gains, source, goal=f">= {_GOAL}" if arm == "default" else "")
    yield gain
    if arm == "default" and gain.spread is not None:
        yield Row(f"{base}.gain.lower", gain.spread[0], "", ">= 0", n=len(gains), source=source)
    for name, unit in (
        ("hypervolume", ""),
        ("igd_plus", ""),
        ("recall", ""),
        ("regret", "%"),
        ("error", "%"),
        ("n", ""),
    ):
        yield _mean_row(f"{base}.{name}", _figures(own, name), source, unit=unit)
    if ranking := [one for one in own if "tau" in one["figures"]]:
        yield _mean_row(f"{base}.tau", _figures(ranking, "tau"), source)
    yield _mean_row(f"{base}.cpu_s", _figures(own, "cpu_s"), source, unit="s")
    yield _mean_row(f"{base}.macs", _figures(own, "macs"), source)
    passes = np.array([one["ledger"]["training_images"] + one["ledger"]["evaluation_images"] for one in own])
    yield _mean_row(f"{base}.image_passes", passes, source)


def _figures(own: Sequence[Mapping[str, Any]], name: str) -> Floats:
    return np.array([one["figures"][name] for one in own], dtype=np.float64)


def _mean_row(claim: str, values: Floats, source: str, *, unit: str = "", goal: str = "") -> Row:
    return Row(claim, float(values.mean()), unit, goal, interval(values), n=len(values), source=source)
