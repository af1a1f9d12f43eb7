"""What tests say of entries of a table: all measured, or all failed, else why not."""

import pytest

from cars_hw.testing._entries import failed, measured
from latency_tables.measurement import Failure, FailureStatus, Measurement
from latency_tables.spec import OpSpec

_SPEC = OpSpec.of("relu", (1, 8, 4, 4))
_MEASUREMENT = Measurement(_SPEC, (2e-3, 2e-3))
_FAILURE = Failure(_SPEC, FailureStatus.CRASHED, "the process died")


def test_a_failure_among_measurements_ends_a_test_with_its_reason() -> None:
    assert measured([_MEASUREMENT]) == [_MEASUREMENT]
    with pytest.raises(AssertionError, match=r"relu.* failed: crashed: the process died"):
        measured([_MEASUREMENT, _FAILURE])


def test_a_measurement_among_failures_ends_a_test_with_its_latency() -> None:
    assert failed([_FAILURE]) == [_FAILURE]
    with pytest.raises(AssertionError, match=r"relu.* was measured: 2 ms"):
        failed([_FAILURE, _MEASUREMENT])
