"""Whether what makes a search cheaper costs quality: searches of the demo's size, seed by seed, equal steps.

* plain: every candidate is judged on all fitness images, and nothing is screened.
* fewer: as the demo does it, as few images judge and set statistics as its configuration says, and new
  architectures are screened, with estimates of their latencies.
* grouped: as fewer, and latencies that the 90 % interval of their difference does not tell apart have one
  value when candidates are selected (the product does not do that). Only with ``--arms``.

What counts is the last front: its errors are those on images kept apart, all of them, its hypervolume that
of (error, parameters, latency). Latencies are predicted from a table of units whose seconds are made up from
their work, so that nothing is measured. Each search is kept as it ends; interrupted, all goes on with the
next one.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import math
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _demo_search import demo, held_out_errors
from _rows import Row, finish, option_parser, store, stored
from grouping import grouped
from scipy import stats
from screening_cost import TimedCounts, predictor

from cars_hw.assembly import make_schedule, make_space, make_test_images, make_trainer
from cars_hw.candidate import Candidate
from cars_hw.evolution.domination import Costs
from cars_hw.evolution.indicators import hypervolume
from cars_hw.latency.prediction import UnitPredictor
from cars_hw.objectives import Error, Latency, Parameters
from cars_hw.search import Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies.cars import Cars
from cars_hw.weights import modules
from profilers import runtimes

_SEEDS = 20
_RESULTS, _SHORT_RESULTS = "quality", "quality_short"
_MARGIN = 0.05
#: Standard deviations on each side of the 90 % interval of a difference.
_APART = statistics.NormalDist().inv_cdf(0.95)
#: The error at which the hypervolume's box ends; parameters and latencies end it at those of random networks.
_WORST_ERROR = 0.2
_RANDOM, _RANDOM_SEED = 500, 4_201
_SHORT = (
    "search.warm_up_epochs=0.2",
    "search.epochs_per_generation=0.1",
    "search.generations=2",
    "strategy.population_size=6",
)


@dataclass(frozen=True)
class Arm:
    """One way to search.

    Attributes:
        spares_images: Whether as few images judge as in the demo, not all.
        is_screened: Whether newcomers are screened.
        is_grouped: Whether latencies are grouped when candidates are selected.
    """

    spares_images: bool = False
    is_screened: bool = False
    is_grouped: bool = False


ARMS: Mapping[str, Arm] = {
    "plain": Arm(),
    "fewer": Arm(spares_images=True, is_screened=True),
    "grouped": Arm(spares_images=True, is_screened=True, is_grouped=True),
}
_USUAL = ("plain", "fewer")


class Grouped(Cars):
    """CARS that selects by latencies of which those that are not told apart are one.

    Args:
        space: As of CARS.
        rng: As of CARS.
        known: Predicts the latencies, the third cost.
        settings: As of CARS.
    """

    def __init__(
        self, space: SearchSpace, rng: np.random.Generator, known: UnitPredictor, **settings: Any
    ) -> None:
        super().__init__(space, rng, **settings)
        self._known = known

    def ranking(self, candidates: Sequence[Candidate]) -> tuple[Costs, Costs]:
        """Return costs with latencies in groups, and violations."""
        costs, violations = super().ranking(candidates)
        _, deviations_s = self._known.model.differences(
            [self._known.counts(one.architecture) for one in candidates]
        )
        costs[:, 2] = grouped(costs[:, 2], _APART * 1e3 * deviations_s)
        return costs, violations


class Problem:
    """What is searched: the demo's space, with predicted latencies.

    Args:
        overrides: Of the demo's configuration.

    Attributes:
        low: Least (error, parameters, latency in ms) of the hypervolume's box, those of random networks.
        high: Greatest.
    """

    def __init__(self, overrides: Sequence[str]) -> None:
        self._overrides = overrides
        space = make_space(demo(Path(), 0, list(overrides)))
        self.known = predictor(space, TimedCounts(space, runtimes.load("onnxruntime").counter(modules.build)))
        rng, parameters, latency = np.random.default_rng(_RANDOM_SEED), Parameters(space), Latency(self.known)
        costs = [(parameters(one), latency(one)) for one in (space.sample(rng) for _ in range(_RANDOM))]
        self.low = (0.0, *map(float, np.min(costs, axis=0)))
        self.high = (_WORST_ERROR, *map(float, np.max(costs, axis=0)))

    def search(self, arm: Arm, seed: int) -> dict[str, Any]:
        """Search once; return the front's costs with errors on images that were kept apart."""
        shares = () if arm.spares_images else ("training.fitness_share=1", "training.recalibration_share=1")
        config = demo(Path(), seed, [*self._overrides, *shares])
        before_s, space, rng = time.process_time(), make_space(config), np.random.default_rng(seed)
        trainer, settings = make_trainer(config, space), dict[str, Any](config.strategy.settings)
        strategy = (
            Grouped(space, rng, self.known, **settings) if arm.is_grouped else Cars(space, rng, **settings)
        )
        costs = [Error(trainer), Parameters(space), Latency(self.known)]
        schedule = make_schedule(config, len(trainer.data.training.labels))
        search = Search(trainer, strategy, costs, schedule, screening=arm.is_screened)
        for _ in search.run():
            pass
        cpu_s, test = time.process_time() - before_s, make_test_images(config)
        if test is None:
            raise SystemExit("the demo's images have none to be kept apart")
        errors = held_out_errors(trainer, test, [member.architecture for member in search.front])
        front = [[error, *member.costs[1:]] for member, error in zip(search.front, errors, strict=True)]
        ledger = trainer.ledger
        return {
            "front": front,
            "own_errors": [member.costs[0] for member in search.front],
            "steps": ledger.steps,
            "evaluations": ledger.evaluations,
            "evaluation_images": ledger.evaluation_images,
            "cpu_s": cpu_s,
        }


def search_all(options: Namespace) -> dict[str, Any]:
    """Search whatever is missing, all arms of a seed one after the other, and keep each as it ends."""
    torch.set_num_threads(1)
    name, overrides = (_SHORT_RESULTS, _SHORT) if options.short else (_RESULTS, ())
    problem = Problem(overrides)
    raw = _there(name, {"low": list(problem.low), "high": list(problem.high)})
    for seed in range(options.seeds):
        for arm in options.arms:
            if str(seed) in raw["searches"].setdefault(arm, {}):
                continue
            found = problem.search(ARMS[arm], seed)
            raw["searches"][arm][str(seed)] = found
            store(name, raw)
            told = f"hypervolume {_hypervolume(raw, found):.4f}, {found['cpu_s']:.0f} s of CPU"
            print(f"seed {seed}, {arm}: {told}", flush=True)
    return raw


def rows(raw: Mapping[str, Any], source: str) -> list[Row]:
    """Return hypervolumes, and for each arm the bound of its mean difference to plain."""
    found = []
    values = {
        arm: {seed: _hypervolume(raw, one) for seed, one in searches.items()}
        for arm, searches in raw["searches"].items()
    }
    for arm, by_seed in values.items():
        n, mean = len(by_seed), statistics.mean(by_seed.values())
        found.append(Row(f"quality.hypervolume.{arm}", mean, n=n, source=source))
        if arm != "plain":
            found.append(_difference(arm, by_seed, values["plain"], source))
    images = {
        arm: statistics.mean(one["evaluation_images"] for one in searches.values())
        for arm, searches in raw["searches"].items()
    }
    found += [
        Row(f"quality.images.{arm}", images[arm] / images["plain"], source=source)
        for arm in images
        if arm != "plain"
    ]
    return found


def _difference(arm: str, by_seed: Mapping[str, float], plain: Mapping[str, float], source: str) -> Row:
    """Return the one-sided 95 % bound of an arm's mean difference to plain, of the seeds that both have."""
    differences = [by_seed[seed] - plain[seed] for seed in by_seed if seed in plain]
    n, mean = len(differences), statistics.mean(differences)
    bound = -math.inf
    if n > 1:
        bound = mean - float(stats.t.ppf(0.95, n - 1)) * statistics.stdev(differences) / math.sqrt(n)
    claim = "quality.difference" if arm == "fewer" else f"quality.difference.{arm}"
    goal = f">= {-_MARGIN}" if arm == "fewer" and n >= _SEEDS else ""
    return Row(claim, bound, goal=goal, peer=mean, peer_name="mean", n=n, source=source)


def _hypervolume(raw: Mapping[str, Any], found: Mapping[str, Any]) -> float:
    """Return the share of the box that a front dominates."""
    low, high = np.array(raw["low"]), np.array(raw["high"])
    scaled = np.maximum((np.array(found["front"]) - low) / (high - low), 0.0)
    return hypervolume(scaled, [1.0, 1.0, 1.0])


def _there(name: str, box: Mapping[str, Any]) -> dict[str, Any]:
    """Return the searches that were kept, if they are of the same box."""
    if not (Path(__file__).parent / "results" / f"{name}.json").exists():
        return {**box, "searches": {}}
    raw: dict[str, Any] = stored(name)
    if {key: raw[key] for key in box} != box:
        sys.exit(f"{name}.json has searches of another space or table; delete it to begin anew")
    return raw


def main() -> None:
    """Search and judge, or look at the searches that were kept with ``--quick``."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--short", action="store_true", help="few steps, to see that it runs")
    parser.add_argument("--seeds", type=int, default=_SEEDS, help="how many, from 0 on")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(_USUAL), help="which")
    options = parser.parse_args()
    if options.quick:
        finish(rows(stored(_RESULTS), "stored"), options)
    finish(rows(search_all(options), "fresh"), options)


if __name__ == "__main__":
    main()
