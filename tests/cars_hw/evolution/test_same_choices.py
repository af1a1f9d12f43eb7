"""What seeds lead to does not change: survivors, screened newcomers, and whole searches, by their hashes.

The hashes are those of the first code of each, which chose one candidate after the other and built the boxes
of a choice anew each time. They hold while ``Screen.numerics`` and the numerics of strategies do.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from cars_hw.candidate import Candidate
from cars_hw.evolution import improvement, pnsga3, variation
from cars_hw.evolution.screening import Screen
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Macs, Parameters
from cars_hw.search import Schedule, Search
from cars_hw.strategies.cars import Cars
from cars_hw.testing._tabular import CurveTrainer
from tests.fakes.small_spaces import small

_PAPER = {"crossover_share": 0.25, "mutated_groups": "half"}
_MEMBERS = {"trained": "members"}


def digest(rows: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(map(str, rows)).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("n", "n_survivors", "expected"),
    [(256, 128, "13cbf36546eb5f05"), (1000, 128, "7d596a3617b89e27"), (600, 300, "8922564f14bd933b")],
)
def test_the_same_candidates_survive(n: int, n_survivors: int, expected: str) -> None:
    rng = np.random.default_rng(7)
    chosen = []
    for m in (2, 3, 4):
        spread, speeds = rng.random((n, m)), rng.normal(size=n)
        front = rng.dirichlet(np.ones(m), n)
        ties = rng.integers(0, 6, (n, m)).astype(np.float64)
        violations = rng.choice([0.0, 0.0, 0.5, 1.0], n)
        chosen += [pnsga3.select(costs, speeds, n_survivors).tolist() for costs in (spread, front, ties)]
        chosen.append(pnsga3.select(spread, speeds, n_survivors, violations=violations).tolist())
    assert digest(chosen) == expected


def test_the_same_candidates_add_the_most() -> None:
    rng = np.random.default_rng(8)
    chosen = [
        improvement.choose(rng.random((40, m)), rng.random((100, m)) - 0.2, 40).tolist() for m in (2, 3, 4)
    ]
    assert digest(chosen) == "bfc59cd2de3bf05e"


def test_the_same_newcomers_are_screened() -> None:
    space, rng = small("darts"), np.random.default_rng(9)
    parameters, macs = Parameters(space), Macs(space)
    members = variation.distinct(space, 40, rng=rng)

    def evaluated(one: Architecture) -> Candidate:
        return Candidate(one, (0.5 - sum(one) / 512, parameters(one), macs(one)))

    screen = Screen([parameters, macs], violation=lambda _: 0.0, pool_size=300)
    screen.learn([evaluated(one) for one in members])
    assert (
        digest(screen(lambda n: variation.offspring(members, space, n=n, rng=rng), 40)) == "741493c79f697c46"
    )


@pytest.mark.parametrize(
    ("screening", "settings", "expected"),
    [
        (False, {**_PAPER, **_MEMBERS}, "7e78ec785534c6f0"),
        (True, _MEMBERS, "4fb5694c7f5283f1"),
        (True, {**_PAPER, **_MEMBERS, "pool": "own"}, "4fb5694c7f5283f1"),
        (True, {}, "7e52118385e05fbb"),
    ],
    ids=["paper", "screened", "as stored before", "default"],
)
def test_a_search_ends_with_the_same_population(
    screening: bool, settings: dict[str, Any], expected: str
) -> None:
    space, trainer = small("darts"), CurveTrainer()
    strategy = Cars(space, np.random.default_rng(10), population_size=16, **settings)
    costs = [Error(trainer), Parameters(space), Macs(space)]
    screen = Screen(costs[1:], violation=strategy.violation, pool_size=400) if screening else None
    search = Search(trainer, strategy, costs, Schedule(20, 20, 3), screening=screening, screen=screen)
    populations = [[one.architecture for one in found.population] for found in search.run()]
    assert len(populations) == 4
    assert digest(populations) == expected
