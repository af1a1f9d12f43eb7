"""HARD_SWISH as operations that XNNPACK computes in 8-bit integers, where it has none of that name.

``x relu6(x + 3) / 6`` is an ADD with a fused RELU6, a MUL by 1/6 and a MUL by x. In float, HARD_SWISH is one
operation and faster.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from profilers.lowering._tflite.flatbuffer import add_values, packed, place_of_code, unpacked
from profilers.lowering._tflite.graph import ACTIVATION, Activation, Graph, Operation

_SPELLED = "HARD_SWISH"
_SHIFT, _SCALE = np.array([3], dtype=np.float32), np.array([1 / 6], dtype=np.float32)


def spelled_out(graph: Graph) -> Graph:
    """Return a simplified graph without HARD_SWISH that computes the same."""
    spelled = Graph(list(graph.shapes), dict(graph.constants), [], list(graph.inputs), graph.output)
    for operation in graph.operations:
        if operation.code == _SPELLED:
            spelled.operations += _operations(spelled, operation)
        else:
            spelled.operations.append(operation)
    return spelled


def _operations(graph: Graph, operation: Operation) -> Iterator[Operation]:
    source, shape = operation.inputs[0], graph.shapes[operation.output]
    shifted, gate = graph.add_tensor(shape), graph.add_tensor(shape)
    yield Operation("ADD", (source, graph.constant(_SHIFT)), shifted, {ACTIVATION: Activation.RELU6})
    yield Operation("MUL", (shifted, graph.constant(_SCALE)), gate, {ACTIVATION: Activation.NONE})
    yield Operation("MUL", (source, gate), operation.output, {ACTIVATION: Activation.NONE})


def spelled_out_file(content: bytes) -> bytes:
    """Return a float model without HARD_SWISH that computes the same: ``content`` itself where it has none.

    Args:
        content: A TFLite file that we wrote.
    """
    model = unpacked(content)
    numbers = [code.builtinCode for code in model.operatorCodes]
    if schema.BuiltinOperator.HARD_SWISH not in numbers:
        return content
    rewriting = _Rewriting(model, numbers.index(schema.BuiltinOperator.HARD_SWISH))
    [graph] = model.subgraphs
    graph.operators = [each for operator in graph.operators for each in rewriting.spelled(operator)]
    return packed(model)


class _Rewriting:
    """Writes operators for those of the code ``spelled`` into a model."""

    def __init__(self, model: Any, spelled: int) -> None:
        self._model, self._tensors, self._spelled = model, model.subgraphs[0].tensors, spelled
        self._codes = {name: place_of_code(model, name) for name in ("ADD", "MUL")}
        self._shift, self._scale = (
            self._tensor(name, values.shape, values)
            for name, values in (("hard_swish_shift", _SHIFT), ("hard_swish_scale", _SCALE))
        )

    def spelled(self, operator: Any) -> Iterator[Any]:
        """Yield what computes the result of ``operator``, which is that itself unless it is spelled out."""
        if operator.opcodeIndex != self._spelled:
            yield operator
            return
        [source], [result] = operator.inputs, operator.outputs
        written = self._tensors[result]
        name = written.name.decode()
        shifted, gate = (self._tensor(f"{name}/{part}", written.shape) for part in ("shifted", "gate"))
        for place in (shifted, gate):
            self._tensors[place].shapeSignature = written.shapeSignature
        yield self._operator("ADD", (source, self._shift), shifted, Activation.RELU6)
        yield self._operator("MUL", (shifted, self._scale), gate, Activation.NONE)
        yield self._operator("MUL", (source, gate), result, Activation.NONE)

    def _tensor(self, name: str, shape: Sequence[int], values: Any = None) -> int:
        """Add a float tensor, of known ``values`` if they are given; return its place."""
        buffer = 0 if values is None else add_values(self._model, values)
        sizes = np.array(shape, dtype=np.int32)
        self._tensors.append(
            schema.TensorT(shape=sizes, type=schema.TensorType.FLOAT32, buffer=buffer, name=name)
        )
        return len(self._tensors) - 1

    def _operator(self, code: str, inputs: Sequence[int], output: int, activation: Activation) -> Any:
        kind = {"ADD": "AddOptions", "MUL": "MulOptions"}[code]
        return schema.OperatorT(
            opcodeIndex=self._codes[code],
            inputs=list(inputs),
            outputs=[output],
            builtinOptionsType=getattr(schema.BuiltinOptions, kind),
            builtinOptions=getattr(schema, f"{kind}T")(**{ACTIVATION: activation}),
        )
