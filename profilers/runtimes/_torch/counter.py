"""The counter of executed units of torch: eager mode runs a network as it is written, dead nodes too."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from latency_tables import IMAGE, ExecutedGraph, ExecutedNode, OpSpec, SpecError, Unit
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._reference import torch_threads
from profilers.runtimes._runtime import Workload
from profilers.runtimes._torch.graph import Calls, calls_of, input_at
from profilers.runtimes._torch.one_operator import module_of
from profilers.units.counter import NetworkNode

#: The most numbers that a tensor of a unit may have, 1 GiB of float32: keys come from tables, not trusted.
_MOST_ELEMENTS = 1 << 28


class TorchCounter:
    """Tells what torch executes of a network, the same on every machine.

    Args:
        build: Makes the module of an operation.
        threads: That torch may use.
    """

    def __init__(self, build: Callable[[OpSpec], nn.Module], threads: int = 1) -> None:
        self._build, self._threads = build, threads
        self._calls: dict[OpSpec, Calls] = {}

    def executed(self, nodes: Sequence[NetworkNode]) -> ExecutedGraph:
        """Return what is executed of the network of ``nodes``, as ``UnitCounter`` says."""
        if not nodes:
            raise ProfilingError("a network without nodes computes nothing")
        found: list[ExecutedNode] = []
        results: dict[str, int] = {}
        for node in nodes:
            sources = [results.get(slot, IMAGE) for slot in node.inputs]
            results[node.slot] = _append(found, self._calls_of(node.spec), sources)
        return ExecutedGraph(tuple(found))

    def workload(self, unit: OpSpec) -> Workload:
        """Return a module whose only call is ``unit``, as ``UnitCounter`` says."""
        try:
            spelled = Unit.of(unit)
            _require_bounded(spelled)
            with torch.device("meta"):
                calls = calls_of(module_of(spelled), spelled.input_shapes).calls
        except (SpecError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
            raise UnsupportedOperationError(f"{unit} is no unit of torch: {error!r:.200}") from error
        if [call.unit for call in calls] != [unit]:
            raise UnsupportedOperationError(f"no module of torch is the unit {unit} and nothing else")
        return Workload(unit, partial(module_of, spelled))

    def _calls_of(self, spec: OpSpec) -> Calls:
        if spec not in self._calls:
            with torch_threads(self._threads), torch.random.fork_rng(devices=[]):
                self._calls[spec] = calls_of(self._build(spec), spec.input_shapes)
        return self._calls[spec]


def executed_graph(calls: Calls) -> ExecutedGraph:
    """Return the calls of a whole network as an executed graph.

    Raises:
        UnsupportedOperationError: It calls nothing.
    """
    if not calls.calls:
        raise UnsupportedOperationError("a network that calls nothing has no units")
    found: list[ExecutedNode] = []
    inputs = 1 + max(input_at(read) for call in calls.calls for read in call.reads)
    _append(found, calls, [IMAGE] * max(1, inputs))
    return ExecutedGraph(tuple(found))


def _append(found: list[ExecutedNode], calls: Calls, sources: Sequence[int]) -> int:
    """Append the calls of a part that reads ``sources``; return the position of its result."""
    first = len(found)

    def position(read: int) -> int:
        return sources[input_at(read)] if read < 0 else first + read

    found.extend(ExecutedNode(call.unit, tuple(map(position, call.reads))) for call in calls.calls)
    return position(calls.result)


def _require_bounded(unit: Unit) -> None:
    for shape in (*unit.input_shapes, *unit.weight_shapes, unit.output_shape):
        if not 0 < math.prod(shape) <= _MOST_ELEMENTS or min(shape, default=1) < 1:
            raise ValueError(f"a tensor of shape {shape} is out of bounds")
