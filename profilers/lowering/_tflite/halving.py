"""Weights of half precision in a float TFLite file: XNNPACK turns them into float32 once, when it starts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from profilers.lowering._tflite.flatbuffer import packed, place_of_code, unpacked
from profilers.lowering.halves import halves

#: Operations that have nearly all of a network's weights, as their second input.
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def halved(content: bytes) -> bytes:
    """Return a float model whose weights take half the bytes.

    Args:
        content: A TFLite file that we wrote.

    Raises:
        UnsupportedOperationError: A weight is too large for half precision.
    """
    model = unpacked(content)
    [graph] = model.subgraphs
    code = place_of_code(model, "DEQUANTIZE")
    added = [_dequantize(model, code, place) for place in dict.fromkeys(_weights(model))]
    graph.operators = [*added, *graph.operators]
    return packed(model)


def _weights(model: Any) -> Iterator[int]:
    """Yield the place of each tensor of weights in the order of its first use."""
    [graph] = model.subgraphs
    weighted = {getattr(schema.BuiltinOperator, code) for code in _WEIGHTED}
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode in weighted:
            yield int(operator.inputs[1])


def _dequantize(model: Any, code: int, place: int) -> Any:
    """Let the weights at ``place`` be computed from halves of them; return what computes that."""
    tensors = model.subgraphs[0].tensors
    weights = tensors[place]
    values = model.buffers[weights.buffer]
    stored = halves(np.frombuffer(values.data, dtype=np.float32))
    half = schema.TensorT(
        shape=weights.shape,
        type=schema.TensorType.FLOAT16,
        buffer=weights.buffer,
        name=f"{weights.name.decode()}/half",
    )
    values.data = stored.view(np.uint8)
    weights.buffer = 0
    tensors.append(half)
    return schema.OperatorT(opcodeIndex=code, inputs=[len(tensors) - 1], outputs=[place])
