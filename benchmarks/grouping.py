"""Whether telling candidates apart by latency only where it is certain finds better networks; and estimates.

All networks of NAS-Bench-201 on two devices. A search believes a latency that is off as a table's predictions
are: by errors that networks share as they share operations, and by one of their own. What it evaluated, and
its last front, are judged by true costs. Compared with the default, seed by seed, whose believed latencies
are drawn anew for each:

* grouped: once a generation, latencies that the interval of their difference does not tell apart have one
  value when candidates are selected. Groups are runs of the sorted latencies, each as long as its ends are
  not told apart, so dominance stays transitive.
* estimated: the screen estimates the latencies of its pool, off by what ``screening_cost.py`` measures, and
  knows those of what was chosen.

A full run takes about ten minutes of CPU. Interrupted, it goes on where it ended (``runs/grouping.jsonl``).
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from _nb201 import Truth, load
from _rows import Row, finish, parse_options, store, stored

from cars_hw.candidate import Candidate
from cars_hw.evolution.domination import Costs
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Objective
from cars_hw.search import Schedule, Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.strategies.cars import Cars
from cars_hw.tabular_trainer import TabularCost, TabularTrainer

SEEDS = 40
#: Distinct networks that a search may evaluate, in rounds of a population; judged at each.
BUDGETS = (200, 400)
_POPULATION = 40
#: Rounds of new networks that come to the largest budget; unscreened, some of a round are known already.
_ROUNDS = BUDGETS[-1] // _POPULATION
#: Relative errors of a latency, by a kind of operation alone and by a network's own: together 1 and 3 %,
#: root mean square over all networks.
_ERRORS = {"off_1": (0.015, 0.007), "off_3": (0.046, 0.02)}
#: Relative error of the screen's estimates: ``screening.estimate_rmspe``.
_ESTIMATE_ERROR = 0.03
#: Standard deviations on each side of the 90 % interval of a difference.
_APART = NormalDist().inv_cdf(0.95)
#: A mean hypervolume ratio that is lower by less is not lower.
_MARGIN = 0.002

_RESULTS = "grouping"
_PARTIAL = Path("runs/grouping.jsonl")


@dataclass(frozen=True)
class Arm:
    """One way to search.

    Attributes:
        errors: Which of the errors of latencies.
        is_grouped: Whether latencies are grouped when candidates are selected.
        estimate_error: Relative error of what the screen estimates; 0: it knows.
        is_screened: Whether newcomers are screened.
        base: The arm that it is compared with; empty for one that others are compared with.
    """

    errors: str
    is_grouped: bool = False
    estimate_error: float = 0.0
    is_screened: bool = True
    base: str = ""


ARMS: Mapping[str, Arm] = {
    "default.off_1": Arm("off_1"),
    "grouped.off_1": Arm("off_1", is_grouped=True, base="default.off_1"),
    "default.off_3": Arm("off_3"),
    "grouped.off_3": Arm("off_3", is_grouped=True, base="default.off_3"),
    "unscreened.off_3": Arm("off_3", is_screened=False),
    "grouped.unscreened.off_3": Arm("off_3", is_grouped=True, is_screened=False, base="unscreened.off_3"),
    "estimated": Arm("off_1", estimate_error=_ESTIMATE_ERROR, base="default.off_1"),
}

#: Hypervolume ratios by true costs: of what was evaluated at each budget, then of the last front.
Scores = list[float]


class Belief:
    """Latencies as a table would predict them.

    Args:
        truth_ms: True latencies, (n,).
        shares: How much of each network is of each kind of operation, (n, k).
        errors: Relative errors: of a kind of operation, and of a network's own.
        rng: Draws them.

    Attributes:
        latency_ms: Believed latencies, (n,).
    """

    def __init__(
        self, truth_ms: Costs, shares: Costs, errors: tuple[float, float], rng: np.random.Generator
    ) -> None:
        self._shared, self._own = errors
        self._shares = shares
        relative = shares @ rng.normal(0.0, self._shared, shares.shape[1])
        relative += rng.normal(0.0, self._own, len(truth_ms))
        self.latency_ms: Costs = truth_ms * np.exp(relative)

    def grouped_ms(self, networks: Sequence[int]) -> Costs:
        """Return the latencies of ``n`` networks, (n,), those that are not told apart made one."""
        latency_ms = self.latency_ms[list(networks)]
        parts = latency_ms[:, None] * self._shares[list(networks)]
        shared = self._shared * np.linalg.norm(parts[:, None] - parts, axis=2)  # what they share cancels
        deviations_ms = np.hypot(shared, self._own * np.hypot.outer(latency_ms, latency_ms))
        return grouped(latency_ms, _APART * deviations_ms)


def grouped(costs: Costs, apart: Costs) -> Costs:
    """Return ``costs`` (n,), those that are not told apart made their mean.

    In ascending order, each group begins with the first cost that is in none, and goes on as long as costs
    are not told apart from that one.

    Args:
        costs: (n,).
        apart: The difference up to which every two of them are not told apart, (n, n).
    """
    groups: list[list[int]] = []
    for place in np.argsort(costs, kind="stable").tolist():
        first = groups[-1][0] if groups else place
        if groups and costs[place] - costs[first] <= apart[first, place]:
            groups[-1].append(place)
        else:
            groups.append([place])
    found: Costs = costs.copy()
    for group in groups:
        found[group] = costs[group].mean()
    return found


class _Believed(TabularCost):
    """The believed latency; where thousands are looked at, it is off by ``estimate_error``."""

    def __init__(self, belief: Belief, estimate_error: float, rng: np.random.Generator) -> None:
        super().__init__("latency_ms", _figures(belief.latency_ms))
        off = np.exp(rng.normal(0.0, estimate_error, len(belief.latency_ms)))
        self._estimates = _figures(belief.latency_ms * off) if estimate_error else None

    def estimator(self, known: Mapping[Architecture, float], /) -> Callable[[Architecture], float]:
        estimates = self._estimates
        if estimates is None:
            return self
        return lambda architecture: known.get(architecture, estimates[architecture][0])


class _Judged(Cars):
    """CARS that remembers what was evaluated, and may select by grouped latencies.

    Args:
        space: As of CARS.
        rng: As of CARS.
        groups: What groups latencies; ``None``: nobody.

    Attributes:
        seen: The indices of distinct networks, in the order of their evaluation.
    """

    def __init__(self, space: SearchSpace, rng: np.random.Generator, groups: Belief | None) -> None:
        super().__init__(space, rng, population_size=_POPULATION)
        self._groups = groups
        self.seen: dict[int, None] = {}

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        self.seen |= dict.fromkeys(_places(evaluated))
        super().tell(evaluated)

    def ranking(self, candidates: Sequence[Candidate]) -> tuple[Costs, Costs]:
        costs, violations = super().ranking(candidates)
        if self._groups is not None:
            costs[:, 2] = self._groups.grouped_ms(_places(candidates))
        return costs, violations


@cache
def truth() -> Truth:
    """Read the files once in each process."""
    return load()


@cache
def shares() -> Costs:
    """Return the share of each option among the decisions of every network, (n, options)."""
    options = np.array(truth().architectures)
    return np.stack([(options == option).mean(axis=1) for option in range(options.max() + 1)], axis=1)


def run(name: str, device: int, seed: int) -> Scores:
    """Search once, and judge it by true costs."""
    arm, judged = ARMS[name], truth().devices[device]
    rng = np.random.default_rng([seed, device])
    belief = Belief(judged.costs[:, 2], shares(), _ERRORS[arm.errors], rng)
    latency = _Believed(belief, arm.estimate_error, rng)
    strategy = _Judged(Nasbench201(), np.random.default_rng(seed), belief if arm.is_grouped else None)
    errors = _figures(1.0 - judged.costs[:, 0] / 100)
    trainer = TabularTrainer(errors)
    costs: list[Objective] = [
        Error(trainer),
        TabularCost("parameters", _figures(judged.costs[:, 1])),
        latency,
    ]
    search = Search(trainer, strategy, costs, Schedule(1, 1, 3 * _ROUNDS), screening=arm.is_screened)
    for _ in search.run():
        if len(strategy.seen) >= BUDGETS[-1]:
            break
    order = np.array(list(strategy.seen))
    found = [order[:budget] for budget in BUDGETS] + [np.array(_places(strategy.front()))]
    return [judged.judge(some)[0] for some in found]


def search_all() -> dict[str, list[list[Scores]]]:
    """Search whatever is missing, all arms of a seed beside each other; return scores by arm and device."""
    done = {tuple(key): scores for key, scores in _partial()}
    devices = range(len(truth().devices))
    wanted = [(name, device, seed) for seed in range(SEEDS) for name in ARMS for device in devices]
    missing = [job for job in wanted if job not in done]
    _PARTIAL.parent.mkdir(exist_ok=True)
    with _PARTIAL.open("a") as file:
        for i, job in enumerate(missing, start=1):
            done[job] = run(*job)
            file.write(json.dumps([job, done[job]]) + "\n")
            file.flush()
            print(f"\r{i} of {len(missing)} searches", end="", file=sys.stderr, flush=True)
    return {name: [[done[name, d, s] for s in range(SEEDS)] for d in devices] for name in ARMS}


def rows(raw: Mapping[str, Any], source: str) -> list[Row]:
    """Return the mean hypervolume ratio of each arm, and its difference to what it is compared with."""
    figures = [*(f"{budget}" for budget in BUDGETS), "front"]
    found = []
    for name, arm in ARMS.items():
        own = np.array(raw[name]).mean(axis=0)  # (seeds, figures)
        for k, figure in enumerate(figures):
            found.append(_row(f"grouping.{name}.{figure}", own[:, k], source))
            if arm.base:
                differences = own[:, k] - np.array(raw[arm.base]).mean(axis=0)[:, k]
                goal = f">= {-_MARGIN}" if arm.estimate_error else ""
                found.append(_row(f"grouping.{name}.{figure}.difference", differences, source, goal))
    return found


def _row(claim: str, values: Costs, source: str, goal: str = "") -> Row:
    """Return the mean of ``values`` (n,), with the 95 % interval of that mean."""
    mean, margin = float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Row(claim, mean, "", goal, (mean - margin, mean + margin), n=len(values), source=source)


def _figures(values: Costs) -> dict[Architecture, tuple[float, ...]]:
    """Return ``values`` (n,) by the architectures, as tables have them."""
    return {one: (value,) for one, value in zip(truth().architectures, values.tolist(), strict=True)}


def _places(candidates: Sequence[Candidate]) -> list[int]:
    return [truth().index[one.architecture] for one in candidates]


def _partial() -> Iterator[tuple[list[Any], Scores]]:
    if _PARTIAL.exists():
        for line in _PARTIAL.read_text().splitlines():
            key, scores = json.loads(line)
            yield key, scores


def main() -> None:
    """Search and judge, or check the last full run's results again with ``--quick``."""
    options = parse_options(__doc__ or "")
    if options.quick:
        finish(rows(stored(_RESULTS), "stored"), options)
    raw = search_all()
    store(_RESULTS, json.loads(json.dumps(raw)))
    finish(rows(raw, "fresh"), options)


if __name__ == "__main__":
    main()
