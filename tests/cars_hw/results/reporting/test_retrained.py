"""What was retrained of a run stands beside what its search found of it, and what was measured."""

import html
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cars_hw
from cars_hw.assembly import make_space
from cars_hw.errors import CheckpointError
from cars_hw.latency.contents import network_workload
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.results.picks import pick, reason
from cars_hw.results.reporting.reading.pages import page_of
from cars_hw.results.reporting.retrained import retrained_members
from cars_hw.retraining.records import ClassResult, ImagesUsed, Retrained, write_retrained
from cars_hw.runs import MeasuredSession, Run
from latency_tables import Measurement

_GOLDEN = Path(__file__).parents[3] / "golden" / "before-the-moves"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A random search that is complete up to generation 1 of 3, with its table, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    return _copied("random_search", "run")


def _copied(strategy: str, name: str) -> Run:
    shutil.copytree(_GOLDEN / strategy, name)
    return Run.open(name)


def _retrained(run: Run, name: str, architecture: str) -> Retrained:
    """Keep a retraining of ``architecture`` in the folder of ``run``, as if it had been done."""
    every = run.config.space.settings
    settings: dict[str, Json] = {key: value for key, value in every.items() if value is not None}
    record = Retrained(
        name=name,
        space={"name": run.config.space.name, "settings": settings, "operation_kinds": []},
        architecture=architecture,
        plan={"preset": "small"},
        initial="drawn from the seed",
        uses_bf16=False,
        parameters=1234,
        macs=5678,
        images=ImagesUsed("digits", "ab" * 32, 100, 30, "test images", True, (0.5,), (0.25,)),
        error=0.0625,
        top5_error=0.03125,
        classes=(ClassResult("0", 30, 28, 29),),
        steps=7,
        skipped_steps=0,
        seconds=1.5,
        curve=(
            {"epoch": 1, "loss": 0.3, "training_error": 0.2, "error": None},
            {"epoch": 2, "loss": 0.2, "training_error": 0.1, "error": 0.0625},
            {"epoch": "$x$", "error": "<b>"},
        ),
        weights_sha256="",
        folder=run.path / "retrained" / name,
    )
    return write_retrained(record, {"weight": np.zeros(2, np.float32)})


def _measured(run: Run, latencies_s: dict[Architecture, float], *, generation: int = 1) -> None:
    """Write down that networks were measured."""
    space, record = make_space(run.config), run.record()
    networks = {
        one: Measurement(network_workload(space, one).spec, (latency_s,) * 3)
        for one, latency_s in latencies_s.items()
    }
    table = record.fingerprint["latency table"]
    session = MeasuredSession("latency_ms", table, generation, "front", 1.0, dict(networks))
    run.measurements(space).append(session)


def test_a_retrained_member_has_its_error_with_shared_weights_and_both_latencies(run: Run) -> None:
    front = run.front()
    kept = _retrained(run, "mine", to_text(front[0].architecture))
    _measured(run, {front[0].architecture: 1e-3, front[1].architecture: 4e-3})
    [one] = retrained_members(run).values()
    assert (one.retrained, one.generation) == (kept, 1)
    assert one.number is not None
    assert cars_hw.final_front(run)[one.number].architecture == front[0].architecture
    assert one.shared_weights_error == front[0].costs[0]
    assert one.predicted_ms == {"latency_ms": front[0].costs[2]}
    shown = one.to_json()["of_the_search"]
    assert isinstance(shown, dict)
    assert shown["latency"] == {
        "latency_ms": {
            "predicted_ms": front[0].costs[2],
            "measured_ms": 1.0,
            "measured_interval_ms": [1.0, 1.0],
        }
    }
    assert cars_hw.report_json(run)["retrained"] == {"mine": one.to_json()}


@pytest.mark.usefixtures("run")
def test_a_member_of_an_earlier_front_keeps_what_was_found_and_measured_of_it() -> None:
    run = _copied("cars", "renewed")
    history = run.record().history
    last = {member.architecture for member in history[-1].population}
    former = next(member for member in history[0].population if member.architecture not in last)
    _retrained(run, "former", to_text(former.architecture))
    _measured(run, {former.architecture: 2e-3}, generation=0)
    [one] = retrained_members(run).values()
    assert (one.number, one.generation) == (None, 0)
    assert one.shared_weights_error == former.costs[0]
    assert one.measured["latency_ms"].latency_s == 2e-3


def test_a_network_that_the_search_never_had_or_of_another_space_has_its_own_figures_alone(run: Run) -> None:
    member = to_text(run.front()[0].architecture)
    foreign = replace(_retrained(run, "foreign", member), space={"name": "darts", "settings": {}})
    for found in (foreign, replace(foreign, architecture="0.0.0.0.0.0"), replace(foreign, architecture="x")):
        [one] = retrained_members(run, {"found": found}).values()
        assert (one.number, one.generation, one.shared_weights_error) == (None, None, None)
        assert one.latency_json() == {}


def test_the_page_has_what_was_retrained_beside_what_the_search_found(run: Run) -> None:
    name = "<script>$\\alert$"
    _retrained(run, name, to_text(run.front()[1].architecture))
    _measured(run, {member.architecture: 1e-3 for member in run.front()})
    [data] = page_of([run]).runs
    [one] = data.retrained
    assert (one.name, one.error, one.judged) == (name, 0.0625, "30 test images")
    assert one.shared_error == pytest.approx(run.front()[1].costs[0], rel=1e-5)
    latency = one.latencies["latency_ms"]
    assert (latency.measured, latency.measured_interval) == (1, (1, 1))
    assert latency.predicted == pytest.approx(run.front()[1].costs[2], rel=1e-5)
    assert one.curve.epoch == (1, 2)
    assert one.curve.error == (None, 0.0625)
    assert one.curve.training_error == (0.2, 0.1)
    assert one.number is not None
    assert data.front[one.number].retrained == (name,)
    page = cars_hw.report(run).read_text()
    assert "<script>$" not in page
    assert reason(cars_hw.final_front(run), "knee") in html.unescape(page)


def test_a_damaged_record_is_named_by_the_report(run: Run) -> None:
    kept = _retrained(run, "mine", to_text(run.front()[0].architecture))
    path = kept.folder / "result.json"
    path.write_text(path.read_text().replace("0.0625", "0.0"))
    with pytest.raises(CheckpointError, match=r"mine/result\.json is damaged"):
        cars_hw.report_json(run)


def test_the_knee_of_a_measured_front_goes_by_what_was_measured(run: Run) -> None:
    front = run.front()
    predicted = pick(front, "knee")
    others = [member.architecture for member in front if member != predicted]
    _measured(run, {predicted.architecture: 9.0} | dict.fromkeys(others, 1e-3))
    measured = cars_hw.final_front(run)
    assert (front.measured, measured.measured) == ((), ("latency_ms",))
    assert pick(measured, "knee").architecture != predicted.architecture
    assert "latency_ms (measured)" in reason(measured, "knee")
