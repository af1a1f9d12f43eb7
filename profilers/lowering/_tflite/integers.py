"""What the quantizer makes of a simplified graph, without the ranges that it would need."""

from collections.abc import Mapping, Sequence

from profilers.lowering._tflite.graph import Graph, Operation
from profilers.lowering._tflite.spelling import spelled_out

#: Operations that are computed in 8-bit integers by ``lowering.int8``; any other is left in float.
_COMPUTED = {
    *("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
    *("GELU", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "RELU", "RESHAPE", "SLICE", "STRIDED_SLICE"),
}

#: The result of these has the scale of what they read.
_SCALE_KEPT = {"AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD", "RESHAPE", "SLICE", "STRIDED_SLICE"}


def quantized(graph: Graph) -> tuple[Graph, frozenset[int]]:
    """Return the operations on 8-bit integers that compute a simplified graph, and which tensors are such.

    Its input and its output stay float32. What a CONCATENATION reads has to have the scale of its result, and
    is converted to it; but for a tensor that happens to have it already, which depends on the weights.
    """
    return _Quantizing(spelled_out(graph)).run()


class _Quantizing:
    """Walks a graph and writes another."""

    def __init__(self, graph: Graph) -> None:
        self._given, self._readers, self._producers = graph, graph.readers(), graph.producers()
        self._made = Graph(list(graph.shapes), dict(graph.constants), [], list(graph.inputs))
        self._floats = {tensor: tensor for tensor in graph.inputs}
        self._integers: dict[int, int] = {}
        self._rescaled: list[int] = []
        #: By tensor, the one that its scale was made for.
        self._scales = {tensor: tensor for tensor in graph.inputs}

    def run(self) -> tuple[Graph, frozenset[int]]:
        """Return the other graph, and its tensors of 8-bit integers."""
        for operation in self._given.operations:
            is_computed = operation.code in _COMPUTED
            self._scales[operation.output] = self._scale(operation)
            inputs = [self._input(operation, each, is_integer=is_computed) for each in operation.inputs]
            made = self._add(operation.code, inputs, operation.output, operation.options)
            (self._integers if is_computed else self._floats)[operation.output] = made
        self._made.output = self._float(self._given.output)
        return self._made, frozenset({*self._integers.values(), *self._rescaled})

    def _input(self, operation: Operation, tensor: int, *, is_integer: bool) -> int:
        if tensor in self._given.constants:
            return tensor
        if not is_integer:
            return self._float(tensor)
        integer = self._integer(tensor)
        if operation.code != "CONCATENATION" or self._has_scale_of(operation, tensor):
            return integer
        self._rescaled.append(self._add("QUANTIZE", [integer], tensor))
        return self._rescaled[-1]

    def _scale(self, operation: Operation) -> int:
        """Return the tensor that the scale of the result of ``operation`` is made for."""
        sources = {self._scales[each] for each in operation.inputs if each not in self._given.constants}
        is_kept = operation.code in _SCALE_KEPT or operation.code == "CONCATENATION"
        # What is joined of parts of one image, and the image, has its range.
        return sources.pop() if is_kept and len(sources) == 1 else operation.output

    def _has_scale_of(self, concatenation: Operation, tensor: int) -> bool:
        """Tell whether a tensor has the scale of what it is joined to, or is computed with it at once."""
        producer = self._producers.get(tensor)
        if producer is None or self._scales[tensor] == self._scales[concatenation.output]:
            return True
        is_read_elsewhere = self._readers[tensor] > concatenation.inputs.count(tensor)
        return not is_read_elsewhere and producer.code not in {*_SCALE_KEPT, "CONCATENATION"}

    def _integer(self, tensor: int) -> int:
        if tensor not in self._integers:
            self._integers[tensor] = self._add("QUANTIZE", [self._floats[tensor]], tensor)
        return self._integers[tensor]

    def _float(self, tensor: int) -> int:
        if tensor not in self._floats:
            self._floats[tensor] = self._add("DEQUANTIZE", [self._integers[tensor]], tensor)
        return self._floats[tensor]

    def _add(
        self, code: str, inputs: Sequence[int], like: int, options: Mapping[str, int | bool] | None = None
    ) -> int:
        return self._made.add(code, tuple(inputs), self._given.shapes[like], options)
