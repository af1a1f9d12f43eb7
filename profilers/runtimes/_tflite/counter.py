"""The counter of TFLite: which operations of our own simplified graph a network consists of."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from latency_tables import ExecutedGraph, OpSpec, SpecError, Unit
from profilers.errors import UnsupportedOperationError
from profilers.lowering._tflite.flatbuffer import serialize
from profilers.lowering._tflite.graph import Graph
from profilers.lowering._tflite.integers import quantized
from profilers.lowering._tflite.passes import simplify_operations
from profilers.lowering._tflite.stitching import Part, joined
from profilers.lowering._tflite.units import Units, executed, unit_graph
from profilers.lowering.batch_norm import distinct_statistics
from profilers.lowering.tflite import written
from profilers.runtimes._reference import torch_threads
from profilers.runtimes._runtime import LoweredModel, Workload
from profilers.units.counter import NetworkNode, live_nodes


class TfLiteCounter:
    """Tells what TFLite executes of a network; the same on every machine, for we write the graph.

    Args:
        build: Makes the module of an operation, its weights drawn from torch's generator.
        threads: That torch may use.
    """

    def __init__(self, build: Callable[[OpSpec], nn.Module], threads: int = 1) -> None:
        self._build, self._threads = build, threads
        self._parts: dict[OpSpec, Part] = {}
        self._units = Units()

    @property
    def identity(self) -> str:
        """What its counts follow from beside the networks: nothing but our own code."""
        return "tflite"

    def executed(self, nodes: Sequence[NetworkNode]) -> ExecutedGraph:
        """Return what is executed of the network of ``nodes``, as ``UnitCounter`` says.

        Batch normalisations have statistics of their own, as in a trained network. Of operations of dtype
        int8, what the quantizer writes is counted: exactly, but for the QUANTIZE of a tensor that happens to
        have the range of the CONCATENATION that reads it.
        """
        live = live_nodes(nodes)
        dtypes = {node.spec.dtype for node in live}
        if dtypes not in ({"float32"}, {"int8"}):
            raise UnsupportedOperationError(
                f"TFLite counts networks of float32 or of int8, not of {', '.join(sorted(dtypes))}"
            )
        parts = [self._part(replace(node.spec, dtype="float32")) for node in live]
        graph = joined(parts, [node.inputs for node in live])
        simplify_operations(graph)
        return self._units.executed(*quantized(graph)) if "int8" in dtypes else self._units.executed(graph)

    def workload(self, unit: OpSpec) -> Workload:
        """Return a model that is ``unit``, as ``UnitCounter`` says."""
        try:
            graph = unit_graph(Unit.of(unit))
        except SpecError as error:
            raise UnsupportedOperationError(str(error)) from error
        if [node.unit for node in executed(graph).nodes] != [unit]:
            raise UnsupportedOperationError(f"no model for TFLite is the unit {unit} and nothing else")
        return Workload(unit, LoweredModel(serialize(graph), is_optimised=True))

    def _part(self, spec: OpSpec) -> Part:
        if spec not in self._parts:
            with torch_threads(self._threads), torch.random.fork_rng(devices=[]):
                self._parts[spec] = Part.of(self._written(spec, seed=0), self._written(spec, seed=1))
        return self._parts[spec]

    def _written(self, spec: OpSpec, seed: int) -> Graph:
        """Lower an operation with weights and statistics that were drawn for it."""
        module = self._build(spec)
        distinct_statistics(module, seed)
        return written(module, spec.input_shapes)
