"""The time of each operator, as ONNX Runtime's own profiler tells it."""

import json

import pytest
from torch import nn

from devices.cpu import Cpu
from latency_tables.spec import OpSpec
from profilers.errors import GarbledOutputError
from profilers.runtimes._onnxruntime.breakdown import operator_times
from profilers.runtimes._runtime import Workload
from profilers.runtimes.onnxruntime import OnnxRuntime


def event(name: str, operator: str, us: int) -> dict[str, object]:
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {"op_name": operator}}


_EVENTS = [
    {"cat": "Session", "name": "model_loading", "dur": 900, "args": {}},
    *(event("a", "Conv", 90), event("b", "Relu", 9), event("c", "Conv", 50)),
    *(event("a", "Conv", 10), event("b", "Relu", 1), event("c", "Conv", 5)),
    {"cat": "Node", "name": "a_fence_before", "dur": 3, "args": {"op_name": "Conv"}},
    *(event("a", "Conv", 20), event("b", "Relu", 2), event("c", "Conv", 5)),
]


def test_the_last_calls_are_averaged_node_by_node() -> None:
    found = operator_times(json.dumps(_EVENTS).encode(), n=2)
    assert [time.operator for time in found] == ["Conv", "Relu", "Conv"]
    assert [time.mean_s for time in found] == pytest.approx([15.5e-6, 2e-6, 5.5e-6])


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{}", b"[]", json.dumps(_EVENTS).encode()[:-9], json.dumps(_EVENTS[:-1]).encode()],
    ids=["empty", "no text", "no list", "no events", "cut", "a node lacks a call"],
)
def test_what_is_cut_or_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(GarbledOutputError):
        operator_times(content, n=3)


@pytest.mark.parametrize("missing", ["dur", "args"])
def test_an_incomplete_event_is_refused(missing: str) -> None:
    broken = {name: value for name, value in event("a", "Conv", 3).items() if name != missing}
    with pytest.raises(GarbledOutputError, match="incomplete"):
        operator_times(json.dumps([broken]).encode(), n=1)


def test_a_network_is_broken_down_into_what_is_executed() -> None:
    def block() -> nn.Module:
        parts = [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*parts, nn.Linear(8, 10)).eval()

    device = Cpu.connect("")
    workload = Workload(OpSpec.of("block", (1, 8, 64, 64)), block)
    found = OnnxRuntime().breakdown(workload, device)
    names = [time.operator for time in found]
    assert "Relu" not in names  # the convolution applies it
    assert {"Conv", "GlobalAveragePool", "Gemm"} <= {name.removeprefix("Fused") for name in names}
    assert all(0 < time.mean_s < 1 for time in found)
