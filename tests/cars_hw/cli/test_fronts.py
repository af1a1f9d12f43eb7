"""A front in a terminal: what its members are compared by."""

from dataclasses import replace

import pytest

from cars_hw.candidate import Candidate, Front
from cars_hw.cli._searching import print_front
from cars_hw.saving.record import Generation


@pytest.mark.parametrize("is_estimated", [False, True])
def test_a_front_says_where_its_members_are_compared_by_estimates(
    capsys: pytest.CaptureFixture[str], is_estimated: bool
) -> None:
    members = [Candidate((0, 1), (0.2, 3.0)), Candidate((1, 0), (0.1, 5.0))]
    if is_estimated:
        members = [replace(one, estimate=1.0 - one.costs[0]) for one in members]
    names = ("error", "parameters")
    print_front(Generation(3, tuple(members), Front(members, names), names, {}, 1.0))
    shown = " ".join("".join(capsys.readouterr()).split())
    assert "front after generation 3" in shown
    assert ("members are compared by estimates (strategy.errors)" in shown) is is_estimated
