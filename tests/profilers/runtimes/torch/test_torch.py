"""torch on the processors of this machine, and what it refuses to be measured on."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cars_hw.networks.graph import network_spec
from cars_hw.weights.network import Network
from devices import Adapter, Device, DeviceError, Fake
from devices.cpu import Cpu
from devices.foundation import ConfigError
from latency_tables.measurement import FailureStatus
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers.errors import ProfilingError, UnsupportedOperationError, WrongOutputError
from profilers.lowering.batch_norm import distinct_statistics
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import LoweredModel, Workload
from profilers.runtimes.torch import Torch
from tests.fakes.cards import PlayedCard
from tests.fakes.modules import Drifting, Join, Overflow, conv
from tests.fakes.small_spaces import small

SPEC = OpSpec.of("conv", (1, 8, 12, 12))

_QUICK = MeasurementPlan(precision=0.1, min_rounds=5, spread_s=0.0, max_rounds=40, budget_s=2.0)


def latency_s(build: Callable[[], nn.Module], spec: OpSpec = SPEC, **settings: object) -> float:
    device = Cpu.connect("")
    with device.quiet(1), Torch(1, **settings).prepare(Workload(spec, build), device) as sampler:
        [found] = sampler(4)
        return found


class Watched(nn.Module):
    """Keeps what its last call was given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 4, 3)
        self.given, self.threads = torch.empty(0), 0

    def forward(self, x: Tensor) -> Tensor:
        self.given, self.threads = x, torch.get_num_threads()
        result: Tensor = self.conv(x)
        return result


@pytest.mark.parametrize(
    ("spec", "build"),
    [
        (SPEC, conv),
        (OpSpec.of("join", (1, 8, 12, 12), inputs=2), Join),
        (OpSpec.of("linear", (1, 64)), lambda: nn.Linear(64, 10)),
        (OpSpec.of("identity", (1, 1, 1, 1)), nn.Identity),
    ],
)
def test_a_workload_gives_the_mean_of_a_block(spec: OpSpec, build: Callable[[], nn.Module]) -> None:
    assert latency_s(build, spec) > 0


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_images_and_weights_have_the_layout_that_was_asked_for(layout: torch.memory_format) -> None:
    watched = Watched()
    latency_s(lambda: watched, layout=str(layout).removeprefix("torch.").removesuffix("_format"))
    assert watched.given.is_contiguous(memory_format=layout)
    assert watched.conv.weight.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_images_and_weights_are_of_the_numbers_that_were_asked_for(dtype: str) -> None:
    watched = Watched()
    latency_s(lambda: watched, dtype=dtype)
    assert watched.given.dtype == watched.conv.weight.dtype == getattr(torch, dtype)


def test_a_call_takes_a_batch_of_different_images() -> None:
    watched = Watched()
    latency_s(lambda: watched, batch=3)
    assert watched.given.shape == (3, 8, 12, 12)
    assert not torch.equal(watched.given[0], watched.given[1])


def test_nothing_is_kept_for_a_backward_pass() -> None:
    watched = Watched()
    latency_s(lambda: watched)
    assert watched.given.is_inference()


def test_a_call_has_its_threads_and_gives_them_back() -> None:
    before, watched = torch.get_num_threads(), Watched()
    with Torch(3).prepare(Workload(SPEC, lambda: watched), Cpu.connect("")) as sampler:
        torch.set_num_threads(before)
        sampler(2)
    assert watched.threads == 3
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list threads")
def test_the_threads_of_a_workload_stay_on_the_processors_that_are_held_quiet() -> None:
    def threads() -> set[int]:
        return {int(task.name) for task in Path("/proc/self/task").iterdir()}

    large = OpSpec.of("conv", (1, 32, 64, 64))
    device = Cpu.connect("")
    torch.ones(1 << 20).add(1)  # torch has threads of its own by now, which may compute anywhere
    with device.quiet(1):
        before = threads()
        work = Workload(large, lambda: nn.Conv2d(32, 32, 3))
        with Torch(2).prepare(work, device) as sampler:
            sampler(1)
            started = threads() - before
            assert len(started) >= 2
            assert {tuple(os.sched_getaffinity(thread)) for thread in started} == {device.state().affinity}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_a_network_in_half_precision_agrees_within_its_tolerance(dtype: str, layout: str) -> None:
    space = small("nasbench201")
    graph = space.deployed(space.sample(np.random.default_rng(5)))

    def build() -> nn.Module:
        network = Network.untrained(graph, whole=True)
        distinct_statistics(network, seed=0)
        return network

    assert latency_s(build, network_spec(graph), dtype=dtype, layout=layout) > 0


class Rounded(nn.Module):
    """Computes a third too much, in half precision only."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.dtype == torch.float32 else x * 4 / 3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_excuses_no_wrong_kernel(dtype: str) -> None:
    images = OpSpec.of("rounded", (1, 8, 12, 12))
    with pytest.raises(WrongOutputError, match=r"differs from torch's"):
        latency_s(Rounded, images, dtype=dtype)


def test_an_output_that_differs_or_is_not_finite_is_refused() -> None:
    with pytest.raises(WrongOutputError, match=r"differs from torch's"):
        latency_s(Drifting)
    with pytest.raises(WrongOutputError, match="1152 of 1152 outputs"):
        latency_s(Overflow)


def test_a_module_that_does_not_fit_its_key_is_refused_in_one_line() -> None:
    with pytest.raises(UnsupportedOperationError, match=r"torch failed on conv\[1x8x12x12"):
        latency_s(lambda: nn.Conv2d(4, 4, 3))


class Failing(nn.Module):
    """Computes a few calls, and then no more."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 3:
            raise RuntimeError("CUDA error: unspecified launch failure\nmore of it")
        return x


def test_a_block_that_fails_is_an_error_of_that_workload() -> None:
    with pytest.raises(ProfilingError, match=r"torch failed on conv.*: CUDA error: unspecified launch fail"):
        latency_s(Failing)


class Greedy(nn.Module):
    """Takes more memory than there is."""

    def forward(self, x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB")


def test_too_little_memory_is_said_with_what_helps() -> None:
    with pytest.raises(ProfilingError, match="takes more memory than there is; take a smaller batch"):
        latency_s(Greedy, batch=4)


def test_files_and_other_numbers_than_the_setting_says_are_refused(tmp_path: Path) -> None:
    device = Cpu.connect("")
    for source in (tmp_path / "model.onnx", LoweredModel(b"")):
        with (
            pytest.raises(UnsupportedOperationError, match="no files"),
            Torch().prepare(Workload(SPEC, source), device),
        ):
            pass
    with pytest.raises(UnsupportedOperationError, match="measures float32"):
        latency_s(conv, OpSpec("conv", (1, 8, 12, 12), dtype="int8"))


@pytest.mark.parametrize(
    ("settings", "device", "why"),
    [
        ({"dtype": "tf32"}, Cpu.connect(""), "dtype tf32 is for cards, not for cpu"),
        ({"mode": "cold"}, Cpu.connect(""), "mode cold is for cards, not for cpu"),
        ({}, Fake.connect(""), "not on fake; use cpu or gpu"),
        ({}, PlayedCard(Adapter("SwiftShader", 0x1AE0, 1, is_software=True)), "which a processor plays"),
    ],
    ids=["tf32", "cold", "fake", "software"],
)
def test_what_cannot_be_measured_on_a_device_is_refused(
    settings: dict[str, object], device: Device, why: str
) -> None:
    runtime = Torch(1, **settings)
    with pytest.raises(DeviceError, match=why):
        runtime.version(device)
    with pytest.raises(DeviceError, match=why), runtime.prepare(Workload(SPEC, conv), device):
        pass


@pytest.mark.parametrize(
    "settings", [{"layout": "nhwc"}, {"dtype": "half"}, {"batch": 0}, {"mode": "hot"}, {"cudnn_benchmark": 1}]
)
def test_a_setting_that_means_nothing_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"torch: {next(iter(settings))}"):
        Torch(1, **settings)


def test_a_table_says_all_settings_and_holds_what_was_right() -> None:
    wrong = OpSpec.of("drifting", (1, 8, 12, 12))
    with Cpu.connect("") as device:
        profiler = Profiler(device, Torch(batch=2), _QUICK)
        table = LatencyTable.in_memory(profiler.header())
        list(profiler.fill(table, [Workload(SPEC, conv), Workload(wrong, Drifting)]))
    assert 0 < table[SPEC].latency_s < 1
    assert table.failures[wrong].status is FailureStatus.WRONG_OUTPUT
    assert (table.header.runtime, table.header.executes) == ("torch", "whole")
    assert table.header.settings == {
        "layout": "channels_last",
        "dtype": "float32",
        "batch": 2,
        "mode": "warm",
        "cudnn_benchmark": "on",
    }
