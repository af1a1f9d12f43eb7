"""The benchmarks that judge rankings and searches by published accuracy: their rules, on small numbers."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cars_hw import data, strategies
from cars_hw.assembly import make_space
from cars_hw.evolution.indicators import hypervolume
from cars_hw.resolution import resolved
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.strategies import unconstrained
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan
from latency_tables import LatencyTable

_ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_ROOT / "benchmarks"))


def test_a_result_is_kept_once_and_refused_where_it_was_changed(tmp_path: Path) -> None:
    from _jobs import Store

    results = Store(tmp_path / "raw")
    results.write("default.seed0", {"chosen": ["0.1", "2.3"]})
    results.write("default.seed0", {"chosen": ["0.1", "2.3"]})
    assert results.names() == ["default.seed0"]
    assert results.read("default.seed0") == {"chosen": ["0.1", "2.3"]}
    with pytest.raises(SystemExit, match="is there already, and is another result"):
        results.write("default.seed0", {"chosen": ["0.1"]})
    path = tmp_path / "raw" / "default.seed0.json"
    path.write_text(path.read_text().replace("2.3", "2.4"))
    with pytest.raises(SystemExit, match="changed by hand"):
        results.read("default.seed0")


def test_the_pilots_networks_are_among_no_others_that_are_judged() -> None:
    from _rank_settings import JUDGED, PILOT, drawn

    pilot, judged = drawn("pilot"), drawn("judged")
    assert (len(set(pilot)), len(set(judged))) == (PILOT, JUDGED)
    assert not set(pilot) & set(judged)
    columns = zip(*judged, strict=True)
    assert all(set(column) == set(range(5)) for column in columns)


def test_settings_are_compared_at_equal_cost() -> None:
    from _rank_settings import SETTINGS, STEPS, STEPS_PER_EPOCH

    for name, setting in SETTINGS.items():
        search = resolved(setting.config(0)).search  # all plug-ins take their settings
        epochs = search.warm_up_epochs + search.generations * search.epochs_per_generation
        spent = epochs * STEPS_PER_EPOCH * setting.cost
        shares = {"half": 0.5, "double": 2.0, "fair-triple": 3.0, "fair-hour": 12.0}
        assert spent == pytest.approx(STEPS * shares.get(name, 1.0)), name


def test_what_each_image_was_taken_for_is_kept_and_is_the_trainers_own_accuracy() -> None:
    from _rank_settings import examined, joined, unpacked

    space = Nasbench201(deploy="search", channels=2, cells=1, image_size=8, image_channels=1)
    plan = TrainingPlan(batch_size=16, recalibration_images=64, crop_padding=0, weight_averaging=0.5)
    trainer = SuperNetTrainer(space, data.load("digits", fitness_images=50), plan, total_steps=4)
    chosen = [(3, 3, 3, 3, 3, 3), (2, 1, 2, 3, 4, 0), (1, 1, 1, 1, 1, 1)]
    for architecture in chosen:
        trainer.step([architecture])
    found = examined(trainer, chosen)
    right = unpacked(found)
    assert right.shape == (3, 50)
    assert right.mean(axis=1).tolist() == pytest.approx([trainer.accuracy(one) for one in chosen])
    parts = [examined(trainer, chosen[:2]), examined(trainer, chosen[2:])]
    assert joined(json.loads(json.dumps(parts))) == found
    assert examined(trainer, chosen, plain=True)["loss"] != found["loss"]


def test_a_ranking_is_judged_beside_that_by_parameters() -> None:
    from _rank_figures import Networks, tau

    rng = np.random.default_rng(0)
    errors = np.linspace(6.0, 20.0, 60)
    parameters, better = errors + rng.normal(0, 6, 60), errors + rng.normal(0, 1, 60)
    architectures = tuple((i % 5, i // 5 % 5, 0, 0, 0, 0) for i in range(60))
    low = errors <= 15
    counted = {"parameters": parameters, "live": better}
    networks = Networks(architectures, errors, counted, {"under15": low})
    found = tau([better, better], networks, "under15")
    expected = stats.kendalltau(better[low], errors[low]).statistic
    by_parameters = stats.kendalltau(parameters[low], errors[low]).statistic
    assert found.mean == pytest.approx(expected)
    assert found.above["parameters"][0] == pytest.approx(expected - by_parameters)
    assert found.above["live"] == (0.0, 0.0, 0.0)
    assert found.interval[0] < expected < found.interval[1]
    assert found.above["parameters"][1] > 0
    assert found.n == low.sum()


def test_every_arm_is_a_search_of_one_size(tmp_path: Path) -> None:
    from _truth_arms import ARMS, GENERATIONS, POPULATION, config

    for name, arm in ARMS.items():
        wanted = config(arm, 3, 1000.0, table=tmp_path / "pixel3.jsonl", images=tmp_path / "images")
        space = make_space(wanted)
        rng = np.random.default_rng(0)
        strategy = strategies.load(
            wanted.strategy.name, space, rng, violation=unconstrained, **wanted.strategy.settings
        )
        assert strategy.settings.values()["population_size"] == POPULATION, name
        assert (wanted.search.generations, wanted.search.seed) == (GENERATIONS, 3), name
        assert "error" in wanted.objective_names(), name


def test_all_arms_are_given_the_seconds_of_the_default(tmp_path: Path) -> None:
    from _jobs import Store
    from end_to_end import steps_of

    results = Store(tmp_path)
    for name, step_s, evaluation_s in (("default", 0.03, 60.0), ("evnas", 0.12, 240.0)):
        ledger = {"steps": 140, "training_s": 140 * step_s, "evaluation_s": evaluation_s}
        results.write(f"trial.{name}", {"ledger": ledger})
    assert steps_of("default", results) == pytest.approx(6_250)
    assert steps_of("evnas", results) * 0.12 + 240.0 == pytest.approx(6_250 * 0.03 + 60.0)
    with pytest.raises(SystemExit, match="run --calibrate nse on an idle machine first"):
        steps_of("nse", results)


def _best(costs: np.ndarray[tuple[int, int], np.dtype[np.float64]], n: int) -> float:
    """Return the largest hypervolume of ``n`` of the costs, which reach from 0 to 1."""
    subsets = itertools.combinations(range(len(costs)), n)
    return max(hypervolume(costs[list(subset)], (1.1,) * 3) for subset in subsets)


def test_members_are_chosen_greedily_for_hypervolume_whatever_the_units() -> None:
    from _truth_arms import greedy

    costs = np.random.default_rng(1).random((9, 3))
    costs = (costs - costs.min(axis=0)) / np.ptp(costs, axis=0)
    chosen = greedy(costs.tolist(), 3)
    assert hypervolume(costs[chosen[:1]], (1.1,) * 3) == pytest.approx(_best(costs, 1))
    assert hypervolume(costs[chosen], (1.1,) * 3) >= (1 - 1 / np.e) * _best(costs, 3)
    assert greedy((costs * [1e6, 3.0, 1e-3] + 7.0).tolist(), 3) == chosen
    assert sorted(greedy(costs[:2].tolist(), 3)) == [0, 1]


def test_intervals_are_students_and_the_detectable_difference_has_its_power() -> None:
    from _truth_figures import detectable, interval

    values = np.array([0.1, 0.3, 0.2, 0.4, 0.15, 0.25, 0.35, 0.05])
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert interval(values) == pytest.approx((expected.low, expected.high))
    assert interval(values[:1]) is None
    assert interval(np.array([0.1, np.inf, np.inf])) is None
    rng = np.random.default_rng(0)
    shift, drawn = detectable(values), rng.normal(0.0, values.std(ddof=1), (4000, 8))
    power = (stats.ttest_1samp(drawn + shift, 0.0, axis=1).pvalue < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.05)


def test_milliseconds_are_compared_at_errors_that_both_reach() -> None:
    from _truth_judge import saved_ms

    ours = np.array([[6.0, 1.0, 9.0], [8.0, 1.0, 3.0]])
    theirs = np.array([[7.0, 1.0, 8.0], [8.0, 1.0, 7.0]])
    assert saved_ms(ours, theirs, [5.0, 6.5, 7.5, 9.0]) == pytest.approx(((8.0 - 9.0) + (7.0 - 3.0)) / 2)
    assert np.isnan(saved_ms(ours, theirs, [5.0]))


def test_a_gain_is_0_for_the_blind_and_1_for_the_truth() -> None:
    from _truth_figures import rows

    def job(arm: str, seed: int, value: float) -> dict[str, object]:
        names = ("igd_plus", "recall", "regret", "error", "n", "cpu_s", "macs")
        ledger = {"training_images": 10, "evaluation_images": 5}
        figures = {"hypervolume": value, **dict.fromkeys(names, 1.0)}
        costs = [[7.0, 1.0, 5.0]]
        return {"arm": arm, "seed": seed, "figures": figures, "ledger": ledger, "costs": costs}

    bounds = {"truth": [0.9, 1.0], "random": [0.7, 0.8], "parameters": [0.6, 0.7], "live": [0.81, 0.83]}
    raw = {
        "bounds": {kind: [{"hypervolume": one} for one in own] for kind, own in bounds.items()},
        "jobs": [
            job("default", 0, 0.85),
            job("default", 1, 0.87),
            job("macs", 0, 0.75),
            job("macs", 1, 0.79),
        ],
    }
    found = {row.claim: row for row in rows(raw, "stored")}
    assert found["end_to_end.gain"].figure == pytest.approx((0.1 + 0.12) / 2 / 0.2)
    assert found["end_to_end.macs.gain"].figure == pytest.approx((0.0 + 0.04) / 2 / 0.2)
    assert found["end_to_end.bound.truth.gain"].figure == pytest.approx(1.0)
    assert found["end_to_end.gain.above_macs"].figure == pytest.approx((0.1 + 0.08) / 2 / 0.2)
    above = found["end_to_end.gain.above_live"]
    assert above.figure == pytest.approx((0.86 - 0.82) / 0.2)
    assert above.spread is not None
    low, high = above.spread
    assert low < 0 < high
    expected = stats.ttest_ind([0.5, 0.6], [0.3, 0.4], equal_var=False).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert next(iter(found)) == "end_to_end.gain.above_macs.detectable"
    assert found["end_to_end.image_passes"].figure == 15


def hides(folders: Sequence[Path], code: str) -> int:
    from _truth_hidden import ReadableError, run_without

    try:
        return run_without(folders, [sys.executable, "-S", "-c", code])
    except ReadableError as error:
        pytest.skip(str(error))


def test_a_process_that_searches_cannot_read_what_is_hidden_and_writes_elsewhere(tmp_path: Path) -> None:
    secret, open_ = tmp_path / "secret", tmp_path / "open"
    secret.mkdir()
    open_.mkdir()
    (secret / "accuracies.csv").write_text("94.4")
    code = f"""import os
with open({str(open_ / "found")!r}, "w") as file:
    print(os.listdir({str(secret)!r}), file=file)"""
    assert hides([secret, tmp_path / "absent"], code) == 0
    assert (open_ / "found").read_text() == "[]\n"
    assert (secret / "accuracies.csv").read_text() == "94.4"
    assert hides([secret], "raise SystemExit(3)") == 3


def test_a_search_is_refused_where_it_could_read_an_accuracy(tmp_path: Path) -> None:
    from _truth_hidden import ReadableError, require_hidden

    hidden, extract = tmp_path / "nb201", tmp_path / "extract"
    hidden.mkdir()
    extract.mkdir()
    (extract / "networks.csv").write_text("architecture,latency_ms\n000111,1.5\n")
    require_hidden([hidden, tmp_path / "absent"], extract)
    (extract / "more.csv").write_text("architecture,latency_ms,accuracy\n000111,1.5,93.1\n")
    with pytest.raises(ReadableError, match="tells more than latencies: architecture, latency_ms, accuracy"):
        require_hidden([hidden], extract)
    (extract / "more.csv").unlink()
    (hidden / "accuracies.csv").write_text("94.4")
    with pytest.raises(ReadableError, match="can be read by the search"):
        require_hidden([hidden], extract)


def test_the_page_of_results_says_what_has_not_been_run() -> None:
    written = subprocess.run(
        [sys.executable, str(_ROOT / "scripts" / "results.py")], capture_output=True, text=True, check=True
    ).stdout
    assert (_ROOT / "docs" / "results.md").read_text() == written
    assert "# Does it work?" in written


def test_losses_that_are_looked_up_are_the_recorded_ones_and_as_noisy_elsewhere() -> None:
    _published()
    import emulated
    from _nb201 import load
    from _rank_figures import estimates, published
    from ranking import STORE

    truth, name = load(), emulated.RECORDED[0]
    found = emulated.losses_of(truth, name, 0)
    networks = published("judged")
    own = np.array([truth.index[one] for one in networks.architectures])
    told = estimates(STORE.read(name), networks, "judged")["loss"]
    usual = told <= np.quantile(told, 0.99)
    assert found[own][usual] == pytest.approx(told[usual])
    others = np.delete(found, own)
    assert np.log(others).std() == pytest.approx(np.log(told[usual]).std(), rel=0.2)
    trainer = emulated.LookedUpLosses(dict(zip(truth.architectures, found.tolist(), strict=True)))
    trainer.accuracy(truth.architectures[7])
    assert trainer.last_loss == found[7]


def test_the_readme_has_the_gain_that_was_judged() -> None:
    from _rows import stored
    from _truth_figures import rows

    gain = next(row for row in rows(stored("end_to_end"), "stored") if row.claim == "end_to_end.gain")
    assert gain.spread is not None
    low, high = gain.spread
    told = f"it gains {gain.figure:.2f} (95 %: {low:.2f} to {high:.2f}; {gain.n} seeds)"
    assert told in " ".join((_ROOT / "README.md").read_text().split())


def _published() -> Path:
    folder = Path(os.environ.get("CARS_HW_DATA", _ROOT.parent / "shared" / "data"))
    if not (folder / "nb201").is_dir():
        pytest.skip(f"{folder} is absent; set CARS_HW_DATA to the folder of published figures")
    return folder


def test_a_table_of_20_networks_is_all_that_a_search_knows_of_the_phone(tmp_path: Path) -> None:
    from _truth_extract import pixel3_of
    from _truth_hidden import require_hidden
    from end_to_end import write_extract

    folder = _published() / "nb201"
    write_extract(tmp_path / "extract")
    require_hidden([], tmp_path / "extract")
    table = LatencyTable.open(tmp_path / "extract" / "pixel3.jsonl")
    latencies = sorted(one.median_s * 1e3 for one in table.measurements.values())
    assert latencies == pytest.approx(sorted(latency_ms for _, latency_ms in pixel3_of(folder)))
    assert len(latencies) == 20


@pytest.mark.slow
def test_a_small_search_is_run_hidden_and_judged_by_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import end_to_end
    from _jobs import Store
    from _truth_hidden import ReadableError

    _published()
    monkeypatch.chdir(tmp_path)
    results = Store(tmp_path / "raw")
    try:
        assert end_to_end.job("random_search", 0, steps=14, name="random_search.seed0", results=results)
    except ReadableError as error:
        pytest.skip(str(error))
    raw = results.read("random_search.seed0")
    assert 1 <= len(raw["chosen"]) <= 20
    assert {one["architecture"] for one in raw["members"]} >= set(raw["chosen"])
    judged = end_to_end.judge(results, seeds=1)
    assert judged["bounds"]["whole"][0]["hypervolume"] > judged["bounds"]["random"][0]["hypervolume"]
    (job,) = judged["jobs"]
    assert job["sha256"] == results.sha256("random_search.seed0")
    assert 0 <= job["figures"]["hypervolume"] <= 1
    assert end_to_end.judge(results, seeds=1) == judged


@pytest.mark.slow
def test_a_ranking_job_goes_on_where_it_ended_and_judges_by_other_settings_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ranking
    from _jobs import Store
    from _rank_settings import drawn

    _published()
    monkeypatch.chdir(tmp_path)
    results, few = Store(tmp_path / "raw"), drawn("pilot")[:4]
    for name in ("paper", "recalibration64", "averaged"):
        assert ranking.job(name, 0, "pilot", budget=20, architectures=few, results=results)
    paper, other, averaged = (
        results.read(f"pilot.{name}.seed0") for name in ("paper", "recalibration64", "averaged")
    )
    assert paper["ledger"]["steps"] == averaged["ledger"]["steps"] == 20
    assert paper["ledger"]["steps"] == other["ledger"]["steps"]
    assert averaged["views"]["plain"] == paper["views"]["judged"], "averaging changed the training"
    assert other["views"]["judged"] != paper["views"]["judged"]
    assert list(ranking.rows("pilot", results))[-1].claim.startswith("ranking.tau"), "of no whole budget"
