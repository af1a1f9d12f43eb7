"""The demo's two measurements of one network are held against each other by both of their intervals."""

import pytest

from cars_hw.cli._demo_steps import Remeasured
from cars_hw.results.bench import Bench
from latency_tables import Measurement, OpSpec, SessionSpeed

_NETWORK = OpSpec.of("network", (1, 1, 8, 8), digest="g")


def _bench(latency_ms: float, ratio: float, spread: float) -> Bench:
    measured = Measurement(_NETWORK, (latency_ms * ratio * 1e-3,))
    return Bench("knee.onnx", measured, None, speed=SessionSpeed(4, ratio, spread))


@pytest.mark.parametrize(
    ("again_ms", "is_inside"), [(1.04, True), (1.06, False), (0.97, True), (0.94, False)]
)
def test_two_measurements_agree_where_both_intervals_together_allow_their_difference(
    again_ms: float, is_inside: bool
) -> None:
    found = Remeasured(1.0, (0.97, 1.03), _bench(again_ms, 1.1, 0.04))  # 0.03 and 0.04: 0.05 together
    assert found.difference_percent == pytest.approx((again_ms - 1) * 100)
    assert found.is_inside == is_inside
    assert found.to_json()["is_inside_interval"] == is_inside
