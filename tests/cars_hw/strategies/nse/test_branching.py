import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw.networks.architecture import Architecture
from cars_hw.strategies._nse import branching
from cars_hw.strategies._nse.branching import Adam, Duel, Penalty
from cars_hw.strategies._nse.places import Places
from tests.fakes.branches import BranchSpace

SPACE = BranchSpace(layers=3, operations=4)
PLACES = list(Places(SPACE))


def test_an_indicator_of_0_is_a_probability_of_one_half_and_none_reaches_0_or_1() -> None:
    p = branching.probabilities([-1000.0, -2.0, 0.0, 2.0, 1000.0])
    assert p.tolist() == pytest.approx(
        [0.0005, 0.999 * 0.1192029 + 0.0005, 0.5, 0.999 * 0.8807971 + 0.0005, 0.9995]
    )


def test_shares_of_two_subsets_are_those_worked_by_hand() -> None:
    # p = (1/2, 1/2, p3): P_S / P_U of {1} and {1, 3} is (1 - p3) / p3.
    p3 = 0.999 / (1 + math.exp(-1.0)) + 0.0005
    assert branching.share([0.0, 0.0, 1.0], [1, 0, 0], [1, 0, 1]) == pytest.approx(1 - p3)
    assert branching.share([0.3, 0.0, 1.0], [1, 1, 0], [1, 1, 0]) == 0.5


def test_the_share_is_the_probability_of_one_set_given_one_of_the_two() -> None:
    theta, size = [0.4, -0.7, 1.3], PLACES[0].size
    p = branching.probabilities(theta)
    weights = {
        chosen: math.prod(q if on else 1 - q for q, on in zip(p, chosen, strict=True))
        for chosen in itertools.product((0, 1), repeat=3)
        if size.fewest <= sum(chosen) <= size.most
    }
    for first, other in itertools.permutations(weights, 2):
        expected = weights[first] / (weights[first] + weights[other])
        assert branching.share(theta, first, other) == pytest.approx(expected)


@given(
    theta=st.lists(st.floats(-4, 4), min_size=4, max_size=4),
    first=st.lists(st.booleans(), min_size=4, max_size=4),
    other=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_the_gradient_of_a_share_agrees_with_finite_differences(
    theta: list[float], first: list[bool], other: list[bool]
) -> None:
    gradient = branching.share_gradient(theta, first, other)
    for i in range(4):
        ends = []
        for shift in (-1e-5, 1e-5):
            moved = list(theta)
            moved[i] += shift
            ends.append(branching.share(moved, first, other))
        assert gradient[i] == pytest.approx((ends[1] - ends[0]) / 2e-5, abs=1e-8)
        assert (gradient[i] == 0) == (first[i] == other[i])


def duels(theta: np.ndarray, seed: int) -> list[Duel]:
    rng = np.random.default_rng(seed)
    return [Duel.drawn(place, list(place.operations), theta, rng) for place in PLACES]


def both(found: list[Duel]) -> tuple[Architecture, Architecture]:
    firsts, others = (
        [each.astype(int).tolist() for each in sets]
        for sets in ([d.first for d in found], [d.other for d in found])
    )
    return tuple(itertools.chain(*firsts)), tuple(itertools.chain(*others))


def macs(architecture: Architecture) -> float:
    return float(SPACE.graph(architecture).macs())


@pytest.mark.parametrize("seed", range(5))
def test_the_expected_cost_is_the_mean_over_all_outcomes_of_the_duels(seed: int) -> None:
    theta = np.random.default_rng(seed).normal(size=12)
    found = duels(theta, seed)
    chosen, other = both(found)
    expected = 0.0
    for outcome in itertools.product((False, True), repeat=len(found)):
        probability, architecture = 1.0, chosen
        for duel, other_wins in zip(found, outcome, strict=True):
            probability *= duel.other_share if other_wins else 1 - duel.other_share
            architecture = duel.swapped(architecture, other) if other_wins else architecture
        expected += probability * macs(architecture)
    assert branching.expected_cost(macs, found, chosen, other).cost == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_of_the_penalty_agrees_with_finite_differences(seed: int) -> None:
    theta = np.random.default_rng(seed).normal(size=12)
    found, penalty = duels(theta, seed), Penalty(target=20_000.0, factor=0.9, power=2.0)
    chosen, other = both(found)

    def loss(moved: np.ndarray) -> float:
        again = [
            Duel(duel.place, duel.operations, moved[duel.operations], duel.first, duel.other)
            for duel in found
        ]
        return penalty(branching.expected_cost(macs, again, chosen, other).cost)

    expected = branching.expected_cost(macs, found, chosen, other)
    gradient = np.zeros(12)
    for duel, saving in zip(found, expected.savings, strict=True):
        gradient[duel.operations] = duel.gradient(penalty.slope(expected.cost) * saving)
    for i in range(12):
        step = 1e-5 * np.eye(12)[i]
        assert gradient[i] == pytest.approx((loss(theta + step) - loss(theta - step)) / 2e-5, abs=1e-6)
    assert np.abs(gradient).max() > 1e-3


def test_the_default_penalty_is_the_papers_in_millions_of_macs() -> None:
    ours = Penalty(target=300e6, factor=0.9, power=2.0)
    for macs_m in (250.0, 300.0, 333.0):
        assert ours(macs_m * 1e6) == pytest.approx(1e-5 * (macs_m - 300) ** 2)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("cost", [40.0, 65.0, 72.0])
def test_the_slope_of_a_penalty_agrees_with_finite_differences(power: float, cost: float) -> None:
    penalty = Penalty(target=66.0, factor=0.87, power=power)
    difference = (penalty(cost + 1e-4) - penalty(cost - 1e-4)) / 2e-4
    assert penalty.slope(cost) == pytest.approx(difference, rel=1e-5)


def test_the_optimiser_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    theta, adam = rng.normal(size=3), Adam(np.zeros(3))
    parameter = torch.tensor(theta, requires_grad=True)
    reference = torch.optim.Adam([parameter], lr=0.005, betas=(0.0, 0.999))
    for _ in range(5):
        gradient = rng.normal(size=3)
        adam, change = adam.step(gradient, 0.005)
        theta = theta + change
        parameter.grad = torch.from_numpy(gradient)
        reference.step()
    np.testing.assert_allclose(theta, parameter.detach().numpy(), rtol=1e-12)


def test_a_duel_without_another_set_is_one_between_equals() -> None:
    lonely = next(iter(Places(BranchSpace(layers=1, operations=1))))
    duel = Duel.drawn(lonely, [0], np.zeros(1), np.random.default_rng(0))
    assert duel.first.tolist() == duel.other.tolist() == [True]
    assert duel.gradient(5.0).tolist() == [0.0]
