"""The verbs on a remote device, which is this machine in the part of a phone."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cars_hw.assembly import open_table
from cars_hw.cli import app
from cars_hw.cli._commands import profile_command
from cars_hw.cli._options import resolve_measuring
from cars_hw.testing._tables import write_table
from cars_hw.testing._tabular import TinySpace
from devices._errors import DeviceError
from latency_tables.errors import TableMismatchError
from latency_tables.table import LatencyTable
from tests.fakes import programs

SPACE = "tests.fakes.two_options"
DEVICE = "tests.fakes.local_remote"


def test_the_program_for_a_phone_is_a_setting_of_its_runtime(tmp_path: Path) -> None:
    path = tmp_path / "benchmark_model"
    resolved = resolve_measuring(
        None, ["latency.settings.xnnpack=off"], None, None, runtime="tflite", benchmark_binary=path
    )
    assert resolved.latency.settings == {"xnnpack": "off", "benchmark_binary": str(path)}
    assert f"latency.settings.benchmark_binary={path}" in profile_command(resolved)


def test_a_boolean_of_a_runtime_is_kept_and_named_as_set_reads_it() -> None:
    resolved = resolve_measuring(None, ["latency.settings.xnnpack=false"], None, None, runtime="tflite")
    assert resolved.latency.settings == {"xnnpack": False}
    assert "latency.settings.xnnpack=false" in profile_command(resolved)


def test_a_missing_program_is_said_with_the_remedy(tmp_path: Path) -> None:
    arguments = ["profile", f"--space={SPACE}", f"--device={DEVICE}:{tmp_path}", "--runtime=tflite"]
    arguments += [f"--benchmark-binary={tmp_path}/nowhere", f"--table={tmp_path}/table.jsonl"]
    with pytest.raises(DeviceError, match=r"nowhere.*CARS_HW_BENCHMARK_MODEL"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert not (tmp_path / "table.jsonl").exists()


def test_a_table_is_opened_wherever_the_program_lies_now_but_under_no_other_setting(tmp_path: Path) -> None:
    path = write_table(tmp_path / "table.jsonl", TinySpace())
    moved = resolve_measuring(None, None, None, None, table=path, benchmark_binary=tmp_path / "moved")
    open_table(moved.latency)
    other = resolve_measuring(None, ["latency.settings.xnnpack=off"], None, None, table=path)
    with pytest.raises(TableMismatchError, match="xnnpack"):
        open_table(other.latency)


@pytest.mark.slow
def test_a_profile_on_a_phone_is_complete_and_a_second_one_measures_nothing(tmp_path: Path) -> None:
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(programs.benchmark_model())
    table = tmp_path / "table.jsonl"
    arguments = ["profile", f"--space={SPACE}", f"--device={DEVICE}:{tmp_path}", "--runtime=tflite", "--json"]
    arguments += [f"--benchmark-binary={tool}", f"--table={table}", "--max-drift=100"]
    for measured, were_there in ((5, 0), (0, 5)):
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert (found["measured"], found["were_there"], found["failed"]) == (measured, were_there, [])
    assert LatencyTable.open(table).header.settings["delegate"] == "cpu"
