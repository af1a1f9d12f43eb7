"""Numbers that stay on the device until one of them is asked for."""

import pytest
import torch

from cars_hw.weights.stepping.readings import Readings


def test_a_number_is_what_it_was_when_it_was_entered() -> None:
    readings = Readings()
    first, second = (readings.add(torch.tensor(value)) for value in (1.5, float("nan")))
    assert repr(first) == "<a number on the device>"
    assert float(first) == 1.5
    assert len(readings) == 0
    assert second.value is not None
    assert str(float(second)) == "nan"


def test_a_number_whose_reading_failed_is_no_nan_and_is_read_again() -> None:
    """A step whose loss is NaN counts as skipped; one whose loss could not be read must not."""
    readings = Readings()
    reading = readings.add(torch.zeros((), device="meta"))
    for _ in range(2):
        with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
            float(reading)
    assert len(readings) == 1
