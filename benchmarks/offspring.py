"""How CARS makes offspring where nothing is screened: chosen where it is not judged.

All networks of NAS-Bench-201 with errors on CIFAR-100 and ImageNet16-120 and latencies on six devices, none
of which ``tabular_search.py`` judges on. Populations of 40, as many offspring, pNSGA-III; a budget counts
distinct networks. Peer: pymoo's NSGA-II on the same.

There, errors stand still. So the default and the paper's are compared once more on the two devices that are
judged, where the errors on CIFAR-10 go, in 20 generations, from those after 12 epochs to those after 200:
what counts is the last population, by its last errors.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from _nb201 import Device, early_errors, elsewhere
from _nb201_peers import SpentError, nsga2
from _rows import Row, finish, parse_options, store, stored
from numpy.typing import NDArray
from tabular_search import BUDGETS, Counter, truth

from cars_hw.candidate import Candidate
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.strategies.cars import Cars

SEEDS = 20
_RESULTS = "offspring"
_POPULATION = 40
_GENERATIONS = 20
DEFAULT, _PAPER, _PEER = "default", "paper", "pymoo NSGA-II"
#: The settings that are compared: both shares, and what a mutation draws anew.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},
    _PAPER: {"crossover_share": 0.25, "mutated_groups": "half"},
    "paper, nothing random": {"mutation_share": 0.5, "crossover_share": 0.5, "mutated_groups": "half"},
    "default, half of the groups": {"mutated_groups": "half"},
    "default, half random": {"crossover_share": 0.25},
    "default, 0.05 random": {"crossover_share": 0.7},
    "0.1 mutation": {"mutation_share": 0.1, "crossover_share": 0.9},
    "0.4 mutation": {"mutation_share": 0.4, "crossover_share": 0.6},
}
_MOVING = (DEFAULT, _PAPER)


def main() -> None:
    """Compare everything, or show the last full run's results again with ``--quick``."""
    options = parse_options(__doc__ or "")
    if options.quick:
        finish(rows(stored(_RESULTS), "stored"), options)
    with ProcessPoolExecutor() as processes:
        jobs = [(name, problem, seed) for name in methods() for problem in range(6) for seed in range(SEEDS)]
        fixed = list(processes.map(_run, jobs, chunksize=SEEDS))
        jobs = [(name, device, seed) for name in _MOVING for device in range(2) for seed in range(SEEDS)]
        moving = list(processes.map(_run_moving, jobs, chunksize=SEEDS))
    raw = {
        "fixed": _by_name(methods(), np.array(fixed).reshape(len(methods()), 6, SEEDS, len(BUDGETS))),
        "moving": _by_name(_MOVING, np.array(moving).reshape(len(_MOVING), 2, SEEDS)),
    }
    store(_RESULTS, raw)
    finish(rows(raw, "fresh"), options)


def _run(job: tuple[str, int, int]) -> list[float]:
    return run(*job)


def _run_moving(job: tuple[str, int, int]) -> float:
    return run_moving(*job)


def _by_name(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, Any]:
    return dict(zip(names, values.tolist(), strict=True))


def methods() -> list[str]:
    """List all that is compared."""
    return [*RECIPES, _PEER]


@cache
def problems() -> tuple[Device, ...]:
    """Read the files once in each process."""
    return elsewhere(truth())


def run(method: str, problem: int, seed: int) -> list[float]:
    """Search once; return the hypervolume ratio at each budget."""
    evaluate = Counter(truth(), problems()[problem])
    try:
        if method == _PEER:
            nsga2(evaluate, seed)
        else:
            _evolve(evaluate, seed, RECIPES[method])
    except SpentError:
        pass
    return [ratio for ratio, *_ in evaluate.scores()]


def _evolve(evaluate: Counter, seed: int, settings: Mapping[str, Any]) -> None:
    """Evolve until the budget is spent: no step of training changes an error."""
    cars = strategy(seed, settings)
    while True:
        asked = [(architecture, evaluate(architecture)) for architecture in cars.ask()]
        cars.tell([Candidate(architecture, costs, costs[0]) for architecture, costs in asked])


@cache
def _early() -> NDArray[np.float64]:
    return early_errors(truth())


def run_moving(method: str, device: int, seed: int) -> float:
    """Search while errors move; return the hypervolume ratio of the last population."""
    judged, index = truth().devices[device], truth().index
    cars, early, late = strategy(seed, RECIPES[method]), _early(), judged.costs[:, 0]
    before = early
    for generation in range(_GENERATIONS + 1):
        errors = early + (late - early) * generation / _GENERATIONS
        places = [index[architecture] for architecture in cars.ask()]
        costs = np.column_stack([errors[places], judged.costs[places, 1:]]).tolist()
        asked = zip(places, costs, before[places].tolist(), strict=True)
        cars.tell([Candidate(truth().architectures[i], tuple(row), error) for i, row, error in asked])
        before = errors
    ratio, _, _ = judged.judge(np.array([index[member.architecture] for member in cars.population]))
    return ratio


def strategy(seed: int, settings: Mapping[str, Any]) -> Cars:
    """Return CARS with a recipe, at its beginning."""
    return Cars(Nasbench201(), np.random.default_rng(seed), population_size=_POPULATION, **settings)


def rows(raw: Mapping[str, Any], source: str) -> list[Row]:
    """Return each one's ratios, and by how much the default is better than the paper's, seed by seed."""
    of_seeds = {method: np.array(ratios).mean(axis=0) for method, ratios in raw["fixed"].items()}
    gain = of_seeds[DEFAULT] - of_seeds[_PAPER]
    found = [_row(f"offspring.gain.{b}", gain[:, k], source, ">= 0") for k, b in enumerate(BUDGETS)]
    moving = {method: np.array(ratios).mean(axis=0) for method, ratios in raw["moving"].items()}
    found.append(_row("offspring.gain.moving", moving[DEFAULT] - moving[_PAPER], source, ">= 0"))
    found += [_row(f"offspring.{method}.moving", ratios, source) for method, ratios in moving.items()]
    for method, ratios in of_seeds.items():
        found += [_row(f"offspring.{method}.{b}", ratios[:, k], source) for k, b in enumerate(BUDGETS)]
    return found


def _row(claim: str, values: NDArray[np.float64], source: str, goal: str = "") -> Row:
    """Return the mean over seeds, ``values`` ``(n,)``, with the 95 % interval of that mean."""
    mean = float(values.mean())
    margin = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Row(claim, mean, "", goal, (mean - margin, mean + margin), n=len(values), source=source)


if __name__ == "__main__":
    main()
