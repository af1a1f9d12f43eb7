"""Other people's multi-objective search on NAS-Bench-201: pymoo's NSGA-II and NSGA-III, Optuna's NSGA-III."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import optuna
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.core.algorithm import Algorithm
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.util.reference_direction import UniformReferenceDirectionFactory

from cars_hw.networks.architecture import Architecture

#: Returns the costs of an architecture, and counts it; raises ``SpentError`` when the budget is spent.
Evaluate = Callable[[Architecture], tuple[float, ...]]

_POPULATION = 40
#: Das-Dennis points of 3 objectives with 6 partitions, no more than members.
_PARTITIONS = 6
_DECISIONS, _OPTIONS = 6, 5
#: Trials of Optuna for each network of the budget, since it tries some networks again.
_TRIALS = 20


class SpentError(Exception):
    """The budget of distinct networks is spent."""


class _Redraw(Mutation):  # type: ignore[misc]  # pymoo has no types
    """Draw each option anew with probability 1 / decisions: options are names, not numbers."""

    def _do(
        self, problem: Problem, options: NDArray[np.intp], random_state: np.random.Generator, **_: object
    ) -> NDArray[np.intp]:
        fresh = random_state.integers(0, _OPTIONS, size=options.shape)
        return np.where(random_state.random(options.shape) < 1 / _DECISIONS, fresh, options)


def nsga2(evaluate: Evaluate, seed: int) -> None:
    """Run pymoo's NSGA-II until the budget is spent."""
    _evolve(NSGA2(pop_size=_POPULATION, **_operators()), evaluate, seed)


def nsga3(evaluate: Evaluate, seed: int) -> None:
    """Run pymoo's NSGA-III until the budget is spent."""
    directions = UniformReferenceDirectionFactory(3, n_partitions=_PARTITIONS).do()
    _evolve(NSGA3(ref_dirs=directions, pop_size=_POPULATION, **_operators()), evaluate, seed)


def optuna_nsga3(evaluate: Evaluate, seed: int) -> None:
    """Run Optuna's NSGA-III until the budget is spent, or for so many trials that it goes in circles."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        return evaluate(
            tuple(trial.suggest_categorical(f"edge{d}", range(_OPTIONS)) for d in range(_DECISIONS))
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.NSGAIIISampler(population_size=_POPULATION, seed=seed)
    study = optuna.create_study(directions=["minimize"] * 3, sampler=sampler)
    study.optimize(objective, n_trials=_TRIALS * 800)


def _operators() -> dict[str, object]:
    return {
        "sampling": IntegerRandomSampling(),
        "crossover": UniformCrossover(),
        "mutation": _Redraw(),
        "eliminate_duplicates": True,
    }


def _evolve(algorithm: Algorithm, evaluate: Evaluate, seed: int) -> None:
    problem = Problem(n_var=_DECISIONS, n_obj=3, xl=0, xu=_OPTIONS - 1, vtype=int)
    algorithm.setup(problem, termination=("n_gen", 1000), seed=seed)
    while algorithm.has_next():
        members = algorithm.ask()
        members.set("F", np.array(_costs(members.get("X"), evaluate)))
        for member in members:
            member.evaluated.add("F")
        algorithm.tell(infills=members)


def _costs(options: NDArray[np.intp], evaluate: Evaluate) -> Sequence[tuple[float, ...]]:
    return [evaluate(tuple(int(option) for option in row)) for row in options]
