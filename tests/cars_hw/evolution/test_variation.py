"""Variation: what moves together, how often, and that it always ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw.evolution import variation
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.testing._tabular import TinySpace

WIDE = TinySpace((9,) * 12, tuple((i, i + 6) for i in range(6)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(st.integers(0, 2**32))
def test_crossover_takes_whole_groups_from_either_parent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = WIDE.sample(rng), WIDE.sample(rng)

    child = variation.crossover(first, second, space=WIDE, rng=rng)

    for group in WIDE.groups:
        assert options(child, group) in (options(first, group), options(second, group))


@given(st.integers(0, 2**32))
def test_a_mutant_is_a_member_of_the_space(seed: int) -> None:
    rng = np.random.default_rng(seed)
    checked(variation.mutate(WIDE.sample(rng), WIDE, rng=rng), WIDE.choices)


def test_rates_of_zero_and_one_take_nothing_and_everything(rng: np.random.Generator) -> None:
    first, second = WIDE.sample(rng), WIDE.sample(rng)
    assert variation.mutate(first, WIDE, rng=rng, rate=0.0) == first
    assert variation.crossover(first, second, space=WIDE, rng=rng, rate=1.0) == second


def test_half_of_the_groups_mutate_and_each_as_a_whole(rng: np.random.Generator) -> None:
    parent = WIDE.sample(rng)
    mutants = [variation.mutate(parent, WIDE, rng=rng) for _ in range(2000)]

    kept = [options(mutant, group) == options(parent, group) for mutant in mutants for group in WIDE.groups]
    single = [mutant[a] == parent[a] and mutant[b] != parent[b] for mutant in mutants for a, b in WIDE.groups]

    assert np.mean(kept) == pytest.approx(0.5 + 0.5 / 81, abs=0.02)  # drawn anew, but alike, once in 81
    assert np.mean(single) == pytest.approx(0.5 * 8 / 81, abs=0.01)  # by decision it would be 0.25 of them


def test_a_mutation_of_one_group_draws_any_one_of_them_anew_as_a_whole(rng: np.random.Generator) -> None:
    parent = WIDE.sample(rng)
    mutants = [variation.mutate_one(parent, WIDE, rng=rng) for _ in range(3000)]

    changed = np.array(
        [[options(mutant, group) != options(parent, group) for group in WIDE.groups] for mutant in mutants]
    )
    both = [mutant[0] != parent[0] and mutant[6] != parent[6] for mutant in mutants]

    assert changed.sum(axis=1).max() == 1
    assert changed.mean(axis=0) == pytest.approx([80 / 81 / 6] * 6, abs=0.03)  # alike once in 81
    assert np.mean(both) == pytest.approx(64 / 81 / 6, abs=0.03)


def test_nothing_is_random_where_the_shares_leave_nothing(rng: np.random.Generator) -> None:
    members = [WIDE.sample(rng) for _ in range(8)]
    children = variation.offspring(members, WIDE, n=300, rng=rng, recipe=variation.Recipe(0.25, 0.75, "one"))
    groups_from_nobody = [
        sum(options(child, group) not in {options(m, group) for m in members} for group in WIDE.groups)
        for child in children
    ]
    assert len(children) == 300
    assert max(groups_from_nobody) == 1
    assert groups_from_nobody.count(1) / 300 == pytest.approx(0.25, abs=0.08)


def test_shares_of_mutation_crossover_and_random_are_a_quarter_a_quarter_and_a_half(
    rng: np.random.Generator,
) -> None:
    members = [(0,) * 12, (1,) * 12]
    children = variation.offspring(
        members, TinySpace((1000,) * 12, ((*range(6),), (*range(6, 12),))), n=400, rng=rng
    )
    kinds = [
        sum(options(child, half) in ((0,) * 6, (1,) * 6) for half in (range(6), range(6, 12)))
        for child in children
    ]
    # two halves from members: crossover, of which only two kinds are new; one half: a mutant
    assert kinds.count(2) == 2
    assert kinds.count(1) / (kinds.count(1) + kinds.count(0)) == pytest.approx(
        0.125 / (0.125 + 0.0625 + 0.5), abs=0.05
    )


def test_offspring_differ_from_the_members_and_from_each_other(rng: np.random.Generator) -> None:
    """The released code of CARS compares them to the members alone."""
    space = TinySpace()
    members = variation.distinct(space, 40, rng=rng)
    children = variation.offspring(members, space, n=60, rng=rng)
    assert len({*members, *children}) == 100


@pytest.mark.parametrize("n_members", [1, 143, 144])
def test_an_exhausted_space_gives_what_it_has_and_ends(n_members: int, rng: np.random.Generator) -> None:
    """The released code of CARS draws for ever."""
    space = TinySpace()
    members = variation.distinct(space, n_members, rng=rng)
    children = variation.offspring(members, space, n=1000, rng=rng)
    assert len(children) == len({*members, *children}) - n_members == 144 - n_members


@pytest.mark.parametrize(
    ("mutation_share", "crossover_share", "mutated_groups"),
    [(1.0, 0.0, "half"), (0.0, 1.0, "half"), (1.0, 0.0, "one")],
)
def test_operators_that_find_nothing_new_leave_the_rest_to_chance(
    mutation_share: float,
    crossover_share: float,
    mutated_groups: variation.MutatedGroups,
    rng: np.random.Generator,
) -> None:
    members = [(0, 0, 0, 0)]
    children = variation.offspring(
        members,
        TinySpace(),
        n=30,
        rng=rng,
        recipe=variation.Recipe(mutation_share, crossover_share, mutated_groups),
    )
    assert len({*members, *children}) == 31


def test_a_generator_that_repeats_itself_ends_with_fewer() -> None:
    class Stuck(TinySpace):
        def sample(self, rng: np.random.Generator) -> Architecture:
            return (1,) * 12

    stuck = Stuck(WIDE.choices, WIDE.groups)
    assert variation.distinct(stuck, 50, rng=np.random.default_rng(0)) == [(1,) * 12]
    assert variation.offspring([(1,) * 12], stuck, n=50, rng=np.random.default_rng(0)) == []


@pytest.mark.parametrize("n", [0, 1, 20, 60, 144, 500])
@pytest.mark.parametrize("n_excluded", [0, 100])
def test_distinct_ones_are_as_many_as_there_are(n: int, n_excluded: int, rng: np.random.Generator) -> None:
    space = TinySpace()
    exclude = frozenset(variation.distinct(space, n_excluded, rng=rng))
    found = variation.distinct(space, n, rng=rng, exclude=exclude)
    assert len(found) == len(set(found) - exclude) == min(n, 144 - n_excluded)


@pytest.mark.parametrize("n", [3, 30])
def test_distinct_ones_are_uniform(n: int, rng: np.random.Generator) -> None:
    """Both ways: enumerated where the space is small for n, drawn where it is large."""
    space = TinySpace((5, 5), ((0,), (1,)))
    drawn = [option for _ in range(6000 // n) for option in variation.distinct(space, n, rng=rng)]
    counts = np.bincount([5 * a + b for a, b in drawn], minlength=25)
    assert counts / len(drawn) == pytest.approx(0.04, abs=0.01)


def options(architecture: Architecture, group: tuple[int, ...] | range) -> Architecture:
    return tuple(architecture[decision] for decision in group)


@pytest.mark.parametrize("n", [3, 8, 20])
def test_a_restricted_space_gives_nothing_that_it_does_not_allow(rng: np.random.Generator, n: int) -> None:
    space = TinySpace((4, 3, 4, 3)).restrict([(0, 3), (1,), (0, 2), (0, 2)])
    found = variation.distinct(space, n, rng=rng)
    assert len(found) == min(n, 8)
    found += variation.offspring(found[:2], space, n=n, rng=rng)
    for architecture in found:
        assert all(option in options for option, options in zip(architecture, space.allowed, strict=True))


@given(st.integers(0, 2**32))
def test_covering_architectures_have_every_option_about_equally_often(seed: int) -> None:
    space = TinySpace((4, 3, 2, 1), ((0,), (1,), (2,), (3,)))
    drawn = variation.covering(space, rng=np.random.default_rng(seed))
    assert len(drawn) == 4
    counts = [sorted(np.unique(column, return_counts=True)[1].tolist()) for column in np.array(drawn).T]
    assert counts == [[1, 1, 1, 1], [1, 1, 2], [2, 2], [4]]


def test_covering_architectures_of_a_restricted_space_have_its_options_alone(
    rng: np.random.Generator,
) -> None:
    space = TinySpace((4, 3), ((0,), (1,))).restrict(((1, 3), (0, 1, 2)))
    drawn = variation.covering(space, rng=rng)
    assert [set(column) for column in zip(*drawn, strict=True)] == [{1, 3}, {0, 1, 2}]
