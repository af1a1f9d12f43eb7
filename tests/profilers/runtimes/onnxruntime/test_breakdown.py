"""The time of each operator, as ONNX Runtime's own profiler tells it."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from devices.cpu import Cpu
from latency_tables.spec import OpSpec
from latency_tables.units.unit import Unit
from profilers.errors import GarbledOutputError
from profilers.runtimes._onnxruntime.breakdown import operator_times, profiled_calls, ran_by
from profilers.runtimes._runtime import Workload
from profilers.runtimes.onnxruntime import OnnxRuntime


def event(name: str, operator: str, us: int) -> dict[str, object]:
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {"op_name": operator}}


_CALL = {"cat": "Session", "name": "model_run", "dur": 200, "args": {}}

_EVENTS = [
    {"cat": "Session", "name": "model_loading", "dur": 900, "args": {}},
    *(event("a", "Conv", 90), event("b", "Relu", 9), event("c", "Conv", 50), _CALL),
    *(event("a", "Conv", 10), event("b", "Relu", 1), event("c", "Conv", 5), _CALL),
    {"cat": "Node", "name": "a_fence_before", "dur": 3, "args": {"op_name": "Conv"}},
    *(event("a", "Conv", 20), event("b", "Relu", 2), event("c", "Conv", 5), _CALL),
]


def test_the_last_calls_are_averaged_node_by_node() -> None:
    found = operator_times(json.dumps(_EVENTS).encode(), n=2)
    assert [time.operator for time in found] == ["Conv", "Relu", "Conv"]
    assert [time.mean_s for time in found] == pytest.approx([15.5e-6, 2e-6, 5.5e-6])


def test_nodes_of_one_name_are_told_apart_by_their_place() -> None:
    calls = [event("a", "Conv", 4), event("a", "Relu", 1), _CALL] * 2
    found = operator_times(json.dumps(calls).encode(), n=2)
    assert [(time.operator, time.mean_s) for time in found] == [("Conv", 4.5e-6), ("Relu", 1.5e-6)]


def test_a_node_that_the_graph_names_has_its_unit() -> None:
    unit = Unit("Conv", ((1, 8, 4, 4),), (1, 8, 4, 4)).spec()
    found = operator_times(json.dumps(_EVENTS).encode(), n=2, units={"c": unit})
    assert [time.unit for time in found] == [None, None, unit]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b"[" * 100_000,
        json.dumps(_EVENTS).encode()[:-9],
        json.dumps(_EVENTS[:-1]).encode(),
        json.dumps([*_EVENTS[:-2], _CALL]).encode(),
        json.dumps([_CALL] * 3).encode(),
    ],
    ids=[
        *("empty", "no text", "no list", "no events", "deep", "cut", "a call does not end"),
        *("a call lacks a node", "calls without nodes"),
    ],
)
def test_what_is_cut_or_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(GarbledOutputError):
        operator_times(content, n=3)


@pytest.mark.parametrize("time_us", [float("nan"), float("inf"), -1, "9e99", None, []])
def test_a_time_that_is_none_is_refused(time_us: object) -> None:
    broken = event("a", "Conv", 3) | {"dur": time_us}
    with pytest.raises(GarbledOutputError):
        operator_times(json.dumps([broken, _CALL]).encode(), n=1)


def test_an_operator_whose_name_would_take_over_a_terminal_is_made_printable() -> None:
    [found] = operator_times(json.dumps([event("a", "\x1b[2J" + "x" * 999, 3), _CALL]).encode(), n=1)
    assert found.operator.isprintable()
    assert len(found.operator) <= 120


@given(st.binary(max_size=60), st.integers(0, 900))
def test_damage_anywhere_ends_in_times_or_in_an_error(damage: bytes, at: int) -> None:
    content = json.dumps(_EVENTS).encode()
    try:
        found = operator_times(content[:at] + damage + content[at:], n=1)
    except GarbledOutputError:
        return
    assert all(0 < time.mean_s < 1e4 for time in found)


def test_a_slow_or_large_network_is_profiled_for_fewer_calls() -> None:
    assert [profiled_calls(call_s, 100) for call_s in (0.0, 1e-4, 0.1, 9.0)] == [50, 50, 10, 5]
    assert profiled_calls(1e-4, 1000) == 20


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
    runtime = OnnxRuntime()
    found = runtime.breakdown(workload, device)
    assert Counter(time.unit for time in found) == runtime.executed(workload, device).counts
    names = [time.operator for time in found]
    assert "Relu" not in names  # the convolution applies it
    assert {"Conv", "GlobalAveragePool", "Gemm"} <= {name.removeprefix("Fused") for name in names}
    assert all(0 < time.mean_s < 1 for time in found)


def test_a_profile_tells_which_provider_ran_which_operators() -> None:
    events = [event("a", "Conv", 9), event("b", "Relu", 1), event("c", "Conv", 5), _CALL]
    for one, provider in zip(events, ("Gpu", "Cpu", "Gpu"), strict=False):
        one["args"] = {"op_name": "Conv" if provider == "Gpu" else "Relu", "provider": provider}
    assert ran_by(json.dumps(events).encode()) == {"Gpu": {"Conv"}, "Cpu": {"Relu"}}


@pytest.mark.parametrize("events", [[], [_CALL], [event("a", "Conv", 9)]])
def test_a_profile_that_does_not_tell_what_ran_each_node_is_garbled(events: list[object]) -> None:
    with pytest.raises(GarbledOutputError, match=r"ONNX Runtime's profile (has no node|does not tell)"):
        ran_by(json.dumps(events).encode())
