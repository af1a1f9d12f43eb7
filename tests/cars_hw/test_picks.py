"""Which members of a front are taken home."""

import pytest

from cars_hw.candidate import Candidate
from cars_hw.picks import pick
from devices._errors import ConfigError, UnknownNameError

_NAMES = ("error", "parameters", "latency_ms")
_FRONT = (
    Candidate((0,), (0.10, 900.0, 3.0)),
    Candidate((1,), (0.12, 300.0, 1.2)),
    Candidate((2,), (0.30, 100.0, 1.1)),
    Candidate((3,), (0.35, 200.0, 1.0)),
)


@pytest.mark.parametrize(
    ("choice", "architecture"), [("knee", 1), ("most-accurate", 0), ("fastest", 3), ("smallest", 2), ("2", 2)]
)
def test_a_pick_is_found_by_its_name_or_number(choice: str, architecture: int) -> None:
    assert pick(_FRONT, _NAMES, choice).architecture == (architecture,)


def test_the_knee_does_not_depend_on_units() -> None:
    scaled = [Candidate(m.architecture, (m.costs[0], m.costs[1] * 1e6, m.costs[2] * 1e-6)) for m in _FRONT]
    assert pick(scaled, _NAMES, "knee").architecture == (1,)


def test_a_front_of_one_is_every_pick() -> None:
    for choice in ("knee", "most-accurate", "fastest", "smallest", "0"):
        assert pick(_FRONT[:1], _NAMES, choice) is _FRONT[0]


def test_an_unknown_pick_or_number_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fastest'"):
        pick(_FRONT, _NAMES, "fast")
    with pytest.raises(ConfigError, match="members 0 to 3"):
        pick(_FRONT, _NAMES, "4")


@pytest.mark.parametrize("choice", ["0000000005", "10000000000", "9" * 5000])
def test_a_number_of_any_length_is_compared_as_a_whole(choice: str) -> None:
    with pytest.raises(ConfigError, match="members 0 to 3"):
        pick(_FRONT, _NAMES, choice)
    assert pick(_FRONT, _NAMES, "0000000003") is _FRONT[3]
    assert pick(_FRONT, _NAMES, "0000000000") is _FRONT[0]


def test_a_number_in_other_digits_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        pick(_FRONT, _NAMES, "\N{ARABIC-INDIC DIGIT ZERO}" * 9 + "5")


def test_a_pick_by_a_cost_that_was_not_minimised_is_refused() -> None:
    with pytest.raises(ConfigError, match="did not minimise latency_ms"):
        pick(_FRONT, ("error", "parameters", "macs"), "fastest")
