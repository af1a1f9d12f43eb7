"""Who a phone is, and that its serial number stays with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices._android import identity
from tests.fakes.played_phone import SERIAL, TEXTS


def told(version: int) -> dict[str, str]:
    return identity.properties((TEXTS / f"getprop-{version}.txt").read_text())


def test_a_phone_names_maker_model_chip_and_build() -> None:
    found = told(13)
    assert identity.model(found) == "Google Pixel 6"
    assert identity.chip(found) == "Google Tensor"
    assert identity.build(found).startswith("Android 13 (google/oriole/oriole:13/")
    assert identity.sdk(found) == 33


def test_before_android_12_the_board_stands_for_the_chip() -> None:
    assert identity.chip(told(9)) == "msm8998"


def test_a_maker_in_the_models_name_is_not_said_twice() -> None:
    assert identity.model(told(9)) == "Example EX-1"


@pytest.mark.parametrize("text", ["", "garbage", "[ro.serialno]: [", "ro.product.model: Pixel"])
def test_a_phone_that_tells_nothing_has_empty_names(text: str) -> None:
    found = identity.properties(text)
    assert (identity.model(found), identity.chip(found), identity.build(found)) == ("", "", "")
    assert (identity.sdk(found), identity.serial_hash(found)) == (0, "")


def test_the_hash_tells_phones_apart_and_hides_their_numbers() -> None:
    mine = identity.serial_hash(told(13))
    assert mine == identity.serial_hash({"ro.boot.serialno": SERIAL})
    assert mine != identity.serial_hash(told(9))
    assert len(mine) == 16
    assert SERIAL.lower() not in mine


def test_names_are_of_one_bounded_line() -> None:
    name = identity.model({"ro.product.model": "Pixel\x1b[31m\r\n6" + "x" * 5000})
    assert name.startswith("Pixel [31m 6x")
    assert len(name) == 120


@given(st.text())
def test_no_text_makes_reading_fail(text: str) -> None:
    found = identity.properties(text)
    for read in (identity.model, identity.chip, identity.build, identity.sdk):
        read(found)
