"""Which members of a front are taken home."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw.candidate import Candidate, Front
from cars_hw.results.picks import expanded, file_stem, named_picks, pick, reason, spread
from devices.foundation.errors import ConfigError, UnknownNameError

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
    assert pick(Front(_FRONT, _NAMES), choice).architecture == (architecture,)


def test_the_knee_does_not_depend_on_units() -> None:
    scaled = [Candidate(m.architecture, (m.costs[0], m.costs[1] * 1e6, m.costs[2] * 1e-6)) for m in _FRONT]
    assert pick(Front(scaled, _NAMES), "knee").architecture == (1,)


def test_a_front_of_one_is_every_pick() -> None:
    for choice in ("knee", "most-accurate", "fastest", "smallest", "0"):
        assert pick(Front(_FRONT[:1], _NAMES), choice) is _FRONT[0]


def test_an_unknown_pick_or_number_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fastest'"):
        pick(Front(_FRONT, _NAMES), "fast")
    with pytest.raises(ConfigError, match="members 0 to 3"):
        pick(Front(_FRONT, _NAMES), "4")


@pytest.mark.parametrize("choice", ["0000000005", "10000000000", "9" * 5000])
def test_a_number_of_any_length_is_compared_as_a_whole(choice: str) -> None:
    with pytest.raises(ConfigError, match="members 0 to 3"):
        pick(Front(_FRONT, _NAMES), choice)
    assert pick(Front(_FRONT, _NAMES), "0000000003") is _FRONT[3]
    assert pick(Front(_FRONT, _NAMES), "0000000000") is _FRONT[0]


def test_a_number_in_other_digits_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        pick(Front(_FRONT, _NAMES), "\N{ARABIC-INDIC DIGIT ZERO}" * 9 + "5")


def test_a_pick_by_a_cost_that_was_not_minimised_is_refused() -> None:
    with pytest.raises(ConfigError, match="did not minimise latency_ms"):
        pick(Front(_FRONT, ("error", "parameters", "macs")), "fastest")


@pytest.mark.parametrize(
    ("choice", "architecture"),
    [
        ("latency_ms<=1.15", 2),
        ("latency_ms<=1.2", 1),
        (" latency_ms  <= 1.2", 1),
        ("error<=0.11", 0),
        ("parameters<=2e2", 2),
        ("latency_ms<=1.05 and parameters<=300", 3),
        ("latency_ms<=3 and latency_ms<=1.1", 2),
    ],
)
def test_the_most_accurate_within_limits_is_found(choice: str, architecture: int) -> None:
    assert pick(Front(_FRONT, _NAMES), choice).architecture == (architecture,)


def test_limits_are_on_the_latency_of_any_target() -> None:
    front = Front(_FRONT, ("error", "latency_ms.old", "latency_ms.new-1"))
    assert pick(front, "latency_ms.old<=300 and latency_ms.new-1<=1.1").architecture == (2,)
    with pytest.raises(ConfigError, match=r"within latency_ms<=3; it minimised error, latency_ms\.old"):
        pick(front, "latency_ms<=3")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("latency_ms<=0.08", "latency_ms<=0.08; the smallest there is: latency_ms 1; raise the limit"),
        (
            "error<=0.2 and latency_ms<=0.08",
            "error<=0.2 and latency_ms<=0.08; the smallest there is: latency_ms 1; raise the limit",
        ),
        (
            "error<=0.2 and latency_ms<=1.1",
            "each limit is met, but not all by one member; the smallest there is: error 0.1 and latency_ms 1",
        ),
        (
            "macs<=1e6",
            "the search did not minimise macs, so that nothing is known to be within macs<=1000000;",
        ),
        *(
            (text, f"pick '{text}' sets no limit; write 'latency_ms<=0.08'")
            for text in (
                "latency_ms<0.08",
                "latency_ms>=0.08",
                "latency_ms=0.08",
                "latency_ms<=",
                "<=0.08",
                "latency_ms<=nan",
                "latency_ms<=1e999",
                "latency_ms<=1, error<=1",
                "latency_ms<=1 and knee",
                "latency_ms<=\N{ARABIC-INDIC DIGIT SIX}",
            )
        ),
    ],
)
def test_limits_that_are_none_or_that_nobody_is_within_are_refused_in_a_line(
    choice: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        pick(Front(_FRONT, _NAMES), choice)
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


#: As measured: member 1 is faster and more accurate than 2, which is smaller; 4 is dominated in all costs.
_MEASURED = (
    Candidate((0,), (0.10, 900.0, 3.0)),
    Candidate((1,), (0.14, 400.0, 1.3)),
    Candidate((2,), (0.15, 300.0, 1.4)),
    Candidate((3,), (0.30, 100.0, 1.1)),
    Candidate((4,), (0.31, 950.0, 9.0)),
)


def test_the_knee_is_not_slower_and_less_accurate_than_another_as_measured() -> None:
    assert pick(Front(_MEASURED, _NAMES), "knee").architecture == (2,)
    assert pick(Front(_MEASURED, _NAMES, measured=["latency_ms"]), "knee").architecture == (1,)


@given(
    st.lists(st.tuples(*[st.integers(0, 6).map(float)] * 3), min_size=1, max_size=9),
    st.sampled_from(["knee", "fastest", "smallest", "most-accurate", "latency_ms<=6", "spread:2"]),
)
def test_no_pick_is_dominated_in_measured_costs(costs: list[tuple[float, float, float]], choice: str) -> None:
    members = [Candidate((i,), each) for i, each in enumerate(costs)]
    front = Front(sorted(members, key=lambda one: one.costs), _NAMES, measured=["latency_ms"])
    for one in expanded(front, [choice]):
        found = pick(front, one).costs
        assert not any(_dominates(other.costs, found) for other in front)
        if choice == "knee":
            assert not any(_dominates(other.costs[::2], found[::2]) for other in front)


def _dominates(better: tuple[float, ...], worse: tuple[float, ...]) -> bool:
    return better != worse and all(a <= b for a, b in zip(better, worse, strict=True))


def test_dominated_members_neither_stretch_the_scale_nor_are_spread_over() -> None:
    front = Front(_MEASURED, _NAMES, measured=["latency_ms"])
    assert spread(front, 9) == [0, 1, 2, 3]
    assert pick(Front(_MEASURED[:4], _NAMES, measured=["latency_ms"]), "knee") is pick(front, "knee")


def test_each_pick_says_why_it_is_this_member() -> None:
    front = Front(_MEASURED, _NAMES, measured=["latency_ms"])
    knee = reason(front, "knee")
    assert knee.startswith(
        "the closest to the least of each cost: error, parameters, latency_ms (measured), "
    )
    assert "among the 3 of 5 members that no other is better than in error and measured latency" in knee
    distances = [math.hypot(0.2, 0.375, 0.2 / 1.9), math.hypot(1.0, 0.0, 0.0)]
    assert f"its distance is {distances[0]:.3f}, that of the next, member 3, {distances[1]:.3f}" in knee
    assert reason(front, "fastest") == "the least latency_ms of 5 members"
    assert reason(front, "latency_ms<=1.4") == "the least error of the 3 of 5 members with latency_ms<=1.4"
    assert reason(front, "3") == "chosen by its number"
    assert reason(Front(_MEASURED[:1], _NAMES), "knee").endswith("each scaled to 0..1")


def test_every_cost_of_a_front_has_a_word_that_picks_by_it() -> None:
    names = ("error", "latency_ms.old", "my_lab.bytes")
    found = named_picks(Front(_FRONT, names))
    assert list(found) == ["knee", "most-accurate", "fastest.old", "least:my_lab.bytes"]
    assert all(_FRONT[number] is pick(Front(_FRONT, names), choice) for choice, number in found.items())


@pytest.mark.parametrize(
    ("choice", "stem"),
    [
        ("latency_ms<=0.08", "latency_ms-0.08"),
        ("latency_ms <= 8e-2 and parameters<=1e6", "latency_ms-0.08-and-parameters-1000000"),
        ("../../x,y<=1e30", "x-y-1e30"),
        ("7", "member-007"),
        ("knee", "knee"),
        ("least:parameters", "least:parameters"),
        ("least:../x", "least:..-x"),
    ],
)
def test_files_of_a_pick_have_a_safe_name(choice: str, stem: str) -> None:
    assert file_stem(choice) == stem


def test_limits_are_spelled_in_one_way() -> None:
    assert expanded(_FRONT, ["latency_ms <=.50", "latency_ms<=5e-1"]) == ["latency_ms<=0.5"]


def line(*positions: float) -> list[Candidate]:
    """A front on a straight line: where one cost grows, the other falls as much."""
    return [Candidate((i,), (0.1 + 0.2 * t, 1e6 * (5 - 4 * t))) for i, t in enumerate(positions)]


def test_a_spread_over_a_dense_front_is_even() -> None:
    dense = line(*np.linspace(0, 1, 31))
    assert spread(dense, 2) == [0, 30]
    assert spread(dense, 3) == [0, 15, 30]
    assert spread(dense, 4) == [0, 10, 20, 30]
    assert spread(dense, 6) == [0, 6, 12, 18, 24, 30]


def test_no_half_of_the_front_is_dropped() -> None:
    """The released code leaves out everything below half of the range of accuracy."""
    chosen = spread(line(*np.linspace(0, 1, 31)), 5)
    assert sum(i > 15 for i in chosen) == sum(i < 15 for i in chosen) == 2


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_smallest_is_chosen_and_so_is_the_most_accurate(n: int) -> None:
    """The released code never chooses the smallest, for its bins are open below."""
    assert {0, 4} <= set(spread(line(0, 0.1, 0.4, 0.8, 1), n))


def test_with_more_costs_the_best_of_each_is_chosen() -> None:
    assert spread(_FRONT, 3) == [0, 2, 3]
    assert spread(_FRONT, 2) == [0, 2]
    assert spread(_FRONT, 1) == [0]


def test_a_gap_in_the_front_chooses_nobody_in_its_stead() -> None:
    """The released code takes the first member for every empty bin."""
    assert spread(line(0, 0.01, 0.02, 0.9, 1), 4) == [0, 2, 3, 4]


def test_nobody_is_chosen_twice() -> None:
    """The released code can."""
    twins = [*line(0, 0.5, 0.5, 1), *line(0.5)]
    for n in range(1, 8):
        chosen = spread(twins, n)
        assert len(set(chosen)) == len(chosen) == min(n, 5)


def test_a_front_without_extent_is_spread_over() -> None:
    assert len(set(spread(line(0.3, 0.3, 0.3), 2))) == 2


def test_a_spread_does_not_depend_on_units() -> None:
    scaled = [Candidate(m.architecture, (m.costs[0], m.costs[1] * 1e6, m.costs[2] * 1e-6)) for m in _FRONT]
    assert spread(scaled, 3) == spread(_FRONT, 3)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=12, unique_by=lambda t: round(t, 6)), st.integers(3, 5))
def test_the_smallest_gap_is_near_the_largest_possible(positions: list[float], n: int) -> None:
    """Against all ways to choose; exchanges end in a local optimum, which is at least half as good."""
    front = line(*sorted(positions))

    def gap(numbers: tuple[int, ...]) -> float:
        chosen = sorted(positions)
        return min(chosen[b] - chosen[a] for a, b in itertools.pairwise(numbers))

    if n < len(front):
        inner = itertools.combinations(range(1, len(front) - 1), n - 2)
        best = max(gap((0, *middle, len(front) - 1)) for middle in inner)
        assert gap(tuple(spread(front, n))) >= best / 2 - 1e-6 * math.sqrt(2)


def test_choices_expand_to_members_each_once() -> None:
    assert expanded(_FRONT, ["knee", "spread:3", "3", "fastest"]) == ["knee", "0", "2", "3", "fastest"]
    assert expanded(_FRONT, ["all"]) == ["0", "1", "2", "3"]
    assert expanded(_FRONT, ["spread:00099999999999999"]) == ["0", "1", "2", "3"]
    assert expanded(_FRONT, []) == []


@pytest.mark.parametrize(
    "choice",
    ["spread:", "spread:0", "spread:-1", "spread:six", "spread:1.5", "spread:\N{ARABIC-INDIC DIGIT SIX}"],
)
def test_a_spread_over_no_number_of_members_is_refused(choice: str) -> None:
    with pytest.raises(ConfigError, match="write spread:6 for six"):
        expanded(_FRONT, [choice])
