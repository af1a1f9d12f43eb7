"""What every runtime promises, on the first device here that it can use."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Self

import pytest
from torch import nn

import devices
from devices._device import Device, DeviceInfo, DeviceState
from devices._errors import DeviceError
from devices.foundation.errors import ConfigError, UnknownNameError
from latency_tables.measurement import Measurement
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers import runtimes
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Runtime, Workload

RELU = Workload(OpSpec.of("relu", (1, 8, 12, 12)), nn.ReLU)
CONV = Workload(OpSpec.of("conv", (1, 8, 12, 12)), lambda: nn.Conv2d(8, 8, 3, padding=1).eval())
BLOCK = Workload(
    OpSpec.of("block", (1, 8, 12, 12)),
    lambda: nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(6))).eval(),
)


class Nothing(Device):
    """A device without any capability."""

    @classmethod
    def connect(cls, address: str) -> Self:
        return cls()

    def info(self) -> DeviceInfo:
        return DeviceInfo("nothing", "none", "none", "none", cores=1)

    def state(self) -> DeviceState:
        return DeviceState()

    def quiet(self, threads: int) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture(params=runtimes.names())
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return runtimes.load(str(request.param))


@pytest.fixture
def device(runtime: Runtime) -> Device:
    for name in devices.names():
        if name == "android":
            continue  # whatever phone is plugged in here is not ours to measure on
        try:
            found = devices.connect(name)
            runtime.version(found)
        except DeviceError:
            continue
        return found
    pytest.skip(f"no device here for {type(runtime).__name__}")


def test_it_has_the_threads_that_were_asked_for(runtime: Runtime) -> None:
    assert runtime.threads == 1
    assert type(runtime)(4).threads == 4


def test_its_version_does_not_change(runtime: Runtime, device: Device) -> None:
    version = runtime.version(device)
    assert version
    assert version == runtime.version(device)


def test_a_sampler_gives_up_to_n_positive_latencies(runtime: Runtime, device: Device) -> None:
    with device.quiet(1), runtime.prepare(RELU, device) as sampler:
        for n in (1, 2, 8):
            latencies_s = sampler(n)
            assert 1 <= len(latencies_s) <= n
            assert all(latency_s > 0 for latency_s in latencies_s)


def test_several_workloads_are_loaded_at_once(runtime: Runtime, device: Device) -> None:
    with device.quiet(1), runtime.prepare(RELU, device) as relu, runtime.prepare(CONV, device) as conv:
        for sampler in (relu, conv, relu):
            assert sampler(2)


def test_workloads_are_prepared_for_several_devices_at_once(runtime: Runtime, device: Device) -> None:
    """As for several phones, each with a thread and a runtime of its own: torch traces in global state."""

    def prepare_all(mine: Runtime) -> None:
        for _ in range(20):
            with mine.prepare(BLOCK, device):
                pass

    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(2) as threads:
            done = [threads.submit(prepare_all, mine) for mine in (runtime, type(runtime)())]
            for one in done:
                one.result()
    finally:
        sys.setswitchinterval(before_s)


def test_a_device_without_the_capability_is_refused(runtime: Runtime) -> None:
    with pytest.raises(DeviceError):
        runtime.version(Nothing())
    with pytest.raises(DeviceError), runtime.prepare(RELU, Nothing()):
        pass


def test_a_table_is_filled_and_found_complete(runtime: Runtime, device: Device) -> None:
    plan = MeasurementPlan(precision=0.1, min_rounds=5, spread_s=0.0, max_rounds=10, budget_s=1.0)
    profiler = Profiler(device, runtime, plan)
    table = LatencyTable.in_memory(profiler.header())
    entries = list(profiler.fill(table, [RELU, CONV]))
    assert all(isinstance(entry, Measurement) for entry in entries)
    assert table.missing([RELU.spec, CONV.spec]) == ()
    assert table.header.runtime in runtimes.names()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown runtime 'onnxruntme'; did you mean 'onnxruntime'"):
        runtimes.load("onnxruntme")


def test_an_unknown_setting_is_refused(runtime: Runtime) -> None:
    name = type(runtime).__module__.rpartition(".")[2]
    with pytest.raises(UnknownNameError, match="no_such_setting"):
        runtimes.load(name, no_such_setting=1)


def test_less_than_a_thread_is_refused(runtime: Runtime) -> None:
    with pytest.raises(ConfigError, match="threads is 0; a call takes at least 1"):
        type(runtime)(0)


def test_settings_rebuild_the_runtime(runtime: Runtime) -> None:
    name = type(runtime).__module__.rpartition(".")[2]
    assert runtimes.load(name, 1, **runtime.header_settings()).header_settings() == runtime.header_settings()
