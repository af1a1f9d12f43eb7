"""The verbs on TFLite files and tables, on real images and the real runtime, in the smallest space."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import devices
from cars_hw.assembly import make_space
from cars_hw.cli import app
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import TableContents
from cars_hw.results.model_card import read_card
from latency_tables.table import LatencyTable
from profilers import runtimes
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from tests.fakes.configurations import TINIEST

_CONFIG = f"""{TINIEST}
[search]
warm_up_epochs = 0.5
epochs_per_generation = 0.05
generations = 1
[strategy]
population_size = 4
trained = "members"
errors = "measured"
[latency]
runtime = "tflite"
"""

_HASTY = MeasurementPlan(precision=0.5, block_s=1e-5, min_rounds=5, spread_s=0.0, max_rounds=5, budget_s=0.1)


#: How busy the machine is, is not asked here.
_BUSY = ("--allow-changed=speed", "--json")


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a table was measured under TFLite, in a hurry, and a search was run on it."""
    folder = tmp_path_factory.mktemp("tflite")
    (folder / "config.toml").write_text(_CONFIG)
    space = make_space(SearchConfig.load(folder / "config.toml"))
    with devices.connect("cpu") as device:
        profiler = Profiler(device, runtimes.load("tflite"), _HASTY)
        with LatencyTable.create(folder / "table.jsonl", profiler.header()) as table:
            list(profiler.fill(table, TableContents(space).workloads()))
            assert not table.failures
    config = ("--config", str(folder / "config.toml"), "--table", str(folder / "table.jsonl"))
    _run("search", "--run", str(folder / "run"), *config, "--no-measure")
    return folder


def test_a_whole_space_is_measured_and_every_operation_stays_with_the_delegate(folder: Path) -> None:
    shown = json.loads(_run("table", "show", str(folder / "table.jsonl"), "--json"))
    assert shown["conditions"]["runtime"] == "tflite"
    assert shown["conditions"]["settings"]["xnnpack"] == "on"
    table = LatencyTable.open(folder / "table.jsonl")
    outside = {str(spec): entry.conditions["nodes_outside"] for spec, entry in table.measurements.items()}
    assert outside
    assert not any(outside.values())


def test_a_search_on_such_a_table_knows_latencies(folder: Path) -> None:
    assert "latency_ms" in _run("search", "--run", str(folder / "run"), "--resume", "--no-measure")


def test_a_member_is_exported_to_tflite_and_with_8_bit_integers(folder: Path, tmp_path: Path) -> None:
    run, to = str(folder / "run"), ("--to", str(tmp_path))
    whole = json.loads(_run("export", run, "--format", "tflite", "--json", *to))["knee"]
    bound = ("--max-error-growth", "100")
    both = json.loads(_run("export", run, "--int8", *bound, "--json", *to))
    assert both["knee"] == whole
    small = both["knee int8"]
    assert small["size_bytes"] == (tmp_path / "knee.int8.tflite").stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {
        "knee.tflite",
        "knee.tflite.json",
        "knee.tflite.example.py",
        "knee.int8.tflite",
        "knee.int8.tflite.json",
        "knee.int8.tflite.example.py",
    }
    card = read_card(tmp_path / "knee.int8.tflite")
    assert card is not None
    assert card.quantisation is not None
    assert card.quantisation["float_error"] == whole["error"]
    assert "knee.int8.tflite" in _run("export", run, "--int8", *bound, *to)


def test_8_bit_integers_are_no_onnx(folder: Path) -> None:
    result = CliRunner().invoke(app, ["export", str(folder / "run"), "--int8", "--format", "onnx"])
    assert result.exit_code == 2
    assert "--format" in result.output


@pytest.mark.slow
def test_the_whole_way_by_the_command_line(folder: Path, tmp_path: Path) -> None:
    config = ("--config", str(folder / "config.toml"), "--table", str(tmp_path / "table.jsonl"))
    _run("profile", "--runtime", "tflite", *config)
    _run("search", "--run", str(tmp_path / "run"), *config)
    _run("export", str(tmp_path / "run"), "--int8", "--max-error-growth", "100")
    export = tmp_path / "run" / "export"
    bench = json.loads(_run("bench", str(export / "knee.tflite"), *_BUSY))
    card = json.loads((export / "knee.tflite.json").read_bytes())
    assert bench["predicted_ms"] == pytest.approx(card["costs_of_the_deployed_network"]["latency_ms"])
    assert bench["measured_ms"] > 0
    small = json.loads(_run("bench", str(export / "knee.int8.tflite"), *_BUSY))
    assert small["measured_ms"] > 0
    assert small["predicted_ms"] is None  # the table is of operations in float32
