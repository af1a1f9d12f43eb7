"""ONNX Runtime's WebGPU provider, really run on a card that a processor plays; none of its times are told."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cars_hw.networks.graph import network_spec
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from devices import Accelerator, DeviceError
from devices.cpu import Cpu
from devices.gpu import Gpu
from latency_tables import FailureStatus, LatencyTable, OpSpec, Unit
from profilers import MeasurementPlan, Profiler, Workload
from profilers.errors import FellBackError, ProfilingError, UnsupportedOperationError
from profilers.runtimes._onnxruntime.providers.provider import provider_on
from profilers.runtimes._onnxruntime.providers.sampler import CardSampler, CardWork, Loading
from profilers.runtimes._onnxruntime.session import quiet_options
from profilers.runtimes._runtime import LoweredModel, Timed
from profilers.runtimes.onnxruntime import OnnxRuntime
from tests.fakes.modules import conv
from tests.fakes.networks import learnt
from tests.fakes.small_spaces import small
from tests.fakes.software_card import DRIVER, software_card

SHAPE = (1, 8, 12, 12)
WEIGHTS = np.ones((4, 8, 3, 3), np.float32)
CONV = Workload(OpSpec.of("conv", SHAPE), conv)


@pytest.fixture(name="card")
def _card(monkeypatch: pytest.MonkeyPatch) -> Accelerator:
    return software_card(monkeypatch)


def model(*nodes: onnx.NodeProto) -> Workload:
    """Return the network of ``nodes``, which reads x and writes y."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", 17)]
    made = helper.make_model(
        helper.make_graph(list(nodes), "g", [value], [result]), opset_imports=opsets, ir_version=8
    )
    return Workload(OpSpec.of("model", SHAPE), LoweredModel(made.SerializeToString()))


def test_a_block_of_more_calls_takes_longer(card: Accelerator) -> None:
    with card.quiet(1), OnnxRuntime(provider="webgpu").prepare(CONV, card) as sampler:
        blocks_s = {n: min(n * sum(sampler(n)) for _ in range(2)) for n in (2, 16)}
    assert blocks_s[16] > 3 * blocks_s[2]


def test_a_cold_call_is_timed_after_the_cache_was_filled(card: Accelerator) -> None:
    with card.quiet(1), OnnxRuntime(provider="webgpu", mode="cold").prepare(CONV, card) as sampler:
        start_s = time.perf_counter()
        [latency_s] = sampler(2)
        assert 0 < 2 * latency_s < time.perf_counter() - start_s


@pytest.mark.parametrize("operator", ["Softsign", "Hardmax"])
def test_a_node_that_the_provider_lacks_is_no_number_and_is_named(card: Accelerator, operator: str) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node(operator, ["a"], ["y"])]
    told = rf"model\[.*\]: provider webgpu leaves {operator} to the CPU"
    with (
        pytest.raises(FellBackError, match=told),
        OnnxRuntime(provider="webgpu").prepare(model(*nodes), card),
    ):
        pass


def test_a_node_that_another_provider_ran_is_found_in_the_profile(card: Accelerator) -> None:
    class Lenient:
        """The provider, as it would be without a strict session."""

        name, full_name = "webgpu", "WebGpuExecutionProvider"

        def require_running(self) -> None:
            provider_on("webgpu", card).require_running()

        def alone(self):  # type: ignore[no-untyped-def]
            return provider_on("webgpu", card).alone()

        def session(self, content, options, *, is_strict=True):  # type: ignore[no-untyped-def]
            return provider_on("webgpu", card).session(content, options, is_strict=False)

    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Softsign", ["a"], ["y"])]
    workload = model(*nodes)
    assert isinstance(workload.source, LoweredModel)
    loading = Loading(Lenient(), threads=1, mode="warm")  # type: ignore[arg-type]
    with (
        pytest.raises(FellBackError, match="CPUExecutionProvider, not webgpu, ran Softsign"),
        loading.sampler(workload.source.content, workload.spec, card, is_optimised=False),
    ):
        pass


def test_a_node_that_loads_and_fails_at_its_first_run_is_unsupported(card: Accelerator) -> None:
    pool = helper.make_node("MaxPool", ["x"], ["y", "places"], kernel_shape=[2, 2])
    told = r"ONNX Runtime loads model\[.*\], and cannot run it: .*Indices output is not supported"
    with (
        pytest.raises(UnsupportedOperationError, match=told),
        OnnxRuntime(provider="webgpu").prepare(model(pool), card),
    ):
        pass


class Lost:
    """A session, or a workload, on a card that fell off its bus."""

    def run(self, outputs: object, inputs: object) -> None:
        raise RuntimeError("Device is lost")

    def launch(self) -> None:
        raise ProfilingError("ONNX Runtime failed on it")


def test_a_card_that_was_lost_makes_no_operation_unsupported(card: Accelerator) -> None:
    provider = replace(provider_on("webgpu", card), first=Lost())
    pool = model(helper.make_node("MaxPool", ["x"], ["y", "places"], kernel_shape=[2, 2]))
    assert isinstance(pool.source, LoweredModel)
    with (
        pytest.raises(DeviceError, match="ran webgpu and runs nothing any more: Device is lost"),
        Loading(provider, 1, "warm").sampler(pool.source.content, pool.spec, card, is_optimised=False),
    ):
        pass


def test_a_card_that_is_lost_in_a_block_ends_more_than_that_workload(card: Accelerator) -> None:
    working = provider_on("webgpu", card)
    lost = replace(working, first=Lost())
    work: CardWork = Lost()  # type: ignore[assignment]
    with pytest.raises(DeviceError, match="runs nothing any more"):
        CardSampler(work, lost, card, None)(1)
    with pytest.raises(ProfilingError, match="failed on it"):
        CardSampler(work, working, card, None)(1)


def test_a_batch_is_run_as_one_call(card: Accelerator) -> None:
    runtime = OnnxRuntime(provider="webgpu", batch=3)
    with card.quiet(1), runtime.prepare(CONV, card) as sampler:
        assert isinstance(sampler, CardSampler)
        [output] = sampler.outputs()
    assert output.shape == (3, 16, 12, 12)


def test_what_it_counts_is_what_it_executes_and_every_unit_runs_alone(card: Accelerator) -> None:
    space, runtime = small("darts"), OnnxRuntime(provider="webgpu", batch=2)
    graph = space.deployed(space.sample(np.random.default_rng(0)))
    counter = runtime.counter(modules.build)
    counted = counter.executed(graph.nodes)
    workload = Workload(network_spec(graph), lambda: learnt(Network.untrained(graph), seed=1))
    assert runtime.executed(workload, card).counts == counted.counts
    units = [Unit.of(unit) for unit in counted.counts]
    assert {"Conv", "MaxPool"} & {unit.operator for unit in units if unit.domain == "com.ms.internal.nhwc"}
    assert all(shape[0] == 2 for unit in units for shape in unit.input_shapes)
    for unit in list(counted.counts)[::4]:
        with runtime.prepare(counter.workload(unit), card) as sampler:
            assert sampler(1)[0] > 0


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Conv", {"strides": [2, 3], "dilations": [2, 1], "pads": [0, 2, 1, 0]}),
        ("Conv", {"auto_pad": "SAME_UPPER", "strides": [4, 2]}),
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 0, 1]}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
        ("AveragePool", {"kernel_shape": [3, 2], "strides": [2, 1]}),
        ("GlobalAveragePool", {}),
    ],
)
def test_the_shape_of_what_it_executes_is_the_one_that_it_computes(
    operator: str, attributes: dict[str, int | str | list[int]], card: Accelerator
) -> None:
    weights = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(WEIGHTS))
    inputs = ["x", "w"] if operator == "Conv" else ["x"]
    node = helper.make_node(operator, inputs, ["y"])
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    workload = model(*([weights] if operator == "Conv" else []), node)
    runtime = OnnxRuntime(provider="webgpu")
    executed = runtime.executed(workload, card)
    assert any("com.ms.internal.nhwc" in str(unit) for unit in executed.counts)
    with runtime.prepare(workload, card) as sampler:
        assert isinstance(sampler, CardSampler)
        [output] = sampler.outputs()
    assert Unit.of(executed.nodes[-1].unit).output_shape == output.shape


def test_a_table_of_a_played_card_holds_what_ran_there_and_no_latency(card: Accelerator) -> None:
    runtime = OnnxRuntime(provider="webgpu")
    profiler = Profiler(card, runtime, MeasurementPlan(processes=1))
    table = LatencyTable.in_memory(profiler.header())
    lacking = model(helper.make_node("Softsign", ["x"], ["y"]))
    found = {entry.spec: entry for entry in profiler.fill(table, [CONV, lacking])}
    assert not table.measurements
    assert table.failures[CONV.spec].status is FailureStatus.UNTIMED
    assert "played by a processor" in table.failures[CONV.spec].reason
    assert table.failures[lacking.spec].status is FailureStatus.FELL_BACK
    assert len(found) == 2
    assert table.header.settings == {"provider": "webgpu"}
    assert "onnxruntime-ep-webgpu" in table.header.runtime_version


def test_an_entry_of_a_card_keeps_how_it_is_launched_and_what_a_call_costs(card: Accelerator) -> None:
    class Counting(Gpu):
        """The card, as if it were one that is timed and draws 100 W."""

        def why_untimed(self) -> str | None:
            return None

        def energy_j(self) -> float | None:
            return 100.0 * self.clock_s()

    with Counting.connect("software") as timed:
        facts = {}
        for mode in ("warm", "cold"):
            with OnnxRuntime(provider="webgpu", mode=mode).prepare(CONV, timed) as sampler:
                facts[mode] = sampler.facts()
    assert facts["warm"].keys() == {"launch_s", "launch_bound", "energy_j_per_call"}
    assert facts["cold"].keys() == {"launch_s", "energy_j_per_call"}  # each call is waited for
    joules, launch_s = facts["warm"]["energy_j_per_call"], facts["warm"]["launch_s"]
    assert isinstance(joules, float)
    assert isinstance(launch_s, float)
    assert joules / 100.0 > launch_s > 0


def test_a_block_that_the_card_reports_as_disturbed_says_so(card: Accelerator) -> None:
    class Shared(Gpu):
        """The card, on which others work."""

        def disturbance(self) -> str | None:
            return "another process uses the card"

    with (
        Shared.connect("software") as shared,
        OnnxRuntime(provider="webgpu").prepare(CONV, shared) as sampler,
    ):
        timed = sampler(1)
    assert isinstance(timed, Timed)
    assert timed.disturbance == "another process uses the card"


def test_its_profiler_is_not_asked_for_times_that_it_does_not_know(card: Accelerator) -> None:
    with pytest.raises(UnsupportedOperationError, match="when work was given to it, not how long it took"):
        OnnxRuntime(provider="webgpu").breakdown(CONV, card)


def test_a_card_runs_no_provider_of_processors(card: Accelerator) -> None:
    with pytest.raises(DeviceError, match=r"provider cpu does not run on a card; .*provider=webgpu"):
        OnnxRuntime().version(card)


def test_a_processor_runs_no_webgpu() -> None:
    with pytest.raises(DeviceError, match="provider webgpu runs on graphics cards"):
        next(OnnxRuntime(provider="webgpu").executed_each([CONV], Cpu.connect("")))


def test_a_failure_while_running_names_the_operation(card: Accelerator) -> None:
    provider = provider_on("webgpu", card)
    content = model(helper.make_node("Relu", ["x"], ["y"])).source
    assert isinstance(content, LoweredModel)
    session = provider.session(content.content, quiet_options(threads=1))
    smaller = np.ones((1, 8, 12, 11), np.float32)
    with pytest.raises(ProfilingError, match="ONNX Runtime failed on it: "):
        CardWork(session, [smaller], [smaller], "it").launch()


_TWICE = """
import sys, threading
from pathlib import Path
import devices
from latency_tables import OpSpec
from profilers import Workload, runtimes

workload = Workload(OpSpec.of("model", (1, 8, 12, 12)), Path(sys.argv[1]))

def run():
    with devices.connect("gpu:software") as card:
        runtime = runtimes.load("onnxruntime", provider="webgpu")
        runtime.executed(workload, card)
        with runtime.prepare(workload, card) as sampler:
            assert sampler(2)[0] > 0

threads = [threading.Thread(target=run) for _ in range(4)]
for one in threads:
    one.start()
for one in threads:
    one.join()
run()
print("ran")
"""

_NO_CARD = """
import sys
from pathlib import Path
from devices import Accelerator, Adapter, DeviceError
from devices.cpu import Cpu
from devices.gpu import Gpu
from latency_tables import OpSpec
from profilers import Workload, runtimes

class Vanished(Cpu, Accelerator):
    adapter = Adapter("SwiftShader", 0x1AE0, 0xC0DE, is_software=True)

workload, card = Workload(OpSpec.of("model", (1, 8, 12, 12)), Path(sys.argv[1])), Vanished.connect("")
try:
    with runtimes.load("onnxruntime", provider="webgpu").prepare(workload, card):
        print("it ran on something")
except DeviceError as error:
    print(error)
"""

_FINDS_NONE = """
from devices import DeviceError
from profilers.runtimes._onnxruntime.providers.provider import provider_anywhere

for _ in range(2):
    try:
        provider_anywhere("webgpu")
    except DeviceError as error:
        print(error)
"""


def run_python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a process of its own, which is given the path of a model."""
    relu = model(helper.make_node("Relu", ["x"], ["y"])).source
    assert isinstance(relu, LoweredModel)
    (folder / "model.onnx").write_bytes(relu.content)
    argv: Sequence[str] = [sys.executable, "-c", code, str(folder / "model.onnx")]
    root = str(Path(__file__).parents[4])
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": root, **environment},
    )


def test_a_process_registers_the_library_once_and_runs_in_many_threads(
    card: Accelerator, tmp_path: Path
) -> None:
    done = run_python(_TWICE, tmp_path, VK_ICD_FILENAMES=str(DRIVER))
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr


def test_a_missing_card_is_said_and_nothing_runs_on_the_processor_instead(
    card: Accelerator, tmp_path: Path
) -> None:
    done = run_python(_NO_CARD, tmp_path, VK_ICD_FILENAMES=str(tmp_path / "none.json"), VK_DRIVER_FILES="")
    assert "provider webgpu does not run on SwiftShader: " in done.stdout, done.stderr
    assert done.returncode == 0


def test_a_plug_in_that_lists_no_hardware_is_registered_once_and_said_to_find_none(
    card: Accelerator, tmp_path: Path
) -> None:
    nothing = {"VK_ICD_FILENAMES": str(tmp_path / "none.json"), "VK_DRIVER_FILES": ""}
    done = run_python(_FINDS_NONE, tmp_path, ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER="0", **nothing)
    told = "provider webgpu does not run here: its plug-in finds no hardware; see docs/gpu.md\n"
    assert (done.returncode, done.stdout) == (0, 2 * told), done.stderr
