"""The operations of a model as TFLite's interpreter lists them, its delegates' pieces beside its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from profilers.runtimes._coverage import Coverage

_DELEGATE = "DELEGATE"

#: An operation, with the numbers of its tensors: ``op_name``, ``inputs``, ``outputs``.
Node = Mapping[str, Any]


def coverage(nodes: Sequence[Node]) -> Coverage:
    """Return who runs the operations of a model whose tensors are allocated."""
    own, delegates = _own(nodes), _delegates(nodes)
    names = ("xnnpack",) if delegates else ()  # the only one that is applied unasked
    return Coverage(names, len(delegates), nodes_outside(nodes), len(own))


def nodes_outside(nodes: Sequence[Node]) -> int:
    """Return how many operations no delegate runs."""
    own = _own(nodes)
    makers = {int(tensor): i for i, node in enumerate(own) for tensor in node["outputs"]}
    inside = {i for delegate in _delegates(nodes) for i in _inside(delegate, own, makers)}
    return len(own) - len(inside)


def _own(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node["op_name"] != _DELEGATE]


def _delegates(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node["op_name"] == _DELEGATE]


def _inside(delegate: Node, own: Sequence[Node], makers: Mapping[int, int]) -> Iterator[int]:
    """Walk from what a delegate's piece computes back to what it is given; yield the operations between."""
    given = set(map(int, delegate["inputs"]))
    wanted = [int(tensor) for tensor in delegate["outputs"]]
    seen: set[int] = set()
    while wanted:
        tensor = wanted.pop()
        maker = makers.get(tensor)
        if maker is None or tensor in given or maker in seen:
            continue
        seen.add(maker)
        yield maker
        wanted += map(int, own[maker]["inputs"])
