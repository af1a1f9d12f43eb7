import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw.errors import ArchitectureError
from cars_hw.networks import architecture

CHOICES = (3, 1, 7)


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=30).flatmap(
        lambda choices: st.tuples(st.just(choices), st.tuples(*(st.integers(0, n - 1) for n in choices)))
    )
)
def test_the_text_form_reads_back(space_and_member: tuple[list[int], tuple[int, ...]]) -> None:
    choices, member = space_and_member
    assert architecture.from_text(architecture.to_text(member), choices) == member


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "2.0",
        "2.0.6.0",
        "2.0.7",
        "3.0.6",
        "-1.0.6",
        "2.0.6 ",
        "a.0.6",
        "2.0.²",
        "2.0.٣",
        "2.0.1000000000",
    ],
)
def test_text_of_no_member_is_refused(text: str) -> None:
    with pytest.raises(ArchitectureError):
        architecture.from_text(text, CHOICES)


def test_hostile_text_is_neither_parsed_nor_repeated_in_the_message() -> None:
    with pytest.raises(ArchitectureError) as caught:
        architecture.from_text("9" * 1_000_000, CHOICES)
    assert len(str(caught.value)) < 200


def test_an_option_out_of_range_is_named_with_its_decision() -> None:
    with pytest.raises(ArchitectureError, match=r"option 7 of decision 2 is not in 0\.\.6"):
        architecture.checked((0, 0, 7), CHOICES)
