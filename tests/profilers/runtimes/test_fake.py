"""The scripted runtime."""

import pytest
from torch import nn

from devices._errors import DeviceError
from devices.cpu import Cpu
from devices.fake import Fake
from latency_tables.spec import OpSpec
from profilers.errors import WrongOutputError
from profilers.runtimes._runtime import Workload
from profilers.runtimes.fake import FakeRuntime

WORKLOAD = Workload(OpSpec.of("relu", (1, 8, 10, 10)), nn.ReLU)


def test_a_block_advances_the_clock_by_the_script() -> None:
    device = Fake()
    with FakeRuntime(latency_s=lambda _, now_s: 1e-3 + now_s).prepare(WORKLOAD, device) as sampler:
        assert sampler(4) == pytest.approx([1e-3])
        assert device.clock_s() == pytest.approx(4e-3)
        assert sampler(1) == pytest.approx([5e-3])


def test_without_a_script_a_call_takes_a_microsecond_and_a_nanosecond_per_element() -> None:
    with FakeRuntime().prepare(WORKLOAD, Fake()) as sampler:
        assert sampler(10) == pytest.approx([1.8e-6])


def test_blocks_are_logged_in_order() -> None:
    runtime = FakeRuntime()
    with runtime.prepare(WORKLOAD, Fake()) as sampler:
        sampler(2)
        sampler(1)
    assert runtime.calls == [(WORKLOAD.spec, 2), (WORKLOAD.spec, 1)]


def test_a_scripted_error_is_raised_when_preparing() -> None:
    runtime = FakeRuntime(errors={"relu": WrongOutputError("differs")})
    with pytest.raises(WrongOutputError), runtime.prepare(WORKLOAD, Fake()):
        pass


def test_real_hardware_is_refused() -> None:
    with pytest.raises(DeviceError, match="use fake"):
        FakeRuntime().version(Cpu.connect(""))
