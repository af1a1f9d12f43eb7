"""What every runtime promises."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Self

import pytest
from torch import nn

import devices
from cars_hw.networks.graph import IMAGE, Graph, Node, network_spec
from cars_hw.testing._entries import measured
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from devices import Device, DeviceError, DeviceInfo, DeviceState
from devices.foundation import ConfigError, UnknownNameError, plugin_name
from latency_tables import LatencyTable, OpSpec, is_unit
from profilers import (
    MeasurementPlan,
    Profiler,
    Runtime,
    UnitCounter,
    UnsupportedOperationError,
    Workload,
    runtimes,
)

_RELU = Workload(OpSpec.of("relu", (1, 8, 12, 12)), nn.ReLU)
_CONV = Workload(OpSpec.of("conv", (1, 8, 12, 12)), lambda: nn.Conv2d(8, 8, 3, padding=1).eval())
_BLOCK = Workload(
    OpSpec.of("block", (1, 8, 12, 12)),
    lambda: nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(6))).eval(),
)

_IMAGE_SHAPE, _SHAPE = (1, 3, 8, 8), (1, 8, 8, 8)
_NETWORK = Graph(
    (
        Node("stem", OpSpec.of("conv_bn", _IMAGE_SHAPE, out=8, kernel=3, stride=1, affine=1), (IMAGE,)),
        Node("conv", OpSpec.of("relu_conv_bn", _SHAPE, out=8, kernel=1, stride=1, affine=1), ("stem",)),
        Node("pool", OpSpec.of("max_pool", _SHAPE, kernel=3, stride=1, batch_norm=0), ("stem",)),
        Node("sum", OpSpec.of("sum", _SHAPE, inputs=2), ("conv", "pool")),
        Node("classifier", OpSpec.of("classifier", _SHAPE, out=10), ("sum",)),
    )
)


class _Nothing(Device):
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


class RuntimeContract:
    """Tests of a runtime on a device here that it can use.

        class TestMyRuntime(RuntimeContract):
            name = "my_lab.my_runtime"

            def device(self) -> Device:
                return devices.connect("my_lab.accelerator")

    Attributes:
        name: The plug-in's.
    """

    name: str

    def runtime(self) -> Runtime:
        """Return the runtime with one thread; here, with its default settings."""
        return runtimes.load(self.name)

    def device(self) -> Device:
        """Connect to a device to run on; here, to the first of this project that is no phone."""
        for name in devices.names():
            if name == "android":
                continue  # whatever phone is plugged in here is not ours to measure on
            try:
                found = devices.connect(name)
                self.runtime().version(found)
            except DeviceError:
                continue
            return found
        pytest.skip(f"no device here for {self.name}")

    @pytest.fixture(name="runtime")
    def _runtime(self) -> Runtime:
        return self.runtime()

    @pytest.fixture(name="device")
    def _device(self) -> Iterator[Device]:
        with self.device() as device:
            yield device

    def test_it_is_named_after_its_file(self, runtime: Runtime) -> None:
        assert plugin_name(type(runtime)) == self.name

    def test_it_has_the_threads_that_were_asked_for(self, runtime: Runtime) -> None:
        assert runtime.threads == 1
        assert type(runtime)(4).threads == 4

    def test_its_version_does_not_change(self, runtime: Runtime, device: Device) -> None:
        version = runtime.version(device)
        assert version
        assert version == runtime.version(device)

    def test_a_sampler_gives_up_to_n_positive_latencies(self, runtime: Runtime, device: Device) -> None:
        with device.quiet(1), runtime.prepare(_RELU, device) as sampler:
            for n in (1, 2, 8):
                latencies_s = sampler(n)
                assert 1 <= len(latencies_s) <= n
                assert all(latency_s > 0 for latency_s in latencies_s)

    def test_several_workloads_are_loaded_at_once(self, runtime: Runtime, device: Device) -> None:
        with device.quiet(1), runtime.prepare(_RELU, device) as relu, runtime.prepare(_CONV, device) as conv:
            for sampler in (relu, conv, relu):
                assert sampler(2)

    def test_workloads_are_prepared_for_several_devices_at_once(
        self, runtime: Runtime, device: Device
    ) -> None:
        """As for several phones, each with a thread and a runtime: torch traces in global state."""

        def prepare_all(mine: Runtime) -> None:
            for _ in range(20):
                with mine.prepare(_BLOCK, device):
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

    def test_a_device_without_the_capability_is_refused(self, runtime: Runtime) -> None:
        with pytest.raises(DeviceError):
            runtime.version(_Nothing())
        with pytest.raises(DeviceError), runtime.prepare(_RELU, _Nothing()):
            pass

    def test_a_table_is_filled_and_found_complete(self, runtime: Runtime, device: Device) -> None:
        plan = MeasurementPlan(precision=0.1, min_rounds=5, spread_s=0.0, max_rounds=40, budget_s=2.0)
        profiler = Profiler(device, runtime, plan)
        table = LatencyTable.in_memory(profiler.header())
        assert len(measured(profiler.fill(table, [_RELU, _CONV]))) == 2
        assert table.missing([_RELU.spec, _CONV.spec]) == ()
        assert table.header.runtime == self.name

    def test_what_it_counts_is_what_it_executes(self, runtime: Runtime, device: Device) -> None:
        counter = self._counter(runtime)
        network = Workload(network_spec(_NETWORK), lambda: Network.untrained(_NETWORK).eval())
        counted = counter.executed(_NETWORK.nodes)
        told = runtime.executed_each([network, network], device)
        assert [graph.counts for graph in told] == [counted.counts] * 2
        assert counted == self._counter(runtime).executed(_NETWORK.nodes)
        assert counted == counter.executed(_NETWORK.nodes)

    def test_nodes_that_do_not_reach_the_output_are_counted_if_they_run(self, runtime: Runtime) -> None:
        counter = self._counter(runtime)
        dead = Node("dead", _NETWORK.nodes[1].spec, ("stem",))
        with_dead = (*_NETWORK.nodes[:-1], dead, _NETWORK.nodes[-1])
        is_same = counter.executed(with_dead) == counter.executed(_NETWORK.nodes)
        assert is_same == (runtime.executes == "live")

    def test_every_unit_that_it_counts_is_measured_alone(self, runtime: Runtime, device: Device) -> None:
        counter = self._counter(runtime)
        for unit in counter.executed(_NETWORK.nodes).counts:
            assert is_unit(unit)
            workload = counter.workload(unit)
            assert workload.spec == unit
            with device.quiet(1), runtime.prepare(workload, device) as sampler:
                assert all(latency_s > 0 for latency_s in sampler(2))

    def test_a_runtime_without_a_counter_shows_nothing_at_all(self, runtime: Runtime, device: Device) -> None:
        try:
            runtime.counter(modules.build)
        except UnsupportedOperationError:
            with pytest.raises(UnsupportedOperationError):
                runtime.executed(_RELU, device)

    def _counter(self, runtime: Runtime) -> UnitCounter:
        try:
            return runtime.counter(modules.build)
        except UnsupportedOperationError as error:
            pytest.skip(str(error))

    def test_an_unknown_setting_is_refused(self, runtime: Runtime) -> None:
        with pytest.raises(UnknownNameError, match="no_such_setting"):
            runtimes.load(self.name, no_such_setting=1)

    def test_less_than_a_thread_is_refused(self, runtime: Runtime) -> None:
        with pytest.raises(ConfigError, match="threads is 0; a call takes at least 1"):
            type(runtime)(0)

    def test_settings_rebuild_the_runtime(self, runtime: Runtime) -> None:
        settings = runtime.header_settings()
        assert runtimes.load(self.name, 1, **settings).header_settings() == settings
