"""The counter of executed units of ONNX Runtime."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from torch import nn

from latency_tables import ExecutedGraph, OpSpec
from profilers.runtimes._onnxruntime.executed import executed_graph
from profilers.runtimes._onnxruntime.networks.stitching import image_shape
from profilers.runtimes._onnxruntime.networks.untrained import UntrainedNetworks
from profilers.runtimes._onnxruntime.one_node import one_node_model
from profilers.runtimes._onnxruntime.session import ON_PROCESSOR, Sessions, optimised, optimiser_identity
from profilers.runtimes._reference import batched
from profilers.runtimes._runtime import LoweredModel, Workload
from profilers.units.counter import LiveNode, NetworkNode, live_nodes

#: Networks whose graphs are remembered: a few times those of a search's generation.
_REMEMBERED = 1024


class OnnxCounter:
    """Counts what ONNX Runtime on this machine executes of a network, which is optimised but never run.

    Args:
        build: Makes the module of an operation.
        provider: What would execute it.
        batch: Images of one call.
    """

    def __init__(
        self, build: Callable[[OpSpec], nn.Module], provider: Sessions = ON_PROCESSOR, *, batch: int = 1
    ) -> None:
        self._provider, self._batch = provider, batch
        self._networks = UntrainedNetworks(build)
        self._graph = lru_cache(_REMEMBERED)(self._counted)

    @property
    def identity(self) -> str:
        """What its counts follow from beside the networks; empty where that is not known."""
        known = optimiser_identity(self._provider)
        return f"{known}, batch {self._batch}" if known else ""

    def executed(self, nodes: Sequence[NetworkNode]) -> ExecutedGraph:
        """Return what ONNX Runtime makes of the network of ``nodes``: see ``UnitCounter``."""
        return self._graph(self._live(nodes))

    def lowered(self, nodes: Sequence[NetworkNode]) -> LoweredModel:
        """Return the network of ``nodes`` with random weights, for a device that is to tell what it executes.

        Raises:
            UnsupportedOperationError: An operation has no form in ONNX.
        """
        return LoweredModel(self._networks.model(self._live(nodes)), is_optimised=False)

    def workload(self, unit: OpSpec) -> Workload:
        """Return a model of one node that is ``unit``: see ``UnitCounter``."""
        return Workload(unit, LoweredModel(one_node_model(unit), is_optimised=True))

    def _counted(self, live: tuple[LiveNode, ...]) -> ExecutedGraph:
        model = self._networks.model(live)
        graph = optimised(model, subject="a network", provider=self._provider)
        return executed_graph(graph, [image_shape(live)])

    def _live(self, nodes: Sequence[NetworkNode]) -> tuple[LiveNode, ...]:
        """Return the live nodes, of as many images as a batch has."""
        live = live_nodes(nodes)
        return tuple(replace(node, spec=batched(node.spec, self._batch)) for node in live)
