"""TFLite, really run on this machine's processors; no test depends on how long anything takes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from devices._errors import DeviceError
from devices._gpu.cards import cards
from devices._gpu.nvml import Nvml
from devices._gpu.vulkan import VulkanCard
from devices.cpu import Cpu
from devices.foundation.errors import ConfigError
from devices.gpu import Gpu
from latency_tables.measurement import FailureStatus
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers import runtimes
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.lowering._tflite.flatbuffer import serialize
from profilers.lowering._tflite.graph import Graph
from profilers.lowering.tflite import lower
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Workload
from profilers.runtimes._tflite import host
from profilers.runtimes.tflite import TfLite
from tests.fakes.modules import Join, conv
from tests.fakes.nvml import FakeNvml
from tests.fakes.tflite_files import with_custom_operation

SPEC = OpSpec.of("conv", (1, 8, 12, 12))

_QUICK = MeasurementPlan(precision=0.1, min_rounds=5, spread_s=0.0, max_rounds=40, budget_s=2.0)


class Thinned(nn.Module):
    """Skips every second row in between, for which XNNPACK has no kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(self.first(x)[:, :, ::2])
        return y


def prepared(
    source: Callable[[], nn.Module] | Path, spec: OpSpec = SPEC, runtime: TfLite | None = None
) -> dict[str, object]:
    """Load a workload, run a block of it, and return what goes on record."""
    device = Cpu.connect("")
    with device.quiet(1), (runtime or TfLite()).prepare(Workload(spec, source), device) as sampler:
        (latency_s,) = sampler(4)
        assert latency_s > 0
        return dict(sampler.facts())


def test_a_graphics_card_is_refused_for_nothing_would_run_on_it() -> None:
    adreno = VulkanCard("Adreno 740", 0x5143, 0x43050A01)
    [found] = cards([adreno], library=Nvml(FakeNvml()), drm=Path("/nonexistent"))
    with (
        pytest.raises(
            DeviceError, match="TFLite is measured on this machine, a board or a phone, not on gpu"
        ),
        TfLite().prepare(Workload(SPEC, conv), Gpu(found)),
    ):
        pass


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        (SPEC, conv),
        (OpSpec.of("pool", (1, 8, 12, 12)), lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        (OpSpec.of("join", (1, 8, 12, 12), inputs=2), Join),
        (OpSpec.of("linear", (1, 64)), lambda: nn.Linear(64, 10)),
        (OpSpec.of("identity", (1, 1, 1, 1)), nn.Identity),
    ],
)
@pytest.mark.parametrize("xnnpack", ["on", "off"])
def test_a_workload_that_agrees_with_torch_is_run(
    spec: OpSpec, source: Callable[[], nn.Module], xnnpack: str
) -> None:
    facts = prepared(source, spec, TfLite(xnnpack=xnnpack))
    assert facts["delegates"] == ("xnnpack" if xnnpack == "on" else "none")
    assert facts["nodes_outside"] == (0 if xnnpack == "on" else facts["nodes"])


def test_what_the_delegate_leaves_to_others_goes_on_record() -> None:
    assert prepared(Thinned) == {"delegates": "xnnpack", "partitions": 2, "nodes": 3, "nodes_outside": 1}
    off = prepared(Thinned, runtime=TfLite(xnnpack="off"))
    assert off == {"delegates": "none", "partitions": 0, "nodes": 3, "nodes_outside": 3}


def test_the_inputs_stay_in_place_from_call_to_call() -> None:
    device = Cpu.connect("")
    model = lower(conv().eval(), [SPEC.input_shape])
    with host.prepared(model, SPEC, device, reference=None) as loaded:
        first = loaded.outputs()[0]
        loaded(8)
        assert np.array_equal(loaded.outputs()[0], first)
        assert np.any(first != 0)


def test_what_has_no_form_in_tflite_is_unsupported() -> None:
    with pytest.raises(UnsupportedOperationError, match="Tanh has no form in TFLite"):
        prepared(nn.Tanh)


def test_a_file_is_run_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(lower(conv().eval(), [SPEC.input_shape]))
    assert prepared(tmp_path / "m.tflite")["nodes"] == 1


def test_an_operation_that_tflite_does_not_know_is_unsupported(tmp_path: Path) -> None:
    content = with_custom_operation(lower(conv().eval(), [SPEC.input_shape]))
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(UnsupportedOperationError, match=r"TFLite does not load conv\[.*Warp"):
        prepared(tmp_path / "m.tflite")


def test_a_failure_while_running_names_the_operation(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.add_input((1, 12, 12, 8))
    row = graph.constant(np.array([7], dtype=np.int32))
    graph.output = graph.add("GATHER", (x, row), (1, 12, 12, 8))
    (tmp_path / "m.tflite").write_bytes(serialize(graph))
    with pytest.raises(ProfilingError, match=r"TFLite failed on conv\[1x8x12x12;float32\]: .*gather"):
        prepared(tmp_path / "m.tflite")


@pytest.mark.parametrize("delegate", ["gpu", "nnapi"])
def test_the_delegates_of_phones_are_refused_here(delegate: str) -> None:
    with pytest.raises(DeviceError, match=f"delegate {delegate} is for phones"):
        TfLite(delegate=delegate).version(Cpu.connect(""))


@pytest.mark.parametrize("setting", ["xnnpack", "delegate", "require_full_delegation"])
def test_a_setting_has_one_of_its_values(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"^tflite: {setting} is 'yes'; it should be "):
        runtimes.load("tflite", 1, **{setting: "yes"})


@pytest.mark.parametrize("is_on", [True, False])
def test_a_switch_is_a_boolean_that_tables_and_configurations_may_spell_as_a_word(is_on: bool) -> None:
    word = "on" if is_on else "off"
    for runtime in (TfLite(xnnpack=is_on), TfLite(xnnpack=word)):
        assert runtime.settings.xnnpack is is_on
        assert runtime.header_settings()["xnnpack"] == word


def test_settings_go_into_the_header_of_a_table_but_the_path_of_a_program() -> None:
    runtime = runtimes.load("tflite", xnnpack="off", benchmark_binary="/home/me/benchmark_model")
    header = Profiler(Cpu.connect(""), runtime).header()
    assert header.settings == {"xnnpack": "off", "delegate": "cpu", "require_full_delegation": "on"}
    assert header.runtime == "tflite"
    assert header.runtime_version.startswith("ai-edge-litert ")


def test_what_the_delegate_runs_and_what_has_no_form_are_in_the_table() -> None:
    unknown = OpSpec.of("tanh", (1, 8, 12, 12))
    with Cpu.connect("") as device:
        profiler = Profiler(device, TfLite(), _QUICK)
        table = LatencyTable.in_memory(profiler.header())
        entries = list(profiler.fill(table, [Workload(SPEC, conv), Workload(unknown, nn.Tanh)]))
    assert len(entries) == 2
    assert table[SPEC].conditions["nodes_outside"] == 0
    assert table.failures[unknown].status is FailureStatus.UNSUPPORTED
