"""The processors that are chosen among the kinds of core of a phone, and their mask."""

import pytest

from devices import _cores as cores
from devices._errors import DeviceError

Kinds = tuple[tuple[int, ...], ...]

PRIME: Kinds = ((0, 1, 2, 3), (4, 5, 6), (7,))
TWO_KINDS: Kinds = ((0, 1, 2, 3), (4, 5, 6, 7))
UNKNOWN: Kinds = ()


@pytest.mark.parametrize(
    ("kinds", "choice", "expected"),
    [
        (PRIME, "big", (7,)),
        (PRIME, "mid", (4, 5, 6)),
        (PRIME, "little", (0, 1, 2, 3)),
        (PRIME, "all", tuple(range(8))),
        (TWO_KINDS, "big", (4, 5, 6, 7)),
        (TWO_KINDS, "little", (0, 1, 2, 3)),
        (((0,), (1,), (2,), (3,)), "mid", (1, 2)),
        (UNKNOWN, "big", tuple(range(8))),
        (UNKNOWN, "all", tuple(range(8))),
    ],
)
def test_a_choice_is_made_by_kind(kinds: Kinds, choice: str, expected: tuple[int, ...]) -> None:
    assert cores.chosen(kinds, choice, range(8)) == expected


def test_only_cores_that_may_be_used_are_chosen() -> None:
    assert cores.chosen(TWO_KINDS, "big", (0, 1, 4, 5)) == (4, 5)
    with pytest.raises(DeviceError, match=r"big cores of this phone \(4-7\) are asleep.*may use 0-3"):
        cores.chosen(TWO_KINDS, "big", (0, 1, 2, 3))


@pytest.mark.parametrize(("kinds", "choice"), [(TWO_KINDS, "mid"), (UNKNOWN, "mid"), (UNKNOWN, "little")])
def test_a_kind_that_the_phone_has_not_is_refused_with_those_it_has(kinds: Kinds, choice: str) -> None:
    with pytest.raises(DeviceError, match=f"no {choice} cores; ask for .*big.* or all"):
        cores.chosen(kinds, choice, range(8))


def test_a_mask_is_hexadecimal_without_a_prefix() -> None:
    assert cores.mask((4, 5, 6, 7)) == "f0"
    assert cores.mask((0,)) == "1"
