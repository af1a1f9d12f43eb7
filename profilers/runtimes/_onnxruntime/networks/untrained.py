"""Networks with random weights, by which is counted what ONNX Runtime executes; no module of them is made."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import torch
from torch import nn

from latency_tables import OpSpec
from profilers.runtimes._onnxruntime.call import Shape
from profilers.runtimes._onnxruntime.networks.stitching import (
    HIGHEST,
    LOWEST,
    Operation,
    Place,
    lowered_operation,
    stitched,
)
from profilers.runtimes._reference import torch_threads
from profilers.units.counter import LiveNode

_FLOAT, _FLOAT_BYTES = onnx.TensorProto.FLOAT, 4


class UntrainedNetworks:
    """Writes networks of the operations that it knows.

    Args:
        build: Makes the module of an operation that it does not know yet.
    """

    def __init__(self, build: Callable[[OpSpec], nn.Module]) -> None:
        self._build = build
        self._operations: dict[OpSpec, Operation] = {}
        self._random = b""

    def model(self, nodes: Sequence[LiveNode]) -> bytes:
        """Return an ONNX model of a network, with weights of their own for each place.

        Raises:
            UnsupportedOperationError: It has an operation without a form in ONNX, or reads no image.
        """
        places, weights = list[Place](), list[tuple[str, Shape]]()
        for position, node in enumerate(nodes):
            operation = self._operation(node.spec)
            learnt = {name: f"{position}.{name}" for name in operation.weights}
            places.append(Place(node, operation, learnt))
            weights += zip(learnt.values(), operation.weights.values(), strict=True)
        return stitched(places, self._filled(weights))

    def _operation(self, spec: OpSpec) -> Operation:
        if spec not in self._operations:
            with torch_threads(1), torch.random.fork_rng(devices=[]):
                self._operations[spec] = lowered_operation(spec, self._build(spec))
        return self._operations[spec]

    def _filled(self, weights: Sequence[tuple[str, Shape]]) -> list[onnx.TensorProto]:
        """Return tensors of those names and shapes, of which no two are equal."""
        random = self._random_bytes(len(weights) + max((math.prod(shape) for _, shape in weights), default=0))
        tensors = []
        for number, (name, shape) in enumerate(weights):
            start, end = _FLOAT_BYTES * number, _FLOAT_BYTES * (number + math.prod(shape))
            tensors.append(
                onnx.TensorProto(name=name, data_type=_FLOAT, dims=shape, raw_data=random[start:end])
            )
        return tensors

    def _random_bytes(self, numbers: int) -> bytes:
        """Return at least so many random float32: drawing them for each network would take longer."""
        if len(self._random) < _FLOAT_BYTES * numbers:
            drawn = np.random.default_rng(0).uniform(LOWEST, HIGHEST, 2 * numbers)
            self._random = drawn.astype(np.float32).tobytes()
        return self._random
