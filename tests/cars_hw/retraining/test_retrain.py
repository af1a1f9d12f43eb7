"""``cars-hw retrain`` and its functions: members of a run, networks of none, what is kept and refused."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import cars_hw
from cars_hw.assembly import make_space
from cars_hw.config import SearchConfig
from cars_hw.retraining.monitor import Monitor
from cars_hw.weights.evaluation import one_thread
from tests.fakes.command_line import Done, run
from tests.fakes.configurations import TINIEST
from tests.fakes.interrupts import command, running
from tests.fakes.retraining import ending_at
from tests.fakes.waiting import wait_for

_GOLDEN = Path(__file__).parents[2] / "golden" / "before-the-moves"
_PLAN = "\n[retraining]\npreset = 'small'\nepochs = 2\nbatch_size = 100\ncrop_padding = 1\n"
_SHORT = ("--set", "retraining.epochs=2", "--set", "retraining.batch_size=200", "--preset", "small")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a finished run, a table, and a configuration with a plan."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    shutil.copytree(_GOLDEN / "random_search", tmp_path / "run")
    (tmp_path / "config.toml").write_text(f"{TINIEST}{_PLAN}")
    return tmp_path


def _json(done: Done) -> dict[str, dict[str, object]]:
    assert done.status == 0, done.err
    found: dict[str, dict[str, object]] = json.loads(done.out)
    return found


def test_members_of_a_run_are_retrained_kept_and_not_trained_again(folder: Path) -> None:
    words = ("retrain", "run", "--pick", "knee", "--pick", "0", *_SHORT)
    first = run(*words)
    assert first.status == 0, first.err
    assert "knee: epoch 2 of 2: loss" in first.err
    assert "knee by class" in first.out
    assert "latency_ms measured (95 %)" in first.out
    assert "with shared weights" in first.out
    assert "chosen by the images that judge it" in first.err
    assert first.commands == [("export", "run", "--pick", "knee", "--pick", "0")]
    kept = cars_hw.retrained_of(folder / "run")
    assert list(kept) == ["knee", "member-000"]
    before = {path: path.stat().st_mtime_ns for path in folder.glob("run/retrained/*/[!.]*")}
    again = run(*words, "--json")
    assert "epoch" not in again.err
    beside = cars_hw.retrained_members(cars_hw.Run.open("run"))
    assert {name: one.to_json() for name, one in beside.items()} == _json(again)
    assert {name: one.retrained for name, one in beside.items()} == kept
    assert [one.number for one in beside.values()][1] == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    [knee] = [one for name, one in kept.items() if name == "knee"]
    assert (knee.images.judged_on, knee.images.are_unseen, knee.images.judging) == (
        "fitness images",
        False,
        60,
    )
    assert knee.plan["epochs"] == 2
    assert sum(one.images for one in knee.classes) == 60
    assert sum(one.images - one.right for one in knee.classes) / 60 == pytest.approx(knee.error)


def test_what_is_kept_computes_the_error_that_was_told(folder: Path) -> None:
    assert run("retrain", "run", *_SHORT, "-q").status == 0
    opened = cars_hw.Run.open("run")
    kept = cars_hw.retrained_of("run")["knee"]
    space = make_space(opened.config)
    network = cars_hw.restored_network(
        kept, space.deployed(cars_hw.from_text(kept.architecture, space.choices))
    )
    data = cars_hw.data.load("digits", fitness_images=60, image_size=8)
    scaled = torch.from_numpy(data.fitness.images).float() / 255
    mean, std = (torch.tensor(one).reshape(-1, 1, 1) for one in (kept.images.mean, kept.images.std))
    with torch.no_grad():
        classes = network((scaled - mean) / std).argmax(1)
    assert float((classes.numpy() != data.fitness.labels).mean()) == pytest.approx(kept.error)


def test_test_images_judge_and_all_others_train_where_the_data_set_tells_them_apart(folder: Path) -> None:
    config = SearchConfig.load(folder / "config.toml", {"data.name": "tests.fakes.tested_digits"})
    space = make_space(config)
    found = cars_hw.retrain_without_search(config, {"first": (0,) * len(space.choices)}, to=folder / "own")[
        "first"
    ]
    assert found.images.judged_on == "test images"
    assert (found.images.training, found.images.judging) == (1597, 200)
    assert found.images.are_unseen
    assert found.folder == folder / "own" / "first"


def test_the_searchs_weights_are_begun_with_where_they_fit(folder: Path) -> None:
    found = _json(run("retrain", "run", *_SHORT, "--from-supernet", "--json", "--to", "warm"))["knee"]
    begun = str(found["initial"])
    assert begun.startswith("weights of the search after generation ")
    taken, total = _counts(begun)
    assert 0 < taken == total  # the run deploys the network that it trained


def _counts(text: str) -> tuple[int, int]:
    taken, _, total = text.partition(": ")[2].partition(" of ")
    return int(taken), int(total.split()[0])


def test_a_genotype_needs_no_run(folder: Path) -> None:
    (folder / "published.json").write_text(json.dumps({"code": "421301"}))
    found = _json(run("retrain", "--genotype", "published.json", "--config", "config.toml", "--json"))
    assert found["published"]["plan"]["epochs"] == 2  # type: ignore[index]
    kept = cars_hw.read_retrained("retrained/published")
    assert kept.images.are_unseen  # no search chose it
    assert kept.architecture == "4.2.1.3.0.1"


def test_what_was_ended_goes_on_by_the_same_call_to_the_same_weights(folder: Path) -> None:
    opened = cars_hw.Run.open("run")
    members = {"knee": opened.front()[0].architecture}
    plan = cars_hw.RetrainingPlan.checked("retraining", {"preset": "small", "epochs": 2, "batch_size": 200})
    whole = cars_hw.retrain(opened, members, plan, to="whole")["knee"]
    with pytest.raises(BaseException, match="request"):
        cars_hw.retrain(opened, members, plan, to="ended", monitor=ending_at(7))
    seen: list[int] = []
    resumed = cars_hw.retrain(
        opened, members, plan, to="ended", monitor=Monitor(lambda progress: seen.append(progress.step))
    )["knee"]
    assert seen[0] == 8
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.classes == whole.classes


def test_a_run_is_not_retrained_on_other_images_than_it_was_searched_on(folder: Path) -> None:
    opened = cars_hw.Run.open("run")
    data = opened.config.data.model_copy(update={"seed": 1})
    moved = replace(opened, config=opened.config.model_copy(update={"data": data}))
    plan = cars_hw.RetrainingPlan.checked("retraining", {"preset": "small"})
    with pytest.raises(cars_hw.CheckpointError, match="was searched on other images than digits holds now"):
        cars_hw.retrain(moved, {"first": opened.front()[0].architecture}, plan)
    assert not (folder / "run" / "retrained" / "first").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "batch_size=1738",
            "batch_size 1738 exceeds the 1737 training images; make retraining.batch_size smaller",
        ),
        ("torch_device=xyz", "xyz"),
    ],
)
def test_a_plan_that_does_not_fit_leaves_nothing_in_the_way_of_another(
    folder: Path, value: str, message: str
) -> None:
    refused = run("retrain", "run", *_SHORT, "--set", f"retraining.{value}")
    assert refused.status == 1
    assert message in refused.err
    assert not (folder / "run" / "retrained").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "retrain needs one of: the folder of a run, --architecture, --genotype"),
        (("run",), r"nothing says how to retrain: give --preset \(cars-cifar, .*\), or a section"),
        (("run", "--preset", "smal"), "unknown preset 'smal'; did you mean 'small'"),
        (("run", "--set", "retraining.epoch=3"), r"nothing says how to retrain"),
        (("run", "--preset", "small", "--set", "retraining.epoch=3"), r"did you mean 'retraining\.epochs'"),
        (("run", "--preset", "small", "--set", "retraining.cutout=-3"), r"retraining\.cutout is -3"),
        (("run", "--preset", "small", "--set", "data.path=x"), r"data\.path of a run stays as it is"),
        (("run", "--preset", "small", "--pick", "fastst"), "unknown pick 'fastst'; did you mean 'fastest'"),
        (("run", "--preset", "small", "--set", "retraining.torch_device=cuda:9"), "cannot be used"),
        (("no-run", "--preset", "small"), "no-run holds no run"),
        (("--architecture", "0.0", "--preset", "small"), "retrain without a run needs --config FILE"),
        (("--genotype", "none.json", "--config", "config.toml"), "none.json cannot be read"),
        (("--genotype", "x.json", "--config", "config.toml", "--pick", "knee"), "are of a run"),
    ],
)
def test_bad_input_is_one_line(folder: Path, words: tuple[str, ...], message: str) -> None:
    done = run("retrain", *words)
    assert done.status == 1
    assert done.out == ""
    [line] = done.err.splitlines()
    assert line.startswith("cars-hw: ")
    with pytest.raises(cars_hw.CarsHwError, match=message):
        raise cars_hw.CarsHwError(line)


def test_what_was_retrained_elsewhere_of_no_run_is_exported_by_the_command_that_is_printed(
    folder: Path,
) -> None:
    (folder / "a b.json").write_text(json.dumps({"code": "421301"}))
    words = ("--config=config.toml", "--set=retraining.epochs=2", "--set=data.seed=1")
    [command] = run("retrain", "--genotype=a b.json", "--to=own place", *words).commands
    assert command == (
        "export",
        "--genotype=a b.json",
        "--retrained=own place",
        "--config=config.toml",
        "--set=data.seed=1",
    )
    assert _json(run(*command, "--json"))["a b"]["weights"] == "retrained"


def test_a_retraining_that_diverged_leaves_its_folder_to_another_plan(folder: Path) -> None:
    wild = (
        "--set=retraining.learning_rate=1e30",
        "--set=retraining.epochs=4",
        "--set=retraining.clip_norm=1e30",
    )
    diverged = run("retrain", "run", *_SHORT, *wild)
    assert diverged.status == 1
    assert "the training diverged; give a smaller learning_rate than 1e+30" in diverged.err
    assert not (folder / "run/retrained/knee/retraining.json").exists()
    mended = run("retrain", "run", *_SHORT, "--json")
    assert _json(mended)["knee"]["skipped_steps"] == 0


def test_another_plan_in_the_same_folder_is_refused_by_its_key(folder: Path) -> None:
    assert run("retrain", "run", *_SHORT, "-q").status == 0
    done = run("retrain", "run", *_SHORT, "--seed", "5")
    assert done.status == 1
    assert "holds another retraining: plan.seed = 0, and 5 is asked for" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_is_kept_and_the_command_that_goes_on(
    folder: Path, number: signal.Signals
) -> None:
    words = ("retrain", "run", "--preset", "small", "--set", "retraining.epochs=2000", "--quiet")
    with running(folder, *command(), *words) as verb:
        wait_for(lambda: (folder / "run/retrained/knee/checkpoints/0002").exists(), verb.said)
        assert verb.interrupt(number) == 128 + number
        [line] = verb.said().splitlines()
    assert "kept: knee: epoch " in line
    assert "go on with: " in line
    assert list(folder.glob("run/retrained/knee/checkpoints/0*"))


@pytest.mark.slow
def test_workers_retrain_what_this_process_would(folder: Path) -> None:
    words = ("retrain", "run", "--pick", "0", "--pick", "1", *_SHORT, "--json")
    with one_thread():
        alone = _json(run(*words, "--to", "alone"))
    done = run(*words, "--to", "helped", "--workers", "2")
    helped = _json(done)
    assert list(helped) == list(alone)
    for name in alone:
        assert helped[name]["error"] == alone[name]["error"]
        weights = [Path(to, name, "weights.safetensors").read_bytes() for to in ("alone", "helped")]
        assert weights[0] == weights[1]
    assert "member-001: epoch 2 of 2: error" in done.err


def test_an_impossible_number_of_workers_is_refused_before_anything_is_read(folder: Path) -> None:
    done = run("retrain", "run", "--pick", "0", *_SHORT, "--workers", "0")
    assert done.status == 1
    assert "workers is 0; it is a whole number from 1 to 1024" in done.err
    assert not (folder / "run" / "retrained").exists()
