"""The demo: how it validates its table, and two measurements of one network held against each other."""

from pathlib import Path

import pytest

import cars_hw
from cars_hw.cli._demo_steps import Remeasured, validate
from cars_hw.latency.model import trust
from cars_hw.results.bench import Bench
from latency_tables import LatencyTable, Measurement, OpSpec, SessionSpeed
from profilers import Quality
from tests.fakes import changing_speed
from tests.fakes.changing_speed import ChangingSpeed
from tests.fakes.configurations import TINIEST

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


def test_the_demo_validates_its_table_by_a_few_networks_or_says_why_not_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    latency = f'device = "fake"\nruntime = "{changing_speed.__name__}"\ntable = "table.jsonl"\n'
    Path("search.toml").write_text(f"{TINIEST}[latency]\n{latency}")
    config = cars_hw.SearchConfig.load("search.toml")
    cars_hw.profile(config, quality=Quality(spread_s=0))
    monkeypatch.setattr(ChangingSpeed, "factor", 1.5)
    validate(config)
    assert "table.jsonl: it was not validated: 4 networks of table.jsonl are 50% slower" in _said(capsys)
    assert not trust(LatencyTable.open("table.jsonl")).is_validated
    monkeypatch.setattr(ChangingSpeed, "factor", 1.1)
    validate(config)
    assert "table.jsonl: validated on 6 whole networks: RMSPE" in _said(capsys)
    assert trust(LatencyTable.open("table.jsonl")).is_validated
    monkeypatch.setattr(ChangingSpeed, "loaded", [])
    validate(config)
    assert ChangingSpeed.loaded == [], "what is validated is not measured again"
    assert "validated on 6 whole networks" in _said(capsys)


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was written to standard error, on one line however wide the terminal is."""
    return " ".join(capsys.readouterr().err.split())
