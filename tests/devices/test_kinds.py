"""Kinds of core from capacities, parts and clocks; lists of processors; no text makes reading fail."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import _cores as cores
from devices import _kinds

A53, A55, A73, A75, A76, A78 = "0xd03", "0xd05", "0xd09", "0xd0a", "0xd0b", "0xd41"
A510, A710, A715, A720, X3, X4 = "0xd46", "0xd47", "0xd4d", "0xd81", "0xd4e", "0xd82"

FOUR_AND_FOUR = ((0, 1, 2, 3), (4, 5, 6, 7))
SIX_AND_TWO = ((0, 1, 2, 3, 4, 5), (6, 7))


def reports(
    *,
    khz: Mapping[int, int] | None = None,
    capacity: Mapping[int, int] | None = None,
    related: Mapping[int, str] | None = None,
) -> str:
    lines = [f"cpu{i}/cpu_capacity:{value}" for i, value in (capacity or {}).items()]
    lines += [f"cpu{i}/cpufreq/cpuinfo_max_freq:{value}" for i, value in (khz or {}).items()]
    return "\n".join(lines + [f"cpu{i}/cpufreq/related_cpus:{text}" for i, text in (related or {}).items()])


def cpuinfo(parts: Mapping[int, str], implementer: str = "0x41") -> str:
    return "\n\n".join(
        f"processor\t: {i}\nCPU implementer\t: {implementer}\nCPU part\t: {part}" for i, part in parts.items()
    )


def each(*values: tuple[int, int]) -> dict[int, int]:
    """Spread ``(count, value)`` pairs over processors from 0 on."""
    return dict(enumerate(value for count, value in values for _ in range(count)))


def named(*values: tuple[int, str]) -> dict[int, str]:
    return dict(enumerate(value for count, value in values for _ in range(count)))


def test_kinds_come_slowest_first_whatever_their_numbers() -> None:
    found = _kinds.kinds(reports(khz={0: 2850000, 1: 1900000, 2: 1900000, 3: 2500000}))
    assert found == ((1, 2), (3,), (0,))


def test_a_sleeping_core_belongs_to_its_relatives() -> None:
    found = _kinds.kinds(reports(khz={0: 1800000, 4: 2200000}, related={0: "0 1 2 3", 4: "4-5"}))
    assert found == ((0, 1, 2, 3), (4, 5))


@pytest.mark.parametrize(
    "related", [{0: "0-7", 4: "4-7"}, {4: "4-7", 0: "0-7"}, {0: "0-7", 4: "4-7", 5: "x"}]
)
def test_of_clusters_that_overlap_the_smaller_one_counts(related: Mapping[int, str]) -> None:
    assert _kinds.kinds(reports(khz={0: 1800000, 4: 2200000}, related=related)) == FOUR_AND_FOUR


def test_a_core_that_tells_its_own_clock_is_not_overruled_by_a_relative() -> None:
    assert _kinds.kinds(reports(khz={0: 1, 1: 2}, related={0: "0 1"})) == ((0,), (1,))


@pytest.mark.parametrize(
    ("text", "parts", "expected"),
    [
        (reports(khz=each((8, 1989000)), capacity=each((4, 462), (4, 1024))), {}, FOUR_AND_FOUR),
        (reports(khz=each((8, 1989000))), named((4, A53), (4, A73)), FOUR_AND_FOUR),
        (reports(khz=each((8, 1612000))), named((6, A55), (2, A75)), SIX_AND_TWO),
        (reports(khz=each((6, 2000000), (2, 2200000))), named((6, A55), (2, A76)), SIX_AND_TWO),
        (reports(khz=each((4, 1800000), (2, 1900000), (2, 1900000))), {}, ((0, 1, 2, 3), (4, 5, 6, 7))),
    ],
    ids=["capacity", "part", "six and two of one clock", "six and two", "two policies of one kind"],
)
def test_cores_of_one_maximum_clock_are_still_of_different_kinds(
    text: str, parts: Mapping[int, str], expected: tuple[tuple[int, ...], ...]
) -> None:
    assert _kinds.kinds(text, cpuinfo(parts)) == expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (reports(khz=each((4, 2300000), (4, 1800000)), capacity=each((4, 500), (4, 1024))), {}),
        (reports(khz=each((4, 2300000), (4, 1800000))), named((4, A53), (4, A73))),
        (reports(khz=each((4, 2300000), (4, 1800000)), capacity=each((8, 1024))), named((4, A53), (4, A73))),
    ],
    ids=["capacity", "part", "a kernel without capacities gives all 1024"],
)
def test_a_slow_cluster_with_the_higher_clock_stays_the_slow_one(text: str, parts: Mapping[int, str]) -> None:
    assert _kinds.kinds(text, cpuinfo(parts)) == FOUR_AND_FOUR


def test_capacity_comes_before_part_and_part_before_clock() -> None:
    khz, parts = each((4, 3000000), (4, 1000000)), cpuinfo(named((4, X3), (4, A510)))
    assert _kinds.kinds(reports(khz=khz, capacity=each((4, 100), (4, 1024))), parts) == FOUR_AND_FOUR
    assert _kinds.kinds(reports(khz=khz), cpuinfo(named((4, A510), (4, X3)))) == FOUR_AND_FOUR


def test_cores_of_one_part_are_told_apart_by_their_clock() -> None:
    text = reports(khz=each((4, 2015000), (3, 2419000), (1, 2841000)), capacity=each((8, 1024)))
    parts = cpuinfo(named((4, A55), (4, A78)))
    assert _kinds.kinds(text, parts) == ((0, 1, 2, 3), (4, 5, 6), (7,))


def test_four_kinds_of_one_phone_are_four() -> None:
    text = reports(khz={**each((3, 2016000), (4, 2803000)), 7: 3187000})
    parts = cpuinfo(named((3, A510), (2, A710), (2, A715), (1, X3)))
    assert _kinds.kinds(text, parts) == ((0, 1, 2), (3, 4), (5, 6), (7,))


def test_one_of_the_largest_leads_at_a_lower_clock() -> None:
    text = reports(khz={0: 3300000, 1: 3000000})
    assert _kinds.kinds(text, cpuinfo({0: A720, 1: X4})) == ((0,), (1,))


def test_without_cpufreq_parts_and_capacities_still_tell_the_kinds() -> None:
    assert _kinds.kinds("", cpuinfo(named((4, A53), (4, A73)))) == FOUR_AND_FOUR
    assert _kinds.kinds(reports(capacity=each((6, 381), (2, 1024)))) == SIX_AND_TWO
    assert _kinds.kinds("", "") == ()


def test_cores_of_other_makers_are_told_apart() -> None:
    text = reports(khz=each((4, 1900000), (4, 1800000)))
    assert _kinds.kinds(text, cpuinfo(named((4, "0x801"), (4, "0x800")), "0x51")) == FOUR_AND_FOUR
    assert _kinds.kinds(text, cpuinfo(named((4, "0x999"), (4, "0x998")), "0x99"))[-1] == (0, 1, 2, 3)


def test_a_figure_that_only_some_cores_report_does_not_count() -> None:
    text = reports(khz=each((4, 2300000), (4, 1800000)), capacity={0: 100})
    assert _kinds.kinds(text, cpuinfo({0: A53, 1: A53})) == ((4, 5, 6, 7), (0, 1, 2, 3))


def test_a_sleeping_core_is_of_its_relatives_part() -> None:
    text = reports(khz=each((8, 1989000)), related={0: "0-3", 4: "4-7"})
    assert _kinds.kinds(text, cpuinfo({0: A53, 4: A73})) == FOUR_AND_FOUR


def test_eight_cores_that_are_alike_are_one_kind() -> None:
    text = reports(khz=each((8, 1500000)), related={0: "0-3", 4: "4-7"})
    assert _kinds.kinds(text, cpuinfo(named((8, A53)))) == (tuple(range(8)),)


def test_favoured_cores_are_of_one_kind_within_a_step() -> None:
    khz = {0: 5000000, 1: 4900000, 2: 4800000, 3: 3800000}
    assert _kinds.kinds(reports(khz=khz), step=1.13) == ((3,), (0, 1, 2))
    assert _kinds.kinds(reports(khz=khz)) == ((3,), (2,), (1,), (0,))


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
    assert _kinds.processors(text) == expected


@given(st.sets(st.integers(0, 1023), min_size=1))
def test_lists_are_read_as_they_are_written_and_masks_have_their_bits(numbers: set[int]) -> None:
    assert _kinds.processors(_kinds.listed(numbers)) == tuple(sorted(numbers))
    assert {i for i in range(1024) if int(cores.mask(numbers), 16) >> i & 1} == numbers


_LINES = st.from_regex(
    r"(cpu[0-9]+/(cpu_capacity|cpufreq/(cpuinfo_max_freq|related_cpus)):[0-9 ,-]*\n)*", fullmatch=True
)


@given(st.text() | _LINES, st.text() | st.from_regex(r"processor : [0-9]+\nCPU implementer:x\nCPU part:y\n"))
def test_no_text_makes_reading_fail(text: str, cpuinfo_text: str) -> None:
    found = [i for numbers in _kinds.kinds(text, cpuinfo_text) for i in numbers]
    assert all(i < 1024 for i in found)
    assert len(found) == len(set(found))
    _kinds.processors(text)
