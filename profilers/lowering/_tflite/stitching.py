"""Operations that are lowered one by one, joined to what the lowering of their network would have written."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables import IMAGE
from profilers.lowering._tflite.graph import Graph, Operation


@dataclass(frozen=True)
class Part:
    """An operation of a network as a graph, before it is simplified.

    Attributes:
        graph: Its result may be one of its inputs.
        own: Constants that differ from one occurrence to the next, weights above all.
    """

    graph: Graph
    own: frozenset[int]

    @classmethod
    def of(cls, graph: Graph, other: Graph) -> "Part":
        """Return the part that ``graph`` is, and ``other`` with other weights."""
        pairs = [
            (mine, its)
            for operation, counterpart in zip(graph.operations, other.operations, strict=True)
            for mine, its in zip(operation.inputs, counterpart.inputs, strict=True)
            if mine in graph.constants
        ]
        own = {mine for mine, its in pairs if not np.array_equal(graph.constants[mine], other.constants[its])}
        return cls(graph, frozenset(own))


def joined(parts: Sequence[Part], reads: Sequence[Sequence[int]]) -> Graph:
    """Join the operations of a network.

    The weights of two occurrences of an operation differ, and so do the statistics of their normalisations,
    as in a trained network; they are the same numbers here, but other tensors.

    Args:
        parts: In the order of execution; the last one is the output.
        reads: For each, the positions of the parts that it reads, or ``IMAGE``.
    """
    whole = Graph()
    results: dict[int, int] = {}
    for position, (part, sources) in enumerate(zip(parts, reads, strict=True)):
        if IMAGE in sources and IMAGE not in results:
            results[IMAGE] = whole.add_input(part.graph.shapes[part.graph.inputs[sources.index(IMAGE)]])
        results[position] = _append(whole, part, [results[source] for source in sources])
    whole.output = results[len(parts) - 1]
    return whole


def _append(whole: Graph, part: Part, inputs: Sequence[int]) -> int:
    """Add an operation that reads ``inputs``; return its result."""
    graph = part.graph
    numbers = dict(zip(graph.inputs, inputs, strict=True))
    for tensor, shape in enumerate(graph.shapes):
        if tensor in numbers:
            continue
        values = graph.constants.get(tensor)
        if values is not None and tensor not in part.own:
            numbers[tensor] = whole.constant(values)
            continue
        numbers[tensor] = whole.add_tensor(shape)
        if values is not None:
            whole.constants[numbers[tensor]] = values
    for operation in graph.operations:
        read = tuple(numbers[tensor] for tensor in operation.inputs)
        whole.operations.append(
            Operation(operation.code, read, numbers[operation.output], dict(operation.options))
        )
    return numbers[graph.output]
