"""Anchors: a device that is slower today than for its table is corrected for it, said so, or refused."""

import json
from pathlib import Path

import pytest

import cars_hw
from cars_hw.assembly import make_space
from cars_hw.cli._commands import bench_lines, explained
from cars_hw.latency.anchors import Anchored
from cars_hw.latency.contents import TableContents, network_workload
from latency_tables import LatencyTable, Measurement, OpSpec, SessionSpeed
from profilers import Quality
from tests.fakes import changing_speed
from tests.fakes.changing_speed import ChangingSpeed, usual_s
from tests.fakes.command_line import run
from tests.fakes.configurations import TINIEST

_AT_ONCE = Quality(spread_s=0)
_NETWORK = OpSpec.of("network", (1, 1, 8, 8), digest="g")


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and its table, measured at the usual speed."""
    folder = tmp_path_factory.mktemp("anchors")
    latency = f'device = "fake"\nruntime = "{changing_speed.__name__}"\ntable = "table.jsonl"\n'
    (folder / "search.toml").write_text(f"{TINIEST}[latency]\n{latency}")
    config = cars_hw.SearchConfig.load(folder / "search.toml", {"latency.table": str(folder / "table.jsonl")})
    cars_hw.profile(config, quality=_AT_ONCE)
    return folder


@pytest.fixture
def config(profiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cars_hw.SearchConfig:
    """The configuration in a folder of its own, which is the current one."""
    for name in ("search.toml", "table.jsonl"):
        (tmp_path / name).write_bytes((profiled / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return cars_hw.SearchConfig.load("search.toml")


def _other(config: cars_hw.SearchConfig) -> tuple[int, ...]:
    """Return an architecture that the table was not calibrated by."""
    return TableContents(make_space(config)).validation(1)[0]


def test_a_bench_at_another_speed_gives_the_latency_of_the_tables_day_and_says_how_far_it_is_off(
    config: cars_hw.SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, architecture = make_space(config), _other(config)
    usual_ms = usual_s(network_workload(space, architecture).spec) * 1e3
    monkeypatch.setattr(ChangingSpeed, "factor", 1.1)
    bench = cars_hw.bench_architecture(space, architecture, config, quality=_AT_ONCE)
    assert bench.speed is not None
    assert bench.speed.n == 4
    assert bench.speed.ratio == pytest.approx(1.1)
    assert bench.measured_ms == pytest.approx(usual_ms)
    shown = bench.to_json()
    assert shown["uncorrected_ms"] == pytest.approx(1.1 * usual_ms)
    assert "4 networks of table.jsonl are 10% slower" in bench_lines(bench)[0]
    assert "what was measured is divided by 1.100" in bench_lines(bench)[0]


def test_the_anchors_are_measured_in_turns_with_the_network_that_they_are_for(
    config: cars_hw.SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChangingSpeed, "loaded", [])
    cars_hw.bench_architecture(make_space(config), _other(config), config, quality=_AT_ONCE)
    kinds = [text.partition("[")[0] for text in ChangingSpeed.loaded]
    positions = [i for i, kind in enumerate(kinds) if kind == "network"]
    assert kinds.count("reference") > 2 * len(positions)
    assert any(kind == "reference" for kind in kinds[positions[1] : positions[-1]])


def test_without_a_table_there_are_no_anchors(
    config: cars_hw.SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("table.jsonl").unlink()
    monkeypatch.setattr(ChangingSpeed, "factor", 2.0)
    bench = cars_hw.bench_architecture(make_space(config), _other(config), config, quality=_AT_ONCE)
    assert (bench.speed, bench.to_json()["anchors"], bench.speed_text) == (None, None, "")
    assert bench.measured_ms == bench.measured.latency_s * 1e3


def test_a_device_that_is_too_far_off_is_refused_in_one_line_whose_words_allow_it(
    config: cars_hw.SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChangingSpeed, "factor", 1.4)
    architecture = ".".join(map(str, _other(config)))
    words = ("bench", "--config=search.toml", f"--architecture={architecture}", "--spread-s=0", "--json")
    before = Path("table.jsonl").read_bytes()
    refused = run(*words)
    assert (refused.status, refused.out) == (1, "")
    [line] = refused.err.splitlines()
    assert "4 networks of table.jsonl are 40% slower" in line
    assert line.endswith("or allow speed to have changed: --allow-changed speed")
    allowed = run(*words, "--allow-changed=speed")
    assert json.loads(allowed.out)["anchors"]["ratio"] == pytest.approx(1.4)
    assert Path("table.jsonl").read_bytes() == before


def test_a_validation_at_another_speed_says_of_the_predictions_what_one_at_the_usual_speed_does(
    config: cars_hw.SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = cars_hw.validate(config, quality=_AT_ONCE)
    monkeypatch.setattr(ChangingSpeed, "factor", 0.9)
    later = cars_hw.validate(config, quality=_AT_ONCE, again=True)
    assert usual is not None
    assert later is not None
    assert later.session is not None
    assert later.session.ratio == pytest.approx(0.9)
    assert later.prediction_error.rmspe_percent == pytest.approx(usual.prediction_error.rmspe_percent)
    assert later.prediction_error.bias_percent == pytest.approx(usual.prediction_error.bias_percent)
    assert "10% faster" in str(later)


def test_a_refused_validation_leaves_no_verdict_and_is_measured_anew_the_next_time(
    config: cars_hw.SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChangingSpeed, "factor", 1.3)
    with pytest.raises(cars_hw.ChangedSpeedError) as refused:
        cars_hw.validate(config, quality=_AT_ONCE)
    assert explained(refused.value).endswith(": --allow-changed speed")
    assert LatencyTable.open("table.jsonl").validation is None
    monkeypatch.setattr(ChangingSpeed, "factor", 1.0)
    report = cars_hw.validate(config, quality=_AT_ONCE)
    assert report is not None
    assert report.session is not None
    assert report.session.ratio == pytest.approx(1.0)


def test_the_interval_at_the_tables_speed_holds_the_ratios_uncertainty_too() -> None:
    measured = Measurement(_NETWORK, tuple(1e-3 * (1 + 0.001 * i) for i in range(40)))
    low_s, high_s = measured.interval_s
    found = Anchored(measured, SessionSpeed(4, 1.25, 0.03))
    assert found.latency_s == measured.latency_s / 1.25
    widths = [(found.latency_s - found.interval_s[0]), (found.interval_s[1] - found.latency_s)]
    own = [(measured.latency_s - low_s), (high_s - measured.latency_s)]
    for width, alone in zip(widths, own, strict=True):
        relative = ((alone / measured.latency_s) ** 2 + 0.03**2) ** 0.5
        assert width / found.latency_s == pytest.approx(relative)
    assert Anchored(measured).interval_s == measured.interval_s


def test_a_bound_is_the_upper_end_of_the_interval_at_its_level() -> None:
    anchored = Anchored(Measurement(OpSpec.of("network", (1, 3, 8, 8)), (1e-3,)), None, (0.9e-3, 1.2e-3))
    bounds_ms = [anchored.bound_at(level) * 1e3 for level in (0.0, 0.9, 0.95)]
    assert bounds_ms == pytest.approx([1.0, 1.0 + 0.2 * 1.6449 / 1.9600, 1.2], rel=1e-4)


def test_the_ratio_is_the_median_so_that_one_disturbed_anchor_does_not_move_it() -> None:
    pairs = [
        (Measurement(_NETWORK, (1e-3,)), Measurement(_NETWORK, (1e-3 * factor,)))
        for factor in (1.02, 1.02, 1.02, 3.0)
    ]
    speed = SessionSpeed.of(pairs)
    assert speed.ratio == pytest.approx(1.02)
    assert speed.spread > 0.2, "but its uncertainty is told"
