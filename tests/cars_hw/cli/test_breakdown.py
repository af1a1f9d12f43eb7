"""``bench --breakdown``: where a network's time goes, by its table and by the runtime's profiler."""

import json
from pathlib import Path

import pytest

import cars_hw
from cars_hw.assembly import make_space
from cars_hw.testing._tables import write_table, write_unit_table
from cars_hw.testing._tabular import TinySpace
from devices._device import DeviceInfo
from latency_tables import LatencyTable, Measurement, OpSpec, TableHeader
from profilers import ProfilingError, Quality
from tests.fakes import programs
from tests.fakes.command_line import run
from tests.fakes.forty_networks import FortyNetworks

_BENCH = ("bench", "--space=tests.fakes.forty_networks", "--architecture=0.1.2", "--spread-s=0")
_FAKE = ("--device=fake", "--runtime=fake", "--table=units.jsonl")
_BUSY = "--allow-changed=speed"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_network_is_broken_down_into_units_predicted_beside_profiled(folder: Path) -> None:
    write_unit_table(Path("units.jsonl"), FortyNetworks())
    told = json.loads(run(*_BENCH, *_FAKE, _BUSY, "--breakdown", "--json").out)
    found = told["breakdown"]
    assert found["predicted_ms"] == pytest.approx(told["predicted_ms"])
    assert found["uncorrected_ms"] == told["uncorrected_ms"]
    assert sum(part["predicted_ms"] for part in found["parts"]) == pytest.approx(told["predicted_ms"])
    units = [part for part in found["parts"] if part["class"] != "call"]
    assert units
    assert all(part["predicted_count"] == part["profiled_count"] > 0 for part in units)
    shown = run(*_BENCH, *_FAKE, _BUSY, "--breakdown", "--rows=1")
    assert shown.status == 0
    for words in ("predicted ms", "profiled ms", "call", "sum", "measured", "others"):
        assert words in shown.out


def test_without_a_table_the_profile_stands_alone(folder: Path) -> None:
    shown = run(*_BENCH, "--device=fake", "--runtime=fake", "--breakdown")
    assert shown.status == 0
    assert "profiled ms" in shown.out
    assert shown.out.count("predicted ms") == 1  # of the bench itself


def test_a_runtime_that_shows_no_profile_says_so_in_one_line(folder: Path) -> None:
    words = ("--device=tests.fakes.sleeping", "--runtime=tests.fakes.slow_runtime", "--breakdown")
    shown = run(*_BENCH, *words)
    assert shown.status == 0
    assert shown.out.splitlines()[-1] == "no profile: tests.fakes.slow_runtime does not time its operators"


def test_a_table_of_operations_is_broken_down_into_operations(folder: Path) -> None:
    write_table(Path("units.jsonl"), FortyNetworks(), kind="fake", runtime="fake")
    found = json.loads(run(*_BENCH, *_FAKE, "--allow-changed=device", "--breakdown", "--json").out)[
        "breakdown"
    ]
    predicted = [part["predicted_ms"] for part in found["parts"] if part["predicted_ms"] is not None]
    assert sum(predicted) == pytest.approx(found["predicted_ms"])
    assert any("the table is of operations" in note for note in found["notes"])


def test_a_bench_that_does_not_know_its_workload_is_refused() -> None:
    measured = Measurement(OpSpec.of("onnx", (1, 1, 4, 4)), (1e-3,))
    with pytest.raises(ProfilingError, match="was not measured by bench"):
        cars_hw.break_down(cars_hw.Bench("old.onnx", measured, None))


def test_a_table_of_whole_networks_shows_its_entries_and_says_why(folder: Path) -> None:
    header = TableHeader(DeviceInfo("npu", "One", "", "", 0), "vendor", "1", 1, keyed_by="networks")
    with LatencyTable.create("networks.jsonl", header) as table:
        table.add(Measurement(OpSpec.of("network", (1, 3, 8, 8), digest="g0"), (1e-3,)))
    shown = run("table", "show", "networks.jsonl", "--by=operation")
    assert shown.out == run("table", "show", "networks.jsonl").out
    assert "networks.jsonl: a table of whole networks alone" in shown.err
    assert (
        json.loads(run("table", "show", "networks.jsonl", "--by=operation", "--json").out)["by_operation"]
        == []
    )


def test_a_table_of_operations_shows_its_entries_and_says_why(folder: Path) -> None:
    path = write_table(folder / "o.jsonl", TinySpace())
    assert "its entries say what each of them takes" in run("table", "show", str(path), "--by=operation").err


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "tool"), [("onnxruntime", "perf_test"), ("tflite", "benchmark_model")])
def test_a_phone_says_where_the_time_of_a_network_goes(folder: Path, runtime: str, tool: str) -> None:
    binary = folder / tool
    binary.write_bytes(getattr(programs, tool)())
    words = (
        f"--device=tests.fakes.local_remote:{folder}",
        f"--runtime={runtime}",
        f"--benchmark-binary={binary}",
    )
    found = json.loads(run(*_BENCH, *words, "--breakdown", "--json").out)["breakdown"]
    assert sum(part["profiled_count"] for part in found["parts"]) > 0
    assert sum(part["profiled_share"] for part in found["parts"]) == pytest.approx(1)


@pytest.mark.slow
def test_an_exported_network_is_broken_down_by_its_own_runtime(folder: Path) -> None:
    config = cars_hw.SearchConfig.model_validate({"space": {"name": "tests.fakes.forty_networks"}})
    space = make_space(config)
    result = cars_hw.bench_architecture(space, (0, 1, 2), config, quality=Quality(spread_s=0))
    found = cars_hw.break_down(result)
    assert found.profiled_s is not None
    assert found.predicted_s is None
    assert all(part.spec is not None for part in found.parts)
