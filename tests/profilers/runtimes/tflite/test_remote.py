"""TFLite on a remote device: a stand-in for benchmark_model that really runs the model on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import nn

from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from latency_tables.spec import OpSpec
from latency_tables.units.unit import Unit
from profilers.errors import FellBackError, GarbledOutputError, ProfilingError, UnsupportedOperationError
from profilers.lowering._tflite import flatbuffer
from profilers.lowering.tflite import lower
from profilers.runtimes._runtime import OperatorTime, Workload
from profilers.runtimes._tflite import remote
from profilers.runtimes._tflite.remote import with_units
from profilers.runtimes._tflite.settings import TfLiteSettings
from profilers.runtimes.tflite import TfLite
from tests.fakes import programs
from tests.fakes.local_remote import LocalRemote

SPEC = OpSpec.of("conv", (1, 8, 12, 10))


def conv_and_pool() -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)).eval()


CONV = Workload(SPEC, conv_and_pool)


class Adder(nn.Module):
    def forward(self, first, second):  # type: ignore[no-untyped-def]
        return first + 2 * second


ADD = Workload(OpSpec.of("add", (1, 4, 6, 5), inputs=2), lambda: Adder().eval())


@dataclass(frozen=True)
class Whole:
    """A network of one operation."""

    slot: str = "whole"
    spec: OpSpec = SPEC
    inputs: tuple[str, ...] = ("image",)


def tflite(folder: Path, *, generation: str = "new", fault: str = "", **settings: str) -> TfLite:
    program = folder / "benchmark_model"
    program.write_bytes(programs.benchmark_model(generation=generation, fault=fault))
    return TfLite(1, benchmark_binary=str(program), **settings)


def runs(device: LocalRemote) -> list[list[str]]:
    return [words for words in device.ran if any(word.startswith("--graph=") for word in words)]


@pytest.fixture
def device(tmp_path: Path) -> LocalRemote:
    return LocalRemote(tmp_path)


@pytest.mark.parametrize("workload", [CONV, ADD])
def test_the_output_is_compared_with_torch_before_anything_is_timed(
    device: LocalRemote, workload: Workload
) -> None:
    with tflite(device.folder).prepare(workload, device) as sampler:
        assert sampler.facts() == {
            "output_compared": True,
            "delegates": "TfLiteXNNPackDelegate",
            "partitions": 1,
            "nodes_outside": 0,
        }
        assert len(runs(device)) == 1
        (latency_s,) = sampler(20)
        assert latency_s > 0


def test_each_block_is_a_process_of_so_many_calls(device: LocalRemote) -> None:
    with tflite(device.folder).prepare(CONV, device) as sampler:
        sampler(7)
        sampler(9)
    assert [[word for word in words if word.startswith("--num_runs")] for words in runs(device)] == [
        ["--num_runs=1"],
        ["--num_runs=7"],
        ["--num_runs=9"],
    ]
    assert all({"--min_secs=0", "--warmup_runs=1", "--num_threads=1"} <= set(words) for words in runs(device))


@pytest.mark.parametrize("generation", ["old", "compiled", "quiet"])
def test_a_tool_that_cannot_compare_says_that_nothing_was_compared(
    device: LocalRemote, generation: str
) -> None:
    with tflite(device.folder, generation=generation).prepare(CONV, device) as sampler:
        assert sampler.facts()["output_compared"] is False
        assert sampler.facts()["nodes_outside"] == 0
        assert sampler(20)[0] > 0


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("crash", ProfilingError, "exit status 134"),
        ("unwritten", ProfilingError, "exit status 0.*Segmentation fault"),
        ("truncated", GarbledOutputError, "run it again"),
        ("num_runs", ProfilingError, "does not know --num_runs=1"),
    ],
)
def test_each_fault_of_the_tool_is_an_error_and_never_a_number(
    device: LocalRemote, fault: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message), tflite(device.folder, fault=fault).prepare(CONV, device):
        pass


@pytest.mark.slow
def test_fault_04_a_model_that_hangs_is_killed(device: LocalRemote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_START_LIMIT_S", 2.0)
    runtime = tflite(device.folder, fault="hang")
    with pytest.raises(DeviceTimeoutError, match="killed"), runtime.prepare(CONV, device):
        pass


def test_fault_05_a_result_damaged_on_its_way_is_measured_once_more(device: LocalRemote) -> None:
    with tflite(device.folder).prepare(CONV, device) as sampler:
        damaged = iter([True])
        device.on_pull = lambda content: content[:40] if next(damaged, False) else content
        assert sampler(5)[0] > 0
        assert len(runs(device)) == 3
        device.on_pull = lambda content: content[:40]
        with pytest.raises(GarbledOutputError):
            sampler(5)
        assert len(runs(device)) == 5


def test_fault_01_a_device_that_is_lost_is_not_asked_again(device: LocalRemote) -> None:
    def lost(_: Sequence[str]) -> None:
        raise DeviceLostError("unplugged")

    with tflite(device.folder).prepare(CONV, device) as sampler:
        device.on_run = lost
        before = len(device.ran)
        with pytest.raises(DeviceLostError):
            sampler(5)
        assert len(device.ran) == before + 1


def test_results_are_gone_afterwards_and_models_are_kept(device: LocalRemote) -> None:
    runtime = tflite(device.folder)
    with runtime.prepare(CONV, device) as sampler:
        sampler(3)
        assert any(path.is_dir() for path in device.folder.iterdir())
    assert not any(path.is_dir() for path in device.folder.iterdir())
    kept = set(device.folder.iterdir())
    with runtime.prepare(CONV, device):
        pass
    models = {path for path in set(device.folder.iterdir()) - kept if path.read_bytes()[4:8] == b"TFL3"}
    assert len(models) <= 1  # torch drew other weights; the inputs and the tool are those of before


def test_the_tool_is_brought_to_a_device_once(device: LocalRemote) -> None:
    runtime = tflite(device.folder)
    for _ in range(2):
        runtime.version(device)
        with runtime.prepare(CONV, device):
            pass
    assert sum("--help" in words for words in device.ran) == 1


def test_the_version_names_the_file_and_the_settings_do_not(device: LocalRemote) -> None:
    runtime = tflite(device.folder)
    version = runtime.version(device)
    assert "SHA-256" in version
    assert version != tflite(device.folder, generation="old").version(device)
    assert str(device.folder) not in f"{runtime.version(device)}{runtime.header_settings()}"


@pytest.mark.parametrize("delegate", ["gpu", "nnapi"])
def test_a_delegate_that_runs_all_of_it_is_on_record(device: LocalRemote, delegate: str) -> None:
    with tflite(device.folder, delegate=delegate).prepare(CONV, device) as sampler:
        assert delegate in str(sampler.facts()["delegates"]).lower()
        assert sampler.facts()["nodes_outside"] == 0
    assert f"--use_{delegate}=true" in runs(device)[0]
    assert "--require_full_delegation=true" in runs(device)[0]


@pytest.mark.parametrize("generation", ["new", "old", "compiled"])
def test_a_node_outside_of_the_delegate_is_a_fall_back(device: LocalRemote, generation: str) -> None:
    runtime = tflite(device.folder, generation=generation, fault="fallback", delegate="gpu")
    with pytest.raises(FellBackError, match="Disallowed CPU fallback"), runtime.prepare(CONV, device):
        pass


def test_a_node_outside_of_the_delegate_is_recorded_where_that_is_allowed(device: LocalRemote) -> None:
    runtime = tflite(device.folder, fault="fallback", delegate="gpu", require_full_delegation="off")
    with runtime.prepare(CONV, device) as sampler:
        assert sampler.facts()["nodes_outside"] == 1
    assert not any(word.startswith("--require_full") for word in runs(device)[0])


def test_without_xnnpack_every_node_is_outside(device: LocalRemote) -> None:
    with tflite(device.folder, xnnpack="off").prepare(CONV, device) as sampler:
        assert sampler.facts()["delegates"] == "none"
        assert sampler.facts()["nodes_outside"] != 0


@pytest.mark.parametrize("settings", [{"delegate": "nnapi"}, {"xnnpack": "off"}])
def test_what_a_tool_cannot_do_is_said_before_anything_runs(
    device: LocalRemote, settings: dict[str, str]
) -> None:
    runtime = tflite(device.folder, generation="compiled", **settings)
    with pytest.raises(DeviceError, match=r"has no --.*get a build"), runtime.prepare(CONV, device):
        pass
    assert runs(device) == []


def test_a_file_that_is_no_model_is_unsupported(device: LocalRemote) -> None:
    program = remote.RemoteTfLite(1, TfLiteSettings(benchmark_binary=str(device.folder / "benchmark_model")))
    tflite(device.folder)
    with (
        pytest.raises(UnsupportedOperationError, match="interpreter"),
        program.prepared(b"no model", SPEC, device, reference=None),
    ):
        pass


def test_a_file_from_somewhere_else_is_measured_without_comparing(device: LocalRemote) -> None:
    path = device.folder / "model.tflite"
    module = nn.Conv2d(8, 4, 3).eval()
    path.write_bytes(lower(module, [SPEC.input_shape]))
    with tflite(device.folder).prepare(Workload(SPEC, path), device) as sampler:
        assert sampler.facts()["output_compared"] is False


def test_the_names_of_inputs_are_those_of_the_lowering() -> None:
    assert remote.INPUT_NAME == flatbuffer.INPUT_NAME


def test_a_network_is_broken_down_into_what_the_tool_says_it_ran(device: LocalRemote) -> None:
    parts = tflite(device.folder, xnnpack="off").breakdown(CONV, device)
    assert [time.operator for time in parts] == ["CONV_2D", "MAX_POOL_2D"]
    assert [time.unit for time in parts] == [
        node.unit for node in tflite(device.folder).executed(CONV, device).nodes
    ]
    assert all(time.mean_s >= 0 for time in parts)


def unit(operator: str) -> OpSpec:
    return Unit(operator, ((1, 4, 4, 8),), (1, 4, 4, 8)).spec()


def test_a_pad_is_timed_with_the_convolution_that_it_is_one_unit_with() -> None:
    ran = [OperatorTime("PAD", 1e-6), OperatorTime("CONV_2D", 4e-6), OperatorTime("PAD", 2e-6)]
    found = with_units(ran, [unit("CONV_2D"), unit("PAD")])
    assert [time.unit for time in found] == [unit("CONV_2D"), unit("PAD")]
    assert [time.mean_s for time in found] == pytest.approx([5e-6, 2e-6])


@pytest.mark.parametrize(
    "ran", [["TfLiteXNNPackDelegate"], ["CONV_2D"], ["CONV_2D", "ADD", "PAD"], ["ADD", "CONV_2D"]]
)
def test_what_runs_in_another_way_than_the_graph_has_no_units(ran: list[str]) -> None:
    times = [OperatorTime(operator, 1e-6) for operator in ran]
    assert with_units(times, [unit("CONV_2D"), unit("ADD")]) == times


def test_a_tool_that_times_no_operators_says_so(device: LocalRemote) -> None:
    with pytest.raises(UnsupportedOperationError, match="does not time its operators"):
        tflite(device.folder, generation="compiled").breakdown(CONV, device)


def test_a_unit_is_a_model_like_any_other(device: LocalRemote) -> None:
    runtime = tflite(device.folder)
    counter = runtime.counter(lambda _: conv_and_pool())
    counted = counter.executed([Whole()])
    assert runtime.executed(CONV, device) == counted
    with runtime.prepare(counter.workload(counted.nodes[0].unit), device) as sampler:
        assert sampler.facts()["output_compared"] is False
    assert len(runs(device)) == 1
