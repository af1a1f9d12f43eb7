"""Every strategy judged by the truth: all networks of NAS-Bench-201 on two devices, side by side with others.

Three costs: error on CIFAR-10 after 200 epochs, parameters, measured latency. A budget counts distinct
networks; a network that is asked for again is charged to nobody. The hypervolume is that of
``nb201_hv_definition.json`` of the data folder, in which random search is far from perfect. It is measured
first, and the run ends where it is not what the file says.

``cars`` without screening is also judged by the paper's offspring, half of which are random; its own were
chosen on other data sets and devices (``offspring.py``).

Peers, in the same run: random search, pymoo's NSGA-II and NSGA-III, Optuna's NSGA-III, all with populations
of 40 like the strategies. Interrupted, a run goes on where it ended (``runs/tabular_search.jsonl``).
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from _nb201 import Device, Truth, load
from _nb201_peers import Evaluate, SpentError, nsga2, nsga3, optuna_nsga3
from _rows import Row, finish, parse_options, store, stored

from cars_hw import strategies
from cars_hw.evolution.screening import Screen
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Objective
from cars_hw.search import Schedule, Search
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.strategies._strategy import unconstrained
from cars_hw.tabular_trainer import TabularCost, TabularTrainer

BUDGETS = (200, 400, 800)
SEEDS = 20
_RANDOM_SEEDS = 200
#: How far random search may be from the file's figures: more would be another normalisation.
_RANDOM_TOLERANCE = 0.01
GOALS = {200: 0.940, 400: 0.970, 800: 0.987}

_RESULTS = "tabular_search"
_PARTIAL = Path("runs/tabular_search.jsonl")
_POPULATION = 40
#: Rounds enough for 800 distinct networks at 20 new ones a round.
_GENERATIONS = 60
#: The default is ``Search`` of CARS as both are: screened, as many new networks a round as members. Beside
#: it, what fewer a round, a smaller pool, no optimism about errors come to, and what screening does for
#: random search. For each, the strategy, its settings, and those of a screen of its own.
DEFAULT = "cars, screened (default)"
_TWENTY = {"offspring_ratio": 0.5}
_SCREENED: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    DEFAULT: ("cars", {}, {}),
    "cars, screened, 20 a round": ("cars", _TWENTY, {}),
    "cars, screened from 600, 20 a round": ("cars", _TWENTY, {"pool_size": 600}),
    "cars, screened by the mean, 20 a round": ("cars", _TWENTY, {"optimism": 0.0}),
    "random_search, screened": ("random_search", {}, {}),
}
#: What else is run without screening, and with which settings.
_PAPER = "cars, the paper's offspring"
_PLAIN: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    _PAPER: ("cars", {"crossover_share": 0.25, "mutated_groups": "half"})
}
_PEER = "pymoo NSGA-II"
_PEERS: Mapping[str, Callable[[Evaluate, int], None]] = {
    _PEER: nsga2,
    "pymoo NSGA-III": nsga3,
    "Optuna NSGA-III": optuna_nsga3,
}

#: For each budget: hypervolume ratio, recall of the true front, IGD+, distinct networks that were evaluated.
Scores = list[tuple[float, float, float, int]]


class Counter:
    """The distinct networks that a search has seen, in order, until the budget is spent.

    Args:
        truth: All networks.
        device: Whose costs are asked for.
    """

    def __init__(self, truth: Truth, device: Device) -> None:
        self._truth, self._device = truth, device
        self._seen: dict[int, None] = {}

    def __call__(self, architecture: Architecture) -> tuple[float, ...]:
        """Return the costs of ``architecture``.

        Raises:
            SpentError: It is one more network than the largest budget.
        """
        index = self._truth.index[architecture]
        if index not in self._seen and len(self._seen) == BUDGETS[-1]:
            raise SpentError
        self._seen[index] = None
        return tuple(self._device.costs[index].tolist())

    def scores(self) -> Scores:
        """Judge the first networks of each budget."""
        seen = np.array(list(self._seen))
        return [(*self._device.judge(seen[:budget]), len(seen[:budget])) for budget in BUDGETS]


class _CountedError(Objective):
    """The error, of networks that are counted."""

    name = "error"

    def __init__(self, trainer: TabularTrainer, evaluate: Evaluate) -> None:
        self._trainer, self._evaluate = trainer, evaluate

    def __call__(self, architecture: Architecture, /) -> float:
        self._evaluate(architecture)
        return 1.0 - self._trainer.accuracy(architecture)


@cache
def truth() -> Truth:
    """Read the files once in each process."""
    return load()


def methods() -> list[str]:
    """List all that is compared."""
    return [*_SCREENED, *_PLAIN, *strategies.names(), *_PEERS]


def run(method: str, device: int, seed: int) -> Scores:
    """Search once, and judge what was evaluated."""
    judged = truth().devices[device]
    evaluate = Counter(truth(), judged)
    try:
        if method in _PEERS:
            _PEERS[method](evaluate, seed)
        else:
            _search(method, judged, evaluate, seed)
    except SpentError:
        pass
    return evaluate.scores()


def _search(method: str, device: Device, evaluate: Evaluate, seed: int) -> None:
    """Run a strategy on known accuracies until the budget is spent, or its generations are."""
    name, settings = _PLAIN.get(method, (method, {}))
    name, settings, of_screen = _SCREENED.get(method, (name, settings, {}))
    space = Nasbench201()
    columns = [
        {found: (float(value),) for found, value in zip(truth().architectures, column, strict=True)}
        for column in device.costs.T
    ]
    trainer = TabularTrainer({found: (1.0 - error / 100,) for found, (error,) in columns[0].items()})
    known = [TabularCost("parameters", columns[1]), TabularCost("latency_ms", columns[2])]
    screen = None
    if of_screen:
        screen = Screen(known, violation=unconstrained, remembers=trainer.has_fixed_errors, **of_screen)
    rng = np.random.default_rng(seed)
    strategy = strategies.load(name, space, rng, population_size=_POPULATION, **settings)
    objectives: list[Objective] = [_CountedError(trainer, evaluate), *known]
    search = Search(
        trainer,
        strategy,
        objectives,
        Schedule(1, 1, _GENERATIONS),
        screening=None if method == DEFAULT else method in _SCREENED,
        screen=screen,
    )
    for _ in search.run():
        pass


def random_scores() -> list[list[Scores]]:
    """Judge random search on each device, and compare with the file.

    Raises:
        SystemExit: The mean over both devices is not what the file says.
    """
    found = []
    for device in truth().devices:
        orders = [np.random.default_rng(seed).permutation(len(device.costs)) for seed in range(_RANDOM_SEEDS)]
        found.append([[(*device.judge(order[:b]), b) for b in BUDGETS] for order in orders])
    for k, budget in enumerate(BUDGETS):
        ours = float(np.mean([[scores[k][0] for scores in seeds] for seeds in found]))
        theirs = float(np.mean([d.figures["random"][str(budget)]["hv_ratio_mean"] for d in truth().devices]))
        print(f"random search, {budget} networks: {ours:.4f}, the file says {theirs:.4f}", flush=True)
        if abs(ours - theirs) > _RANDOM_TOLERANCE:
            sys.exit(
                "random search is not what the file says: another normalisation, so nothing can be judged"
            )
    return found


def search_all() -> dict[str, list[list[Scores]]]:
    """Run every method, device and seed that is not there yet; return all scores by method and device."""
    done = {tuple(key): scores for key, scores in _partial()}
    wanted = [(m, d, s) for s in range(SEEDS) for m in methods() for d in range(len(truth().devices))]
    missing = [job for job in wanted if job not in done]
    _PARTIAL.parent.mkdir(exist_ok=True)
    with ProcessPoolExecutor() as processes, _PARTIAL.open("a") as file:
        for i, (job, scores) in enumerate(zip(missing, processes.map(_run, missing), strict=True), start=1):
            done[job] = scores
            file.write(json.dumps([job, scores]) + "\n")
            file.flush()
            print(f"\r{i} of {len(missing)} searches", end="", file=sys.stderr, flush=True)
    return {
        method: [[done[method, d, s] for s in range(SEEDS)] for d in range(len(truth().devices))]
        for method in methods()
    }


def _run(job: tuple[str, int, int]) -> Scores:
    return run(*job)


def _partial() -> Iterator[tuple[list[Any], Scores]]:
    if _PARTIAL.exists():
        for line in _PARTIAL.read_text().splitlines():
            key, scores = json.loads(line)
            yield key, scores


def rows(raw: Mapping[str, Any], source: str) -> list[Row]:
    """Return the hypervolume ratios of all methods.

    Those of the default have goals; at the larger budgets, CARS without screening has the mean of NSGA-II.
    """
    row = partial(_row, raw, source=source)
    default = [row(DEFAULT, k, claim=f"hv.default.{b}", goal=f">= {GOALS[b]}") for k, b in enumerate(BUDGETS)]
    plain = [
        row("cars", k, claim=f"hv.cars.{b}", goal=f">= {_mean(raw, _PEER, k):.4f}" if k else "")
        for k, b in enumerate(BUDGETS)
    ]
    others = [method for method in raw if method not in (DEFAULT, "cars")]
    return [
        *default,
        *plain,
        *(row(m, k, claim=f"hv.{m}.{b}") for m in others for k, b in enumerate(BUDGETS)),
    ]


def _row(raw: Mapping[str, Any], method: str, k: int, *, claim: str, source: str, goal: str = "") -> Row:
    """Return the mean over devices and seeds, with the 95 % interval of that mean."""
    ratios = np.array(raw[method])[:, :, k, 0].mean(axis=0)
    margin = 1.96 * float(ratios.std(ddof=1)) / len(ratios) ** 0.5
    mean = float(ratios.mean())
    peer = _mean(raw, _PEER, k) if goal else None
    spread = (mean - margin, mean + margin)
    name = _PEER if goal else ""
    return Row(claim, mean, "", goal, spread, None, peer, name, len(ratios), source)


def _mean(raw: Mapping[str, Any], method: str, k: int) -> float:
    return float(np.array(raw[method])[:, :, k, 0].mean())


def main() -> None:
    """Judge everything, or check the last full run's results again with ``--quick``."""
    options = parse_options(__doc__ or "")
    random = random_scores()
    if options.quick:
        finish(rows(stored(_RESULTS), "stored"), options)
    raw = {"random": random, **search_all()}
    store(_RESULTS, json.loads(json.dumps(raw)))
    finish(rows(raw, "fresh"), options)


if __name__ == "__main__":
    main()
