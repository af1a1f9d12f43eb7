"""Limits that no network meets are found by the known costs alone, and said with figures."""

import re
from collections.abc import Mapping

import numpy as np
import pytest

from cars_hw import spaces
from cars_hw.errors import InfeasibleError
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Macs, Objective, Parameters, require_feasible
from cars_hw.spaces import SearchSpace
from cars_hw.testing._tabular import TinySpace
from tests.fakes.small_spaces import small


class _Counted(Objective):
    """The sum of the options, or what it lacks to ``most``; counts its calls."""

    def __init__(self, name: str, *, most: int | None = None) -> None:
        self.name, self._most, self.calls = name, most, 0

    def __call__(self, architecture: Architecture, /) -> float:
        self.calls += 1
        total = sum(architecture)
        return 1.0 + (total if self._most is None else self._most - total)


def _refusal(space: SearchSpace, costs: list[Objective], limits: Mapping[str, float]) -> InfeasibleError:
    with pytest.raises(InfeasibleError) as refused:
        require_feasible(space, costs, limits)
    return refused.value


_LARGE = TinySpace(choices=(4,) * 12, groups=((0,),))


@pytest.mark.parametrize("space", [TinySpace(), _LARGE], ids=["small", "large"])
def test_a_limit_is_refused_below_the_least_cost_and_taken_at_it(space: SearchSpace) -> None:
    least = Macs(space)(tuple(0 for _ in space.choices))
    require_feasible(space, [Macs(space)], {"macs": least})
    refused = _refusal(space, [Macs(space)], {"macs": least / 4})
    assert refused.costs == {"macs": least}
    assert "the smallest" in str(refused)
    assert "4 times the limit" in str(refused)


@pytest.mark.parametrize("name", spaces.names())
def test_in_every_space_no_random_network_is_below_the_smallest_figure(name: str) -> None:
    space = small(name)
    costs: list[Objective] = [Parameters(space), Macs(space)]
    refused = _refusal(space, costs, {"parameters": 1e-3, "macs": 1e-3})
    rng = np.random.default_rng(1)
    for architecture in (space.sample(rng) for _ in range(200)):
        assert costs[0](architecture) >= refused.costs["parameters"]
        assert costs[1](architecture) >= refused.costs["macs"]


@pytest.mark.parametrize("limit", [0.37, 0.9999, 1e-9])
def test_the_limit_that_the_refusal_proposes_can_be_met(limit: float) -> None:
    text = str(_refusal(_LARGE, [Macs(_LARGE)], {"macs": limit}))
    proposed = re.search(r"raise the limit of macs to (\S+) at least", text)
    assert proposed
    require_feasible(_LARGE, [Macs(_LARGE)], {"macs": float(proposed[1])})


@pytest.mark.parametrize("space", [TinySpace(), _LARGE], ids=["small", "large"])
def test_limits_that_are_met_one_by_one_but_not_by_one_network_are_refused(space: SearchSpace) -> None:
    most = sum(options - 1 for options in space.choices)
    costs: list[Objective] = [_Counted("low"), _Counted("high", most=most)]
    half = most / 2 + 1.0
    require_feasible(space, costs, {"low": half, "high": half})
    refused = _refusal(space, costs, {"low": half, "high": 2.0})
    assert "low <= " in str(refused)
    assert " at once, though each alone can be met" in str(refused)
    hard = re.search(r"and (\w+) is the hard one.*raise the limit of (\w+) to (\S+) at least", str(refused))
    assert hard
    assert hard[1] == hard[2]
    require_feasible(space, costs, {"low": half, "high": 2.0, hard[2]: float(hard[3])})


def test_a_refusal_is_the_same_each_time_and_draws_from_no_generator_but_its_own() -> None:
    np.random.seed(3)  # noqa: NPY002  (the global one must not move either)
    drawn = np.random.RandomState(3).random()
    texts = {str(_refusal(_LARGE, [Macs(_LARGE)], {"macs": 1.0})) for _ in range(3)}
    assert len(texts) == 1
    assert np.random.random() == drawn  # noqa: NPY002


def test_a_limit_that_is_easily_met_takes_few_looks_and_a_vain_one_a_bounded_number() -> None:
    space = TinySpace(choices=(4,) * 200, groups=((0,),))
    easy, vain = _Counted("low"), _Counted("low")
    require_feasible(space, [easy], {"low": 600.0})
    assert easy.calls < 50
    _refusal(space, [vain], {"low": 0.5})
    assert vain.calls < 10_000


def test_a_limit_on_the_error_is_left_to_the_search() -> None:
    require_feasible(_LARGE, [Macs(_LARGE)], {"error": 1e-9})


def test_several_limits_that_nobody_meets_are_all_named() -> None:
    space = TinySpace()
    text = str(_refusal(space, [Macs(space), Parameters(space)], {"macs": 1.0, "parameters": 1.0}))
    assert "macs <= 1" in text
    assert "parameters <= 1" in text
    assert "\n" not in text
