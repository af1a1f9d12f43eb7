"""Measuring during a search: written before it is used, replayed by a resume, never more than the budget."""

import itertools
import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue, TypeAdapter

import cars_hw
import devices
from cars_hw.candidate import Candidate
from cars_hw.config import LatencySection, SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.evolution.screening import Screen
from cars_hw.latency.contents import TableContents, network_workload
from cars_hw.latency.model import latency_model
from cars_hw.latency.prediction import UnitPredictor
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Latency
from cars_hw.runs import MeasuredTarget, MeasurementFile, SearchMeasuring, require_measurable
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.saving.record import Generation, read_record
from cars_hw.search import Schedule, Search
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.strategies._strategy import unconstrained
from cars_hw.strategies.cars import Cars
from cars_hw.testing._tabular import CurveTrainer, Killed, KillingClock
from devices.foundation import ConfigError
from latency_tables import Failure, FailureStatus, LatencyTable, Measurement, TableHeader
from profilers import Quality, Setup
from tests.fakes import changing_speed
from tests.fakes.changing_speed import ChangingSpeed, usual_s

_SPACE = Nasbench201(deploy="search", channels=2, cells=1, image_size=8, image_channels=1)
_SECTION = LatencySection(device="fake", runtime=changing_speed.__name__)
_SETUP = Setup(_SECTION.device, _SECTION.runtime)
_GENERATIONS = 3


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """A table of what everything takes at the usual speed."""
    with devices.connect("fake") as device:
        made = LatencyTable.in_memory(TableHeader(device.info(), changing_speed.__name__, "0", 1))
    made.add(*(Measurement(spec, (usual_s(spec),) * 3) for spec in TableContents(_SPACE).specs))
    return made


@pytest.fixture(scope="module")
def unit_table(tmp_path_factory: pytest.TempPathFactory) -> LatencyTable:
    """A table of the units of the same networks, measured at the usual speed."""
    path = tmp_path_factory.mktemp("units") / "latency.jsonl"
    config: dict[str, JsonValue] = {
        f"space.{name}": value for name, value in _SPACE.settings.values().items()
    }
    config |= {"space.name": _SPACE.name, "latency.table": str(path)}
    config |= {"latency.device": _SECTION.device, "latency.runtime": _SECTION.runtime}
    cars_hw.profile(SearchConfig.load(None, config), quality=Quality(spread_s=0))
    return LatencyTable.open(path)


@pytest.fixture(params=["table", "unit_table"])
def either(request: pytest.FixtureRequest) -> LatencyTable:
    """A table of operations, and one of units."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, LatencyTable)
    return found


def _file(folder: Path) -> MeasurementFile:
    return MeasurementFile(folder / "measurements.jsonl", "this run", _SPACE.choices)


def _latency(table: LatencyTable) -> Latency:
    return Latency(latency_model(_SPACE, table, _SETUP))


def _measuring(
    folder: Path,
    table: LatencyTable,
    latency: Latency,
    *,
    budget_s: float = 600.0,
    section: LatencySection = _SECTION,
    seconds: Callable[[], float] = lambda: 0.0,
) -> SearchMeasuring:
    """Return a measuring that takes no seconds by its own clock."""
    return SearchMeasuring(
        _file(folder),
        _SPACE,
        [MeasuredTarget.of(_SPACE, "latency_ms", section, table)],
        {"latency_ms": latency},
        generations=_GENERATIONS,
        budget_s=budget_s,
        quality=Quality(spread_s=0),
        clock=seconds,
    )


def _search(
    folder: Path,
    table: LatencyTable,
    *,
    latency: Latency | None = None,
    screen: Screen | None = None,
    measuring: SearchMeasuring | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Search:
    folder.mkdir(exist_ok=True)
    trainer, latency = CurveTrainer(), latency or _latency(table)
    return Search(
        trainer,
        Cars(_SPACE, np.random.default_rng(0), population_size=6),
        [Error(trainer), latency],
        Schedule(warm_up_steps=2, steps=2, generations=_GENERATIONS),
        checkpoints=CheckpointFolder(folder / "checkpoints", within=folder),
        screen=screen or _screen(latency),
        measuring=measuring or _measuring(folder, table, latency),
        clock=clock,
    )


def _nothing() -> None:
    """Let the measuring go on."""


def _screen(latency: Latency) -> Screen:
    return Screen([latency], violation=unconstrained, pool_size=12)


def _outcome(generation: Generation) -> tuple[object, ...]:
    return generation.index, generation.population, generation.front


def _usual_ms(architecture: Architecture) -> float:
    return usual_s(network_workload(_SPACE, architecture).spec) * 1e3


class _CountingClock:
    """A clock that stands still, and counts the looks at it."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return 0.0


def _check_killed(folder: Path, table: LatencyTable, safe_points: Sequence[int], expected: Search) -> None:
    """Check that a search killed at each of ``safe_points``, and resumed, ends as ``expected`` did."""
    for safe_point in safe_points:
        killed = folder / f"killed{safe_point}"
        with pytest.raises(Killed):
            list(_search(killed, table, clock=KillingClock(safe_point)).run())
        resumed = _search(killed, table)
        resumed.resume()
        list(resumed.run())
        assert list(map(_outcome, resumed.history)) == list(map(_outcome, expected.history)), safe_point
        assert resumed.strategy.state() == expected.strategy.state()
        assert _file(killed).read() == _file(folder / "straight").read()


def test_a_search_that_is_killed_while_it_measures_ends_as_one_that_was_not(
    either: LatencyTable, tmp_path: Path
) -> None:
    clock = _CountingClock()
    straight = _search(tmp_path / "straight", either, clock=clock)
    list(straight.run())
    assert [one.generation for one in _file(tmp_path / "straight").read()] == [2, 3]
    # Most safe points lie between the blocks of the two measurings; the last one ends just before the end.
    _check_killed(tmp_path, either, [clock.looks - 10, clock.looks // 2], straight)


@pytest.mark.slow
def test_a_search_with_a_budget_that_is_killed_anywhere_ends_as_one_that_was_not(
    table: LatencyTable, tmp_path: Path
) -> None:
    clock = _CountingClock()
    straight = _search(tmp_path / "straight", table, clock=clock)
    list(straight.run())
    points = np.linspace(1, clock.looks - 4, 30).astype(int).tolist()
    _check_killed(tmp_path, table, points, straight)


def test_what_was_written_before_a_kill_is_used_again_and_not_measured_again(
    either: LatencyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = _search(tmp_path / "straight", either)
    list(straight.run())
    written = (tmp_path / "straight" / "measurements.jsonl").read_bytes()
    shutil.rmtree(tmp_path / "straight" / "checkpoints" / "0003")  # killed before its checkpoint was
    monkeypatch.setattr(ChangingSpeed, "factor", 1.2)  # what is measured now would be otherwise
    monkeypatch.setattr(ChangingSpeed, "loaded", [])
    latency = _latency(either)
    measuring = _measuring(tmp_path / "straight", either, latency, budget_s=0.0)
    resumed = _search(tmp_path / "straight", either, latency=latency, measuring=measuring)
    assert resumed.resume()
    assert [generation.index for generation in resumed.run()] == [3]
    assert list(map(_outcome, resumed.history)) == list(map(_outcome, straight.history))
    assert (tmp_path / "straight" / "measurements.jsonl").read_bytes() == written
    assert ChangingSpeed.loaded == []


def test_a_checkpoint_names_the_measurings_that_it_has_used(table: LatencyTable, tmp_path: Path) -> None:
    used = []
    search = _search(tmp_path, table)
    for _ in search.run():
        checkpoint = CheckpointFolder(tmp_path / "checkpoints").load_newest()
        assert checkpoint is not None
        used.append(read_record(checkpoint).measured)
        assert ("measured" in checkpoint.values) == bool(used[-1])
    assert used == [(), (), (0,), (0, 1)]


def test_members_are_measured_and_every_known_cost_is_asked_anew(table: LatencyTable, tmp_path: Path) -> None:
    latency = _latency(table)
    screen = _screen(latency)
    *_, second = itertools.islice(_search(tmp_path, table, latency=latency, screen=screen).run(), 3)
    [session] = _file(tmp_path).read()
    learnt = TypeAdapter(tuple[Candidate, ...]).validate_python(screen.state())
    assert len(learnt) >= 6
    for member in (*second.population, *second.front, *learnt):
        assert member.costs[1] == latency(member.architecture)
    former = _latency(table)
    for architecture, measured in session.latencies.items():
        assert measured.latency_s * 1e3 == pytest.approx(_usual_ms(architecture))
        now, then = latency.prediction(architecture), former.prediction(architecture)
        assert now.relative_half_width < then.relative_half_width
        true_s = measured.latency_s
        assert abs(now.latency_s - true_s) < abs(then.latency_s - true_s)


def test_a_correction_by_units_renews_the_cheap_sums_and_every_cost_that_is_kept(
    unit_table: LatencyTable, tmp_path: Path
) -> None:
    latency = _latency(unit_table)
    screen = _screen(latency)
    *_, second = itertools.islice(_search(tmp_path, unit_table, latency=latency, screen=screen).run(), 3)
    [session] = _file(tmp_path).read()
    learnt = TypeAdapter(tuple[Candidate, ...]).validate_python(screen.state())
    for member in (*second.population, *second.front, *learnt):
        assert member.costs[1] == latency(member.architecture)
    former, rng = _latency(unit_table), np.random.default_rng(0)
    assert isinstance(former.predictor, UnitPredictor)
    measured = [(one, found.latency_s) for one, found in session.latencies.items()]
    corrected = Latency(former.predictor.with_networks(measured))
    known, others = {one.architecture: one.costs[1] for one in learnt}, [_SPACE.sample(rng) for _ in range(5)]
    assert [latency(one) for one in others] == [corrected(one) for one in others]
    sums = [cost.estimator(known) for cost in (latency, corrected, former)]
    now, expected, then = ([estimate(one) for one in others] for estimate in sums)
    assert now == expected
    assert now != then
    assert now != [latency(one) for one in others], "sums, which take no counting"


def test_the_four_members_with_the_relatively_widest_predictions_are_measured_and_none_twice(
    table: LatencyTable, tmp_path: Path
) -> None:
    latency, rng = _latency(table), np.random.default_rng(0)
    measuring, front = _measuring(tmp_path, table, latency), [_SPACE.sample(rng) for _ in range(6)]
    widest = sorted(front, key=lambda one: -latency.prediction(one).relative_half_width)
    assert not measuring.corrects(1, front, before_run=_nothing), "a front that is random still"
    assert measuring.corrects(2, front, before_run=_nothing)
    assert measuring.corrects(3, front, before_run=_nothing), "the last generation"
    assert [set(session.networks) for session in _file(tmp_path).read()] == [set(widest[:4]), set(widest[4:])]


def test_a_long_search_measures_at_generations_ever_farther_apart(
    table: LatencyTable, tmp_path: Path
) -> None:
    measuring, rng = _measuring(tmp_path, table, _latency(table)), np.random.default_rng(0)
    measured = [n for n in range(20) if measuring.corrects(n, [_SPACE.sample(rng)], before_run=_nothing)]
    assert measured == [2, 3, 4, 8, 16], "3 is the last one that is planned"


def test_measurings_at_another_speed_correct_by_what_the_anchors_say(
    table: LatencyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = _search(tmp_path / "usual", table)
    list(usual.run())
    monkeypatch.setattr(ChangingSpeed, "factor", 1.2)
    slower = _search(tmp_path / "slower", table)
    list(slower.run())
    ratios = [session.speed.ratio for session in _file(tmp_path / "slower").read() if session.speed]
    assert ratios == pytest.approx([1.2, 1.2])
    for one, other in zip(usual.history, slower.history, strict=True):
        assert [member.architecture for member in one.front] == [
            member.architecture for member in other.front
        ]
        assert np.allclose(
            [member.costs for member in one.front], [member.costs for member in other.front], rtol=1e-9
        )


def test_a_search_goes_on_without_a_device_that_is_too_far_off(
    table: LatencyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ChangingSpeed, "factor", 1.5)
    with caplog.at_level(logging.WARNING):
        assert len(list(_search(tmp_path, table).run())) == _GENERATIONS + 1
    assert not _file(tmp_path).path.exists()
    assert (
        "nothing was measured after generation 2: 4 networks of latency.jsonl are 50% slower" in caplog.text
    )


@pytest.mark.parametrize(
    ("budget_s", "section"),
    [(0.0, _SECTION), (600.0, _SECTION.model_copy(update={"allow_changed": ("device",)}))],
    ids=["no budget", "a device elsewhere"],
)
def test_nothing_is_measured_without_a_budget_or_a_device(
    budget_s: float, section: LatencySection, table: LatencyTable, tmp_path: Path
) -> None:
    measuring = _measuring(tmp_path, table, _latency(table), budget_s=budget_s, section=section)
    assert not measuring.corrects(2, [_SPACE.sample(np.random.default_rng(0))], before_run=_nothing)
    assert not _file(tmp_path).path.exists()


def test_a_budget_that_is_spent_ends_the_measuring(table: LatencyTable, tmp_path: Path) -> None:
    ticks, rng = (
        itertools.count(step=10),
        np.random.default_rng(0),
    )  # a session takes ten seconds by this clock
    measuring = _measuring(tmp_path, table, _latency(table), budget_s=5.0, seconds=lambda: float(next(ticks)))
    assert measuring.corrects(2, [_SPACE.sample(rng)], before_run=_nothing)
    assert not measuring.corrects(3, [_SPACE.sample(rng)], before_run=_nothing)
    assert [(one.generation, one.seconds) for one in _file(tmp_path).read()] == [(2, 10.0)]


def test_a_checkpoint_whose_measurings_are_gone_is_refused(table: LatencyTable, tmp_path: Path) -> None:
    list(_search(tmp_path, table).run())
    _file(tmp_path).path.unlink()
    with pytest.raises(CheckpointError, match="lacks 2 of the 2 measurings"):
        _search(tmp_path, table).resume()


def test_measurements_come_back_as_they_were_written(table: LatencyTable, tmp_path: Path) -> None:
    list(_search(tmp_path, table).run())
    [first, second] = _file(tmp_path).read()
    [network, *_] = first.networks
    failed = Failure(network_workload(_SPACE, network).spec, FailureStatus.CRASHED, "it broke")
    other = MeasurementFile(tmp_path / "copy.jsonl", "this run", _SPACE.choices)
    with_failure = replace(second, networks={**second.networks, network: failed}, speed=None)
    for session in (first, with_failure):
        other.append(session)
    assert other.read() == [first, with_failure]
    assert network not in other.read()[1].latencies


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda content: content.replace(b'"generation":2', b'"generation":7'), "is damaged at line 2"),
        (lambda content: content.replace(b"this run", b"that run"), "is damaged at line 1"),
        (lambda content: b"", "is damaged at line 1: the file is empty"),
        (lambda content: content.split(b"\n")[1] + b"\n", "holds no measurements of a run"),
    ],
    ids=["a figure", "the run's name", "emptied", "its first line is gone"],
)
def test_measurements_that_were_changed_are_refused_in_one_line(
    damage: Callable[[bytes], bytes], text: str, table: LatencyTable, tmp_path: Path
) -> None:
    list(_search(tmp_path, table).run())
    path = _file(tmp_path).path
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=text) as refused:
        _file(tmp_path).read()
    assert len(str(refused.value).splitlines()) == 1
    assert "table repair" not in str(refused.value)


def test_measurements_of_another_run_or_space_are_refused(table: LatencyTable, tmp_path: Path) -> None:
    list(_search(tmp_path, table).run())
    path = _file(tmp_path).path
    with pytest.raises(CheckpointError, match="was measured for another run"):
        MeasurementFile(path, "another run", _SPACE.choices).read()
    with pytest.raises(CheckpointError, match="is damaged: "):
        MeasurementFile(path, "this run", (2, 2)).read()


@pytest.mark.parametrize("budget_s", [-1.0, math.nan, math.inf])
def test_a_budget_that_is_none_is_refused(budget_s: float) -> None:
    with pytest.raises(ConfigError, match="it is a number from 0 on"):
        require_measurable(SearchConfig(), budget_s)


@pytest.mark.parametrize(
    "values",
    [("latency.allow_changed", ["device"]), ("search.objectives", ["error", "parameters"])],
    ids=["the device is elsewhere", "no latency"],
)
def test_a_budget_that_nothing_can_be_measured_by_is_refused(values: tuple[str, list[JsonValue]]) -> None:
    config = SearchConfig.load(None, dict([values]))
    require_measurable(config, 0.0)
    with pytest.raises(ConfigError, match="can be spent on nothing"):
        require_measurable(config, 60.0)


def test_costs_are_told_at_once_of_all_that_a_generation_asks_for(
    table: LatencyTable, tmp_path: Path
) -> None:
    asked: list[Sequence[Architecture]] = []

    class Listening(Latency):
        def prepare(self, architectures: Sequence[Architecture], /) -> None:
            asked.append(tuple(architectures))

    latency = Listening(latency_model(_SPACE, table))
    unmeasured = _measuring(tmp_path, table, latency, budget_s=0.0)
    search = _search(tmp_path / "run", table, latency=latency, measuring=unmeasured)
    generations = list(search.run())
    evaluated = {candidate.architecture for one in generations for candidate in one.population}
    assert evaluated <= {architecture for some in asked for architecture in some}
    assert len(asked) == len(generations)
