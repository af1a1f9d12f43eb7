"""The generations of a run for its page: each member once, hypervolumes of one box, the oldest thinned."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from cars_hw.candidate import Candidate, Front
from cars_hw.config import SearchConfig
from cars_hw.networks.architecture import to_text
from cars_hw.results.reporting.reading.history import Box, told
from cars_hw.saving.record import Generation

_OBJECTIVES = ("error", "parameters", "latency_ms")
_CONFIG = SearchConfig()
_LIMITED = SearchConfig.load(None, {"latency.max_latency_ms": 5.0})
_MANY = 1 << 30


def _generation(index: int, population: Sequence[Candidate], front: int) -> Generation:
    members = tuple(population)
    return Generation(index, members, Front(members[:front]), _OBJECTIVES, {"evaluations": 7}, 2.0)


def _search(generations: int, population: int, seed: int = 0) -> list[Generation]:
    """Return a history in which members stay with other errors, and new ones come."""
    draw = np.random.default_rng(seed)
    members = [_drawn(draw) for _ in range(population)]
    found = []
    for index in range(generations):
        found.append(_generation(index, members, population // 2))
        kept = [
            Candidate(one.architecture, (one.costs[0] * 0.9, *one.costs[1:]))
            for one in members[: population // 2]
        ]
        members = [*kept, *(_drawn(draw) for _ in range(population - len(kept)))]
    return found


def _drawn(draw: np.random.Generator) -> Candidate:
    architecture = tuple(draw.integers(8, size=28).tolist())
    return Candidate(architecture, (draw.random(), float(draw.integers(10**5)), draw.uniform(1, 9)))


def test_each_distinct_member_is_there_once_and_each_generation_tells_its_own_costs() -> None:
    history = _search(5, 8)
    found = told(_CONFIG, history, Box.around([history]), most_bytes=_MANY)
    assert len(found.members.architecture) == len(set(found.members.architecture)) == 8 + 4 * 4
    for generation, told_of in zip(history, found.generations, strict=True):
        assert told_of.front == 4
        for member, error in zip(told_of.population, told_of.errors, strict=True):
            text = found.members.architecture[member]
            [own] = [one for one in generation.population if to_text(one.architecture) == text]
            assert error == pytest.approx(own.costs[0], rel=1e-5)
            assert found.members.costs[member][1:] == pytest.approx(own.costs[1:], rel=1e-5)
    assert found.note == ""


def test_the_front_of_a_generation_comes_first_in_its_order() -> None:
    history = _search(2, 6)
    found = told(_CONFIG, history, Box.around([history]), most_bytes=_MANY)
    last = found.generations[-1]
    texts = [found.members.architecture[i] for i in last.population[: last.front]]
    assert texts == [to_text(one.architecture) for one in history[-1].front]


def test_costs_that_were_corrected_later_are_told_of_the_generation_that_had_others() -> None:
    before, after = Candidate((0,), (0.5, 10.0, 3.0)), Candidate((0,), (0.4, 10.0, 3.5))
    history = [_generation(0, [before], 1), _generation(1, [after], 1)]
    found = told(_CONFIG, history, Box.around([history]), most_bytes=_MANY)
    assert found.members.costs == ((0.4, 10, 3.5),)
    assert [one.others for one in found.generations] == [{0: (0.5, 10, 3)}, {}]


def test_the_hypervolume_is_the_share_that_a_hand_worked_front_dominates() -> None:
    members = [Candidate((0,), (0.2, 50.0, 1.0)), Candidate((1,), (0.5, 10.0, 1.0))]
    largest = Candidate((2,), (1.0, 100.0, 10.0))
    history = [_generation(0, [*members, largest], 2)]
    box = Box.around([history])
    assert box.reference == pytest.approx((1.1, 110.0, 11.0))
    [only] = told(_CONFIG, history, box, most_bytes=_MANY).generations
    # Of the two rectangles in error and parameters, the union; both reach from latency 1 to 11.
    first, second, both = 0.9 * 60, 0.6 * 100, 0.6 * 60
    assert only.hypervolume == pytest.approx((first + second - both) * 10 / (1.1 * 110 * 11), rel=1e-5)


def test_the_box_is_around_all_runs_so_that_their_hypervolumes_compare() -> None:
    one, other = _search(2, 4, seed=1), _search(3, 4, seed=2)
    box = Box.around([one, other])
    every = [member for generation in (*one, *other) for member in generation.population]
    for i, reference in enumerate(box.reference):
        assert reference == pytest.approx(1.1 * max(member.costs[i] for member in every))


def test_a_member_over_a_limit_is_marked_and_dominates_nothing() -> None:
    slow, fast = Candidate((0,), (0.1, 10.0, 6.0)), Candidate((1,), (0.3, 20.0, 4.0))
    history = [_generation(0, [slow, fast], 2)]
    box = Box.around([history])
    [only] = told(_LIMITED, history, box, most_bytes=_MANY).generations
    assert only.infeasible == (only.population[0],)
    assert only.hypervolume == pytest.approx(box.share([fast]), rel=1e-5)
    assert only.hypervolume < box.share([slow, fast])


@pytest.mark.parametrize("most_bytes", [40_000, 6_000])
def test_what_a_page_has_no_room_for_leaves_the_oldest_generations_without_members(most_bytes: int) -> None:
    history = _search(40, 64)
    box = Box.around([history])
    whole = told(_CONFIG, history, box, most_bytes=_MANY)
    thinned = told(_CONFIG, history, box, most_bytes=most_bytes)
    kept = [bool(one.population) for one in thinned.generations]
    assert kept[0]
    assert kept[-1]
    assert not all(kept)
    # The newest are all there; before them, ever fewer.
    gaps = [b - a for a, b in itertools.pairwise(i for i, is_kept in enumerate(kept) if is_kept)]
    assert gaps[1:] == sorted(gaps[1:], reverse=True)
    assert f"of 40 generations, {kept.count(False)} older ones are without their members" in thinned.note
    for one, other in zip(whole.generations, thinned.generations, strict=True):
        assert (one.hypervolume, one.best_error, one.median_error) == (
            other.hypervolume,
            other.best_error,
            other.median_error,
        )
    referred = {member for one in thinned.generations for member in one.population}
    assert referred == set(range(len(thinned.members.architecture)))


def test_a_search_of_a_hundred_generations_of_sixty_four_is_kept_whole() -> None:
    draw, history = np.random.default_rng(3), list[Generation]()
    members = [_drawn(draw) for _ in range(64)]
    for index in range(100):
        history.append(_generation(index, members, 20))
        members = [*(_drawn(draw) for _ in range(16)), *members[:48]]
    found = told(_CONFIG, history, Box.around([history]), most_bytes=190_000)
    assert all(one.population for one in found.generations)


def test_a_cost_that_is_the_same_for_all_leaves_a_finite_hypervolume() -> None:
    history = [_generation(0, [Candidate((0,), (0.0, 0.0, 0.0))], 1)]
    [only] = told(_CONFIG, history, Box.around([history]), most_bytes=_MANY).generations
    assert math.isfinite(only.hypervolume)
    assert only.hypervolume == 1
