import numpy as np

from cars_hw.strategies._nse.inclusion import Size
from cars_hw.strategies._nse.places import Places
from cars_hw.testing._tabular import TinySpace
from tests.fakes.branches import BranchSpace


def test_a_layer_of_branches_is_one_place_with_an_operation_for_each() -> None:
    places = Places(BranchSpace(layers=2, operations=3, most=2))
    assert [(place.operations, place.size) for place in places] == [
        (range(3), Size(1, 2)),
        (range(3, 6), Size(0, 2)),
    ]
    assert [place.decisions for place in places] == [(0, 1, 2), (3, 4, 5)]


def test_a_decision_among_alternatives_is_a_place_that_takes_one() -> None:
    places = Places(TinySpace((4, 3), ((0, 1),)))
    assert [(place.operations, place.size) for place in places] == [
        (range(4), Size(1, 1)),
        (range(4, 7), Size(1, 1)),
    ]


def test_options_that_a_space_has_lost_do_not_compete() -> None:
    restricted = TinySpace((4, 3), ((0, 1),)).restrict([(1, 3), (0,)])
    assert [len(place.operations) for place in Places(restricted)] == [2, 1]
    branches = BranchSpace(layers=2, operations=2).restrict([(0, 1), (0,), (0, 1), (0, 1)])
    assert [len(place.operations) for place in Places(branches)] == [1, 2]


def test_networks_are_put_together_from_what_is_drawn() -> None:
    branches = Places(BranchSpace(layers=2, operations=3))
    drawn = [np.array([[True, False], [True, True]]), np.array([[False], [True]])]
    assert branches.architectures(((2, 0), (4,)), drawn) == [(0, 0, 1, 0, 0, 0), (1, 0, 1, 0, 1, 0)]

    alternatives = Places(TinySpace((4, 3), ((0, 1),)))
    drawn = [np.array([[False, True]]), np.array([[True]])]
    assert alternatives.architectures(((1, 3), (6,)), drawn) == [(3, 2)]


def test_what_networks_have_is_found_again() -> None:
    branches = Places(BranchSpace(layers=2, operations=3))
    assert branches.used([(0, 0, 1, 0, 0, 0), (1, 0, 1, 0, 1, 0)]) == ((0, 2), (4,))
    alternatives = Places(TinySpace((4, 3), ((0, 1),)))
    assert alternatives.used([(3, 2), (1, 2)]) == ((1, 3), (6,))


def test_a_restricted_space_has_the_operations_and_the_absence_of_branches() -> None:
    branches = Places(BranchSpace(layers=2, operations=2))
    assert branches.restricted(((1,), ())).allowed == ((0,), (0, 1), (0,), (0,))
    alternatives = Places(TinySpace((4, 3), ((0, 1),)))
    assert alternatives.restricted(((3, 1), (4,))).allowed == ((1, 3), (0,))
