"""The verbs, on real images and the real runtime, in the smallest space."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cars_hw.cli import app
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
"""


#: Whether the figures are right is not asked here, nor how busy the machine is.
_AT_ONCE, _ROUGHLY, _BUSY = "--spread-s=0", "--precision=0.2", "--allow-changed=speed"


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_asking_for_help_loads_neither_torch_nor_spaces_nor_what_selects() -> None:
    loaded = {"torch", "pandas", "scipy", "pymoo", "cars_hw.spaces", "cars_hw.latency", "profilers.profiler"}
    code = f"import sys, cars_hw.cli; cars_hw.cli.app; print(sorted({loaded} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_devices_lists_this_processor_and_its_state() -> None:
    [cpu] = json.loads(_run("devices", "--device", "cpu", "--json"))
    assert cpu["device"] == "cpu"
    assert cpu["faults"] == []
    assert cpu["cores"] >= 1
    assert "affinity" in cpu["state"]
    assert "cpu" in _run("devices", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a table was measured and a search was run."""
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "config.toml").write_text(_CONFIG)
    config = ("--config", str(folder / "config.toml"), "--table", str(folder / "table.jsonl"))
    _run("profile", *config, _AT_ONCE, _ROUGHLY)
    _run("search", "--run", str(folder / "run"), *config, "--no-measure")
    return folder


def test_a_profile_measures_once_and_the_table_shows_it(folder: Path) -> None:
    table = str(folder / "table.jsonl")
    before = Path(table).read_bytes()
    _run("profile", "--config", str(folder / "config.toml"), "--table", table)
    assert Path(table).read_bytes() == before
    shown = json.loads(_run("table", "show", table, "--json"))
    assert shown["conditions"]["runtime"] == "onnxruntime"
    assert shown["conditions"]["threads"] == 1
    kinds = {entry["kind"] for entry in shown["entries"]}
    assert {"call_overhead", "unit.Conv", "network"} <= kinds
    assert all(entry["latency_ms"] > 0 for entry in shown["entries"])
    assert "Conv" in _run("table", "show", table)


@pytest.mark.slow
def test_a_validation_is_stored_in_the_table_and_shown_by_what_uses_it(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "validated.jsonl"
    table.write_bytes((folder / "table.jsonl").read_bytes())
    config = ("--config", str(folder / "config.toml"), "--table", str(table))
    architecture = ("--architecture", ".".join(["0"] * 6))
    assert (
        "never validated"
        in json.loads(_run("bench", *architecture, *config, _AT_ONCE, _BUSY, "--json"))["trust"]
    )
    report = json.loads(_run("table", "validate", *config, _AT_ONCE, _ROUGHLY, _BUSY, "--json"))
    assert report["prediction_error"]["n"] == 20
    assert report["prediction_error"]["constant_rmspe_percent"] > 0
    assert report["noise_floor"]["rmspe_percent"] >= 0
    assert json.loads(_run("table", "show", str(table), "--json"))["validation"] == report
    before = table.read_bytes()
    assert json.loads(_run("table", "validate", *config, _AT_ONCE, _BUSY, "--json")) == report
    assert table.read_bytes() == before
    assert (
        "on 20 whole networks"
        in json.loads(_run("bench", *architecture, *config, _AT_ONCE, _BUSY, "--json"))["trust"]
    )
    assert "on 20 whole networks" in _run("table", "show", str(table))


def test_a_search_leaves_its_configuration_and_resumes_to_nothing_more(folder: Path) -> None:
    front = _run("search", "--run", str(folder / "run"), "--resume", "--no-measure")
    assert "latency_ms" in front
    said = json.loads(_run("search", "--run", str(folder / "run"), "--resume", "--no-measure", "--json"))
    assert all(member["error"] <= 1 for member in said["front"])
    assert {line["what"] for line in said["spent"]} >= {"training steps", "evaluations, every one"}
    assert "evaluations, one a generation" in front
    assert "population_size = 4" in (folder / "run" / "config.toml").read_text()


def test_an_export_is_verified_and_benched_against_the_table(folder: Path) -> None:
    out = _run("export", str(folder / "run"), "--pick", "knee", "--pick", "fastest")
    assert "knee.onnx" in out
    card = json.loads((folder / "run" / "export" / "knee.json").read_text())
    assert card["verified"]["max_difference_to_torch"] <= 1e-4
    assert card["verified"]["error"] == pytest.approx(card["costs_of_the_deployed_network"]["error"])
    assert set(card["description"]) == {"arch_str", "code"}
    bench = json.loads(_run("bench", str(folder / "run" / "export" / "knee.onnx"), _AT_ONCE, _BUSY, "--json"))
    assert bench["predicted_ms"] == pytest.approx(card["costs_of_the_deployed_network"]["latency_ms"])
    assert bench["measured_ms"] > 0
    low, high = bench["measured_interval_ms"]
    assert low <= bench["measured_ms"] <= high


def test_all_members_are_exported_by_one_word(folder: Path, tmp_path: Path) -> None:
    _run("export", str(folder / "run"), "--pick", "all", "--to", str(tmp_path))
    assert len(list(tmp_path.glob("member-*.onnx"))) == len(list(tmp_path.glob("member-*.json"))) >= 1


def test_a_spread_of_members_is_exported_by_their_numbers(folder: Path, tmp_path: Path) -> None:
    _run("export", str(folder / "run"), "--pick", "spread:2", "--to", str(tmp_path))
    names = {path.stem for path in tmp_path.glob("member-*.onnx")}
    said = json.loads(_run("search", "--run", str(folder / "run"), "--resume", "--no-measure", "--json"))
    members = [f"member-{place:03d}" for place in range(len(said["front"]))]
    assert len(names) == min(2, len(members))
    assert "member-000" in names <= set(members)


@pytest.mark.slow  # a genotype is benched here below, and an architecture on the fake device elsewhere
def test_an_architecture_is_benched_without_training(folder: Path) -> None:
    text = ".".join(["0"] * 6)
    config = ("--config", str(folder / "config.toml"), "--table", str(folder / "table.jsonl"))
    bench = json.loads(_run("bench", "--architecture", text, *config, _AT_ONCE, _BUSY, "--json"))
    assert bench["network"] == text
    assert bench["predicted_ms"] > 0


def test_a_published_genotype_is_benched(folder: Path) -> None:
    card = json.loads((folder / "run" / "export" / "knee.json").read_text())
    (folder / "genotype.json").write_text(json.dumps(card["description"]))
    config = ("--config", str(folder / "config.toml"), "--table", str(folder / "table.jsonl"))
    bench = json.loads(
        _run("bench", "--genotype", str(folder / "genotype.json"), *config, _AT_ONCE, _BUSY, "--json")
    )
    assert bench["network"] == card["architecture"]
    assert bench["predicted_ms"] == pytest.approx(card["costs_of_the_deployed_network"]["latency_ms"])


def test_a_report_shows_the_run(folder: Path) -> None:
    _run("report", str(folder / "run"))
    assert "<svg" in (folder / "run" / "report.html").read_text()
