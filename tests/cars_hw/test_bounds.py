"""Limits are held against bounds wherever a limit decides; what is minimised and shown are the costs."""

from pathlib import Path

import numpy as np
import pytest

from cars_hw import strategies
from cars_hw.candidate import Candidate, Front
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError, InfeasibleError, SelectionError
from cars_hw.evolution.screening import Screen
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Limits, Objective, require_feasible
from cars_hw.results.run_warnings import excess_text, excesses, violations_json, warnings_of
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.saving.record import Generation
from cars_hw.search import Schedule, Search
from cars_hw.strategies._strategy import SearchFacts
from cars_hw.testing._tabular import CurveTrainer, TinySpace
from devices.foundation import ConfigError

_LARGE = TinySpace(choices=(4,) * 12, groups=((0,),))
_MOST = sum(n - 1 for n in TinySpace().choices)


class _Rough(Objective):
    """One, and what the sum of the options lacks to ``most``; it may be ``times`` as much."""

    name = "rough"
    bound_text = "twice that"

    def __init__(self, most: int = _MOST, *, times: float = 2.0) -> None:
        self.most, self.times = most, times

    def __call__(self, architecture: Architecture, /) -> float:
        return 1.0 + self.most - sum(architecture)

    def bound(self, architecture: Architecture, cost: float, /) -> float:
        return self.times * cost


def _search(rough: _Rough, limit: float, folder: Path | None = None, *, screening: bool = False) -> Search:
    space, trainer = TinySpace(), CurveTrainer()
    violation = Limits(["error", "rough"], {"rough": limit})
    rng = np.random.default_rng(0)
    strategy = strategies.load("cars", space, rng, population_size=8, violation=violation)
    checkpoints = None if folder is None else CheckpointFolder(folder)
    costs: list[Objective] = [Error(trainer), rough]
    return Search(trainer, strategy, costs, Schedule(2, 1, 3), checkpoints=checkpoints, screening=screening)


@pytest.mark.parametrize("screening", [False, True])
def test_a_search_has_in_its_front_what_meets_the_limit_by_its_bound_and_minimises_the_costs(
    screening: bool,
) -> None:
    *_, last = _search(_Rough(), 8.0, screening=screening).run()
    assert len(last.front) > 1
    for member in last.front:
        assert member.costs[1] == _Rough()(member.architecture)
        assert member.limited == (member.costs[0], 2 * member.costs[1])
        assert member.limited[1] <= 8.0
    *_, by_costs = _search(_Rough(times=1.0), 8.0, screening=screening).run()
    assert any(member.costs[1] > 4.0 for member in by_costs.front)


def test_a_resumed_search_has_the_bounds_of_the_one_that_was_stopped(tmp_path: Path) -> None:
    *_, whole = _search(_Rough(), 8.0, screening=True).run()
    next(_search(_Rough(), 8.0, tmp_path, screening=True).run())
    resumed = _search(_Rough(), 8.0, tmp_path, screening=True)
    assert resumed.resume()
    assert all(member.bounds is not None for member in resumed.front)
    *_, last = resumed.run()
    assert last.population == whole.population


def test_where_known_costs_are_renewed_so_are_their_bounds() -> None:
    search = _search(_Rough(), 8.0)
    next(search.run())
    search.strategy.facts = SearchFacts(known_costs={"rough": _Rough(times=3.0)})
    search.strategy.renew_known_costs()
    for member in search.strategy.population:
        assert member.limited == (member.costs[0], 3 * member.costs[1])
    search.strategy.facts = SearchFacts(known_costs={"rough": sum})
    search.strategy.renew_known_costs()
    assert all(member.bounds is None for member in search.strategy.population)


def test_a_screen_chooses_by_bounds_and_still_after_it_was_restored() -> None:
    everything: list[Architecture] = [(a, b, c) for a in range(5) for b in range(5) for c in range(5)]
    rough, violation = _Rough(12), Limits(["error", "rough"], {"rough": 10.0})
    saved, restored = (Screen([rough], violation=violation) for _ in range(2))
    some = [everything[i] for i in np.random.default_rng(0).permutation(len(everything))[:40]]
    costs = [(0.5 - 0.05 * one[0], rough(one)) for one in some]
    saved.learn(
        [Candidate(one, cost, bounds=(cost[0], 2 * cost[1])) for one, cost in zip(some, costs, strict=True)]
    )
    n_within = sum(2 * rough(one) <= 10.0 for one in everything)
    chosen = saved(lambda n: everything[:n], n_within - 5)
    assert all(2 * rough(one) <= 10.0 for one in chosen)
    restored.restore(saved.state())
    assert restored(lambda n: everything[:n], n_within - 5) == chosen
    assert restored.state() == saved.state()


@pytest.mark.parametrize("space", [TinySpace(), _LARGE], ids=["small", "large"])
def test_a_limit_is_refused_below_the_least_bound_and_taken_at_it(space: TinySpace) -> None:
    rough = _Rough(sum(n - 1 for n in space.choices))
    require_feasible(space, [rough], {"rough": 2.0})
    with pytest.raises(
        InfeasibleError, match=r"the smallest.* is 2, 1\.333 times.*, by twice that"
    ) as refused:
        require_feasible(space, [rough], {"rough": 1.5})
    assert refused.value.costs == {"rough": 2.0}


def test_bounds_of_another_number_than_costs_are_refused_and_make_a_state_damaged() -> None:
    with pytest.raises(SelectionError, match="2 costs has 1 bounds"):
        Candidate((0,), (0.1, 2.0), bounds=(0.1,))
    search = _search(_Rough(), 8.0)
    next(search.run())
    state = search.strategy.state()
    population = state["population"]
    assert isinstance(population, list)
    assert isinstance(population[0], dict)
    population[0]["bounds"] = [0.5]
    with pytest.raises(CheckpointError, match="cannot be restored"):
        search.strategy.restore(state)


@pytest.fixture
def judged() -> tuple[SearchConfig, Generation]:
    """A front of two members whose latencies are below a limit of 5 ms; one may be above it."""
    config = SearchConfig.load(
        None, {"latency.max_latency_ms": 5.0, "latency.table": "none.jsonl", "limits.parameters": 9.0}
    )
    members = [
        Candidate((0,), (0.2, 8.0, 4.0), bounds=(0.2, 8.0, 4.5)),
        Candidate((1,), (0.1, 9.0, 4.8), bounds=(0.1, 9.0, 5.5)),
    ]
    names = ("error", "parameters", "latency_ms")
    return config, Generation(1, tuple(members), Front(members), names, {}, 1.0)


def test_a_member_whose_interval_exceeds_the_limit_violates_it_and_the_words_have_both_figures(
    judged: tuple[SearchConfig, Generation],
) -> None:
    config, generation = judged
    within, over = generation.front
    assert excesses(config, generation, within) == {}
    assert excesses(config, generation, over) == {"latency_ms": pytest.approx(1.1)}
    assert excess_text(config, generation, over, "latency_ms") == (
        "latency_ms is 4.8; the upper end of its 90 % interval is 5.5, 1.1 times the limit of 5"
    )
    assert violations_json(config, generation, over)["latency_ms"] == {
        "cost": 4.8,
        "bound": 5.5,
        "limit": 5.0,
        "times": pytest.approx(1.1),
    }
    first = warnings_of(config, generation)[0]
    assert first.text.startswith("only 1 of the front's 2 meets latency_ms <= 5")


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="limit_level"):
        SearchConfig.load(None, {"latency.limit_level": 1.0})
