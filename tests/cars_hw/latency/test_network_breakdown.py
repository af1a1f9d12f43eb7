"""Where the milliseconds of one network go: predicted parts beside those of a profiler."""

import pytest

from cars_hw.latency.network_breakdown import NetworkBreakdown, Part
from latency_tables import OpSpec, Prediction, Term, Unit, unit_text
from profilers import OperatorTime

CONV = Unit("Conv", ((1, 8, 4, 4),), (1, 8, 4, 4), ((8, 8, 3, 3),)).spec()
POINTWISE = Unit("Conv", ((1, 8, 4, 4),), (1, 8, 4, 4), ((8, 8, 1, 1),)).spec()
POOL = Unit("MaxPool", ((1, 8, 4, 4),), (1, 8, 2, 2)).spec()


def predicted(*terms: Term, call_s: float = 1e-6) -> Prediction:
    latency_s = call_s + sum(term.total_s for term in terms)
    return Prediction(latency_s, (latency_s, latency_s), terms)


def term(spec: OpSpec, count: int, us: float, *, is_measured: bool = True) -> Term:
    return Term(spec, count, us * 1e-6, (0.0, us * 2e-6), is_measured)


def times(*pairs: tuple[OpSpec, float]) -> tuple[OperatorTime, ...]:
    return tuple(OperatorTime(Unit.of(spec).operator, us * 1e-6, spec) for spec, us in pairs)


BOTH = NetworkBreakdown(
    measured_s=22e-6,
    at_table_speed_s=20e-6,
    prediction=predicted(term(POOL, 1, 3.0, is_measured=False), term(CONV, 2, 5.0), term(POINTWISE, 1, 4.0)),
    times=times((CONV, 7.0), (POOL, 6.0), (CONV, 8.0), (POINTWISE, 5.0)),
)


def us(part: Part) -> tuple[str, float | None, float | None]:
    return part.name, _us(part.predicted_s), _us(part.profiled_s)


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e6, 9)


def test_each_unit_has_what_is_predicted_beside_what_was_profiled_dearest_first() -> None:
    assert [us(part) for part in BOTH.parts] == [
        (unit_text(CONV), 10.0, 15.0),
        (unit_text(POINTWISE), 4.0, 5.0),
        (unit_text(POOL), 3.0, 6.0),
        ("call", 1.0, None),
    ]
    assert [(part.predicted_count, part.profiled_count) for part in BOTH.parts] == [
        (2, 2),
        (1, 1),
        (1, 1),
        (0, 0),
    ]


def test_the_shares_of_all_classes_make_the_whole() -> None:
    names = [part.unit_class for part in BOTH.by_class]
    assert names == ["convolution", "pointwise", "pool", "call"]
    assert sum(BOTH.predicted_share(part) or 0 for part in BOTH.by_class) == pytest.approx(1)
    assert sum(BOTH.profiled_share(part) or 0 for part in BOTH.by_class) == pytest.approx(1)
    assert (_us(BOTH.predicted_s), _us(BOTH.profiled_s)) == (18.0, 26.0)


def test_what_exceeds_the_rows_is_summed() -> None:
    *_, rest = BOTH.dearest(1)
    assert us(rest) == ("3 others", 8.0, 11.0)
    assert (rest.units, rest.unmeasured) == (2, 1)
    assert BOTH.dearest(4) == BOTH.parts


def test_the_notes_tell_of_units_never_measured_and_of_what_the_profiler_costs() -> None:
    unmeasured, cost = BOTH.notes
    assert unmeasured.startswith("* 1 units were never measured")
    assert "sum is 0.0260 ms, measured without it 0.0220 ms (+18 %): to time" in cost


def test_a_unit_that_the_prediction_lacks_is_a_row_of_its_own() -> None:
    found = NetworkBreakdown(9e-6, 9e-6, predicted(term(CONV, 1, 5.0)), times((CONV, 5.0), (POOL, 1.0)))
    assert us(found.parts[-1]) == (unit_text(POOL), None, 1.0)
    assert "1 of the profiler's rows are none of the predicted units" in found.notes


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("Convolution (NHWC, F32) IGEMM", "convolution"),
        ("Convolution (NHWC, F32) GEMM", "pointwise"),
        ("Convolution (NHWC, F32) DWConv", "depthwise"),
        ("DEPTHWISE_CONV_2D", "depthwise"),
        ("Global Average Pooling (NWC, F32)", "pool"),
        ("MAX_POOL_2D", "pool"),
        ("ReorderInput", "reorder"),
        ("BatchNormalization", "norm"),
        ("TfLiteXNNPackDelegate", "rest"),
    ],
)
def test_an_operator_without_a_unit_has_the_class_that_its_name_means(operator: str, expected: str) -> None:
    found = NetworkBreakdown(2e-6, 2e-6, times=(OperatorTime(operator, 1e-6), OperatorTime(operator, 2e-6)))
    [part] = found.parts
    assert (part.unit_class, part.profiled_count, part.spec) == (expected, 2, None)


def test_a_prediction_by_operations_says_that_its_rows_are_not_the_profilers() -> None:
    operation = OpSpec.of("sep_conv", (1, 8, 4, 4))
    found = NetworkBreakdown(9e-6, 9e-6, predicted(term(operation, 1, 8.0)), times((CONV, 7.0)))
    assert [part.unit_class for part in found.by_class] == ["sep_conv", "call", "convolution"]
    assert found.notes[0].startswith("the table is of operations")


def test_a_prediction_from_whole_networks_has_no_parts_and_says_so() -> None:
    found = NetworkBreakdown(9e-6, 9e-6, predicted(), (), "it has no profiler")
    assert (found.parts, found.predicted_s, found.profiled_s) == ((), None, None)
    assert found.notes == (
        "the table is of whole networks: of their parts it predicts nothing",
        "no profile: it has no profiler",
    )


def test_json_has_every_part_by_name_in_milliseconds() -> None:
    told = BOTH.to_json()
    assert told["predicted_ms"] == pytest.approx(0.018)
    assert told["uncorrected_ms"] == pytest.approx(0.022)
    parts = told["parts"]
    assert isinstance(parts, list)
    assert len(parts) == 4
    assert parts[0] == {
        "name": unit_text(CONV),
        "class": "convolution",
        "spec": str(CONV),
        "units": 1,
        "unmeasured": 0,
        "predicted_count": 2,
        "predicted_ms": pytest.approx(0.010),
        "predicted_share": pytest.approx(10 / 18),
        "profiled_count": 2,
        "profiled_ms": pytest.approx(0.015),
        "profiled_share": pytest.approx(15 / 26),
    }
