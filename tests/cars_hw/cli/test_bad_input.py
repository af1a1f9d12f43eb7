"""Bad input gets one clear line that names the remedy, and exit status 1."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import devices
from cars_hw.cli import main
from cars_hw.cli._statuses import NOTHING_USABLE
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.testing._tables import write_table
from latency_tables.measurement import Failure, FailureStatus
from latency_tables.table import LatencyTable
from profilers import runtimes
from profilers.profiler import Profiler
from tests.fakes.configurations import TINIEST

_SPACE = Nasbench201(deploy="search", channels=2, cells=1, image_size=8, image_channels=1)
_CONFIG = f"""{TINIEST}
[search]
warm_up_epochs = 0.01
epochs_per_generation = 0.01
generations = 0
[strategy]
population_size = 2
"""

Refuse = Callable[..., str]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refuse:
    """Run the command line in a folder with a configuration and a table; return its one line of refusal."""
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(_CONFIG)
    write_table(Path("table.jsonl"), _SPACE)

    def run(*arguments: str) -> str:
        capsys.readouterr()  # what came before is not of this command
        monkeypatch.setattr(sys, "argv", ["cars-hw", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 1
        [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cars-hw: ")]
        return line

    return run


_SEARCH = ("search", "--no-measure", "--run", "run", "--config", "config.toml", "--table", "table.jsonl")


@pytest.mark.parametrize(
    ("arguments", "closest", "known"),
    [
        (("profile", "--space", "dart", "--table", "t"), "darts", "known: darts"),
        (("profile", "--device", "cpuu", "--table", "t"), "cpu", "cpu, fake"),
        (("profile", "--runtime", "onnx", "--table", "t"), "onnxruntime", "fake, onnxruntime, tflite"),
        ((*_SEARCH, "--strategy", "car"), "cars", "random_search"),
        ((*_SEARCH, "--data", "mnist"), "mnist5k", "cifar10, cifar100, digits"),
        ((*_SEARCH, "--set", "search.sed=3"), "search.seed", "search.generations"),
        ((*_SEARCH, "--set", "serch.seed=3"), "search", "latency"),
        ((*_SEARCH, "--set", "space.chanels=3"), "space.channels", "space.cells"),
        (
            (*_SEARCH, "--set", "strategy.population=3"),
            "strategy.population_size",
            "strategy.members_per_step",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones_and_the_closest(
    arguments: tuple[str, ...], closest: str, known: str, refuse: Refuse
) -> None:
    line = refuse(*arguments)
    assert f"did you mean {closest!r}" in line
    assert known in line


@pytest.mark.parametrize(
    ("override", "both"),
    [
        ("latency.device=fake", ("cpu", "fake")),
        ("latency.runtime=fake", ("onnxruntime", "fake")),
        ("latency.threads=2", ("'1'", "'2'")),
        ("latency.settings.delegate=gpu", ("unset", "gpu")),
    ],
)
def test_a_table_of_other_conditions_is_refused_naming_both(
    override: str, both: tuple[str, str], refuse: Refuse
) -> None:
    line = refuse(*_SEARCH, "--set", override)
    assert all(name in line for name in both)


def test_a_table_of_another_processor_is_refused_unless_the_user_says_so(
    refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_table(Path("other.jsonl"), _SPACE)
    whole = LatencyTable.open(path)
    path.unlink()
    header = replace(whole.header, device=replace(whole.header.device, model="Another CPU"))
    with LatencyTable.create(path, header) as table:
        table.add(*whole.measurements.values())
    line = refuse(*_SEARCH[:-1], "other.jsonl")
    assert "Another CPU" in line
    assert whole.header.device.model in line
    monkeypatch.setattr(
        sys, "argv", ["cars-hw", *_SEARCH[:-1], "other.jsonl", "--set", "latency.measured_elsewhere=true"]
    )
    main_that_ends(main)


def test_a_missing_entry_is_named_with_the_command_that_measures_it(refuse: Refuse) -> None:
    line = refuse(*_SEARCH, "--set", "space.channels=4")
    assert "no latency for" in line
    assert "cars-hw profile --space=nasbench201" in line
    assert "--set=space.channels=4" in line
    assert "--table=table.jsonl" in line


def test_a_missing_table_is_named(refuse: Refuse) -> None:
    assert "none.jsonl" in refuse(
        "search", "--run", "run", "--config", "config.toml", "--table", "none.jsonl"
    )


def test_a_damaged_table_is_said(refuse: Refuse) -> None:
    content = bytearray(Path("table.jsonl").read_bytes())
    content[len(content) // 2] ^= 1
    Path("table.jsonl").write_bytes(content)
    line = refuse(*_SEARCH)
    assert "table.jsonl is damaged at line" in line


def test_a_damaged_checkpoint_is_said(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cars-hw", *_SEARCH])
    main_that_ends(main)
    for manifest in Path("run/checkpoints").glob("*/state.json"):
        manifest.write_bytes(manifest.read_bytes().replace(b"0", b"1", 1))
    assert "no checkpoint can be believed" in refuse(*_SEARCH, "--resume")
    assert "no checkpoint can be believed" in refuse("report", "run")


def main_that_ends(command: Callable[[], None]) -> None:
    """Run a search to its end; so short a one may learn nothing, and then says so by status 3."""
    with pytest.raises(SystemExit) as stopped:
        command()
    assert stopped.value.code in {None, 0, NOTHING_USABLE}


def test_a_run_is_neither_overwritten_nor_mixed(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cars-hw", *_SEARCH])
    main_that_ends(main)
    assert "--resume" in refuse(*_SEARCH)
    assert "another configuration" in refuse(*_SEARCH, "--seed", "7")


def test_a_failed_start_does_not_hold_the_folder(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none.jsonl" in refuse(*_SEARCH[:-1], "none.jsonl")
    monkeypatch.setattr(sys, "argv", ["cars-hw", *_SEARCH])
    main_that_ends(main)


def test_resuming_what_does_not_exist_starts_nothing(refuse: Refuse) -> None:
    assert "holds no run" in refuse("search", "--run", "typo", "--resume")
    assert not Path("typo").exists()


def test_a_profile_that_leaves_failures_says_how_to_try_again(refuse: Refuse) -> None:
    lacking = _SPACE.all_operations()[0]
    whole = LatencyTable.open(Path("table.jsonl"))
    with devices.connect("cpu") as cpu:
        header = Profiler(cpu, runtimes.load("onnxruntime")).header()
    with LatencyTable.create(Path("failed.jsonl"), header) as table:
        table.add(*whole.measurements.values(), Failure(lacking, FailureStatus.CRASHED, "no luck"))
    profile = ("profile", "--config", "config.toml", "--table", "failed.jsonl")
    assert "--retry-failures" in refuse(*profile)
    assert "crashed: no luck" in refuse(*_SEARCH[:-1], "failed.jsonl")


def test_an_unwritable_folder_is_refused_at_the_start(refuse: Refuse) -> None:
    Path("file").write_text("")
    line = refuse("search", "--run", "file/run", "--config", "config.toml", "--table", "table.jsonl")
    assert "choose another folder" in line
    assert "file" in refuse("profile", "--config", "config.toml", "--table", "file/table.jsonl")


def test_a_folder_without_a_run_is_refused(refuse: Refuse) -> None:
    for verb in ("export", "report"):
        assert "holds no run" in refuse(verb, "nowhere")


def test_a_run_that_deploys_a_larger_network_does_not_export_the_small_one(
    refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    override = ("--set", 'search.objectives=["error", "parameters"]', "--set", "space.deploy=nasbench201")
    monkeypatch.setattr(sys, "argv", ["cars-hw", *_SEARCH, *override])
    main_that_ends(main)
    assert "retrain" in refuse("export", "run")
    monkeypatch.setattr(sys, "argv", ["cars-hw", "export", "run", "--scale", "search", "--pick", "0"])
    main_that_ends(main)
    assert Path("run/export/member-000.onnx").exists()


@pytest.mark.slow
def test_a_model_that_is_none_is_refused(refuse: Refuse) -> None:
    Path("model.onnx").write_bytes(b"not a model")
    assert "model.onnx" in refuse("bench", "model.onnx")
    assert "none.onnx" in refuse("bench", "none.onnx")
    Path("model.tflite").write_bytes(b"not a model")
    assert "model.tflite is no TFLite model" in refuse("bench", "model.tflite")


@pytest.mark.parametrize("text", ["1.2", "99." * 5 + "0", "a", "", "-1", "0" * 5000])
def test_an_architecture_that_is_none_is_refused(text: str, refuse: Refuse) -> None:
    assert len(refuse("bench", "--config", "config.toml", f"--architecture={text}")) < 300


def test_wrong_usage_exits_with_2_and_other_errors_keep_their_traceback() -> None:
    command = [sys.executable, "-c", "from cars_hw.cli import main; main()"]
    wrong = subprocess.run([*command, "search"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "--run" in wrong.stderr


@pytest.mark.parametrize(
    "setting", ["violation=3", "rng=3", "space=3", "population_size=2.5", "population_size=true"]
)
def test_a_strategy_takes_only_its_own_settings(setting: str, refuse: Refuse) -> None:
    assert setting.partition("=")[0] in refuse(*_SEARCH, "--set", f"strategy.{setting}")


def test_too_few_networks_are_refused_and_leave_no_table(refuse: Refuse) -> None:
    arguments = ("--config", "config.toml", "--table", "new.jsonl")
    assert "10 are enough" in refuse("profile", *arguments, "--networks-only", "9")
    Path("list.csv").write_text("architecture,latency_ms\nsomething,1\n")
    assert "list.csv, line 2" in refuse("table", "import", "list.csv", "--model", "One", *arguments)
    assert not Path("new.jsonl").exists()


def test_a_table_of_operations_gets_no_networks_alone(refuse: Refuse) -> None:
    before = Path("table.jsonl").read_bytes()
    line = refuse("profile", "--config", "config.toml", "--table", "table.jsonl", "--networks-only", "10")
    assert "keyed by operations" in line
    assert Path("table.jsonl").read_bytes() == before
