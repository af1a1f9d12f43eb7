"""How CARS makes offspring where nothing is screened: chosen where it is not judged.

All networks of NAS-Bench-201 with errors on CIFAR-100 and ImageNet16-120 and latencies on six devices, none
of which ``tabular_search.py`` judges on. Populations of 40, as many offspring, pNSGA-III; a budget counts
distinct networks. Peer: pymoo's NSGA-II on the same. The errors stand still, so that no network is faster
than another to learn: what moving errors do to the choice is not seen here.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from _nb201 import Device, elsewhere
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
DEFAULT, _PAPER, _PEER = "default", "paper", "pymoo NSGA-II"
#: The settings that are compared: both shares, and what a mutation draws anew.
_RECIPES: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},
    _PAPER: {"crossover_share": 0.25, "mutated_groups": "half"},
    "paper, nothing random": {"mutation_share": 0.5, "crossover_share": 0.5, "mutated_groups": "half"},
    "default, half of the groups": {"mutated_groups": "half"},
    "default, half random": {"crossover_share": 0.25},
    "default, 0.05 random": {"crossover_share": 0.7},
    "0.1 mutation": {"mutation_share": 0.1, "crossover_share": 0.9},
    "0.4 mutation": {"mutation_share": 0.4, "crossover_share": 0.6},
}


def main() -> None:
    """Compare everything, or show the last full run's results again with ``--quick``."""
    options = parse_options(__doc__ or "")
    if options.quick:
        finish(rows(stored(_RESULTS), "stored"), options)
    jobs = [(name, problem, seed) for name in methods() for problem in range(6) for seed in range(SEEDS)]
    with ProcessPoolExecutor() as processes:
        found = list(processes.map(run, *zip(*jobs, strict=True), chunksize=SEEDS))
    ratios = np.array(found).reshape(len(methods()), 6, SEEDS, len(BUDGETS))
    raw = json.loads(json.dumps(dict(zip(methods(), ratios.tolist(), strict=True))))
    store(_RESULTS, raw)
    finish(rows(raw, "fresh"), options)


def methods() -> list[str]:
    """List all that is compared."""
    return [*_RECIPES, _PEER]


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
            _evolve(evaluate, seed, _RECIPES[method])
    except SpentError:
        pass
    return [ratio for ratio, *_ in evaluate.scores()]


def _evolve(evaluate: Counter, seed: int, settings: Mapping[str, Any]) -> None:
    """Evolve until the budget is spent: no step of training changes an error."""
    strategy = Cars(Nasbench201(), np.random.default_rng(seed), population_size=_POPULATION, **settings)
    while True:
        asked = [(architecture, evaluate(architecture)) for architecture in strategy.ask()]
        strategy.tell([Candidate(architecture, costs, costs[0]) for architecture, costs in asked])


def rows(raw: Mapping[str, Any], source: str) -> list[Row]:
    """Return each one's ratios, and by how much the default is better than the paper's, seed by seed."""
    of_seeds = {method: np.array(ratios).mean(axis=0) for method, ratios in raw.items()}
    gain = of_seeds[DEFAULT] - of_seeds[_PAPER]
    found = [_row(f"offspring.gain.{b}", gain[:, k], source, ">= 0") for k, b in enumerate(BUDGETS)]
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
