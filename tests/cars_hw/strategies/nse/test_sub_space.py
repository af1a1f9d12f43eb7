import numpy as np
import pytest

from cars_hw.strategies._nse.places import Places
from cars_hw.strategies._nse.sub_space import SubSpace
from tests.fakes.branches import BranchSpace

PLACES = Places(BranchSpace(layers=2, operations=8))


def first(size: int = 3, seed: int = 0) -> SubSpace:
    return SubSpace.first(PLACES, size, np.random.default_rng(seed))


def test_the_first_of_a_random_order_compete_and_the_others_wait() -> None:
    sub_space = first()
    for place, competing, pending in zip(PLACES, sub_space.competing, sub_space.pending, strict=True):
        assert len(competing) == 3
        assert sorted((*competing, *pending)) == list(place.operations)
    assert sub_space.competing != first(seed=1).competing


def test_what_the_front_uses_stays_and_unseen_operations_fill_up() -> None:
    before = first()
    used = (before.competing[0][:2], before.competing[1][1:2])
    after = before.after(PLACES, used, 3)
    assert after.competing[0] == (*used[0], before.pending[0][0])
    assert after.competing[1] == (*used[1], *before.pending[1][:2])
    assert after.pending == (before.pending[0][1:], before.pending[1][2:])
    assert after.survivors == used


def test_what_a_front_from_elsewhere_uses_counts_as_seen() -> None:
    before = first()
    used = (before.pending[0][:1], ())
    after = before.after(PLACES, used, 3)
    assert after.competing[0] == before.pending[0][:3]
    assert after.pending[0] == before.pending[0][3:]
    after.check(PLACES)


def test_a_front_that_uses_all_of_k_does_not_keep_new_operations_out() -> None:
    """In the released code, none would enter any more."""
    before = first()
    after = before.after(PLACES, before.competing, 3)
    assert after.competing[0] == (*before.competing[0], before.pending[0][0])
    again = after.after(PLACES, after.competing, 3)
    assert len(again.competing[0]) == 5
    assert len(again.pending[0]) == 3


def test_the_published_number_of_rounds_shows_nearly_every_operation() -> None:
    """27 operations, K = 5, one survivor a round: after (27 - 1) // (5 - 1) rounds, only two are unseen."""
    places = Places(BranchSpace(layers=2, operations=27))
    sub_space = SubSpace.first(places, 5, np.random.default_rng(0))
    seen = set(sub_space.competing[0])
    for _ in range((27 - 1) // (5 - 1) - 1):
        sub_space = sub_space.after(places, tuple(each[:1] for each in sub_space.competing), 5)
        assert len(sub_space.competing[0]) == 5
        seen |= set(sub_space.competing[0])
    assert len(seen) == 25
    assert len(sub_space.pending[0]) == 2


def test_when_all_have_been_seen_the_survivors_go_on() -> None:
    before = SubSpace(((1, 2), (9,)), ((), ()), ((), ()))
    assert before.after(PLACES, ((2,), ()), 3).competing == ((2,), ())


def test_a_place_that_needs_an_operation_never_runs_out_of_them() -> None:
    before = SubSpace(((1, 2), (9,)), ((), ()), ((), ()))
    assert before.after(PLACES, ((), ()), 3).competing == ((1, 2), ())


def test_cleaning_drops_what_hardly_anything_speaks_for() -> None:
    sub_space = SubSpace(((0, 1, 2, 3), (8, 9)), ((), ()), ((), ()))
    indicators = np.zeros(16)
    indicators[[1, 8]] = -2.1
    indicators[3] = -1.9
    assert sub_space.cleaned(PLACES, indicators, -2.0).competing == ((0, 2, 3), (9,))


def test_cleaning_spares_what_the_last_front_used() -> None:
    sub_space = SubSpace(((0, 1, 2), (8, 9)), ((), ()), ((1,), (9,)))
    assert sub_space.cleaned(PLACES, np.full(16, -3.0), -2.0).competing == ((1, 2), (9,))


def test_cleaning_leaves_two_where_a_network_needs_one_and_may_leave_none_elsewhere() -> None:
    sub_space = SubSpace(((0, 1, 2), (8, 9)), ((), ()), ((), ()))
    indicators = np.array([-2.5, -2.7, -2.6, *[-3.0] * 13])
    assert sub_space.cleaned(PLACES, indicators, -2.0).competing == ((0, 2), ())


@pytest.mark.parametrize(
    "damaged",
    [
        SubSpace(((0, 0), ()), ((), ()), ((), ())),
        SubSpace(((0, 8), ()), ((), ()), ((), ())),
        SubSpace(((0,), ()), ((0,), ()), ((), ())),
        SubSpace(((0,), ()), ((), ()), ((9,), ())),
        SubSpace(((), (8,)), ((), ()), ((), ())),
        SubSpace(((0,), ()), ((), (16,)), ((), ())),
        SubSpace(((0,),), ((), ()), ((), ())),
    ],
    ids=str,
)
def test_what_is_no_sub_space_of_the_places_is_refused(damaged: SubSpace) -> None:
    with pytest.raises(ValueError, match=r"operation|argument"):
        damaged.check(PLACES)


def test_a_sub_space_of_the_places_is_accepted() -> None:
    sub_space = first()
    sub_space.check(PLACES)
    sub_space.after(PLACES, sub_space.competing, 3).check(PLACES)
