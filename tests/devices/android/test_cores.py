"""Clusters from cpufreq, lists and masks of processors; no text makes reading fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices._android import cores
from devices._errors import DeviceError

PRIME = {1900000: (0, 1, 2, 3), 2500000: (4, 5, 6), 2850000: (7,)}
TWO_KINDS = {1800000: (0, 1, 2, 3), 2200000: (4, 5, 6, 7)}


def frequencies(max_khz: dict[int, int], related: dict[int, str] | None = None) -> str:
    lines = [f"cpu{i}/cpufreq/cpuinfo_max_freq:{khz}" for i, khz in max_khz.items()]
    return "\n".join(lines + [f"cpu{i}/cpufreq/related_cpus:{text}" for i, text in (related or {}).items()])


def test_clusters_come_slowest_first_whatever_their_numbers() -> None:
    found = cores.clusters(frequencies({0: 2850000, 1: 1900000, 2: 1900000, 3: 2500000}))
    assert list(found.items()) == [(1900000, (1, 2)), (2500000, (3,)), (2850000, (0,))]


def test_a_sleeping_core_belongs_to_its_relatives() -> None:
    found = cores.clusters(frequencies({0: 1800000, 4: 2200000}, {0: "0 1 2 3", 4: "4-5"}))
    assert found == {1800000: (0, 1, 2, 3), 2200000: (4, 5)}


def test_a_core_that_tells_its_own_clock_is_not_overruled_by_a_relative() -> None:
    assert cores.clusters(frequencies({0: 1, 1: 2}, {0: "0 1"})) == {1: (0,), 2: (1,)}


@pytest.mark.parametrize(
    ("by_khz", "choice", "expected"),
    [
        (PRIME, "big", (7,)),
        (PRIME, "mid", (4, 5, 6)),
        (PRIME, "little", (0, 1, 2, 3)),
        (PRIME, "all", tuple(range(8))),
        (TWO_KINDS, "big", (4, 5, 6, 7)),
        (TWO_KINDS, "little", (0, 1, 2, 3)),
        ({1: (0,), 2: (1,), 3: (2,), 4: (3,)}, "mid", (1, 2)),
        ({}, "big", tuple(range(8))),
        ({}, "all", tuple(range(8))),
    ],
)
def test_a_choice_is_made_by_clock(
    by_khz: dict[int, tuple[int, ...]], choice: str, expected: tuple[int, ...]
) -> None:
    assert cores.chosen(by_khz, choice, range(8)) == expected


def test_only_cores_that_may_be_used_are_chosen() -> None:
    assert cores.chosen(TWO_KINDS, "big", (0, 1, 4, 5)) == (4, 5)
    with pytest.raises(DeviceError, match=r"big cores of this phone \(4-7\) are asleep.*may use 0-3"):
        cores.chosen(TWO_KINDS, "big", (0, 1, 2, 3))


@pytest.mark.parametrize(("by_khz", "choice"), [(TWO_KINDS, "mid"), ({}, "mid"), ({}, "little")])
def test_a_kind_that_the_phone_has_not_is_refused_with_those_it_has(
    by_khz: dict[int, tuple[int, ...]], choice: str
) -> None:
    with pytest.raises(DeviceError, match=f"no {choice} cores; ask for .*big.* or all"):
        cores.chosen(by_khz, choice, range(8))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-3,6\n", (0, 1, 2, 3, 6)),
        ("4 5 6 7", (4, 5, 6, 7)),
        ("7", (7,)),
        ("", ()),
        ("0-", ()),
        ("3-1", ()),
        ("0-9999", ()),
        ("0,x", ()),
    ],
)
def test_lists_are_those_of_the_kernel_or_nothing(text: str, expected: tuple[int, ...]) -> None:
    assert cores.processors(text) == expected


def test_a_mask_is_hexadecimal_without_a_prefix() -> None:
    assert cores.mask((4, 5, 6, 7)) == "f0"
    assert cores.mask((0,)) == "1"


@given(st.sets(st.integers(0, 1023), min_size=1))
def test_lists_are_read_as_they_are_written_and_masks_have_their_bits(numbers: set[int]) -> None:
    assert cores.processors(cores.listed(numbers)) == tuple(sorted(numbers))
    assert {i for i in range(1024) if int(cores.mask(numbers), 16) >> i & 1} == numbers


@given(st.text() | st.from_regex(r"cpu[0-9]+/cpufreq/(cpuinfo_max_freq|related_cpus):[0-9 ,-]*\n"))
def test_no_text_makes_reading_fail(text: str) -> None:
    assert all(i < 1024 for numbers in cores.clusters(text).values() for i in numbers)
    cores.processors(text)
