"""The nodes of a network, as a counter of executed units and a module name them, and which of them are live.

What a counter is, ``UnitCounter``, stands beside ``Runtime``, which makes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from latency_tables import IMAGE, OpSpec
from profilers.errors import ProfilingError

if TYPE_CHECKING:  # networks are counted without torch
    from torch import nn


class NetworkNode(Protocol):
    """An operation of a network, in topological order; the last one is the output."""

    @property
    def slot(self) -> str:
        """Its name, unique in the network."""
        ...

    @property
    def spec(self) -> OpSpec:
        """The operation."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Slots of earlier nodes; what is no slot is the image."""
        ...


@runtime_checkable
class ComposedModule(Protocol):
    """A module that computes a network of operations, each by a module of its own."""

    def composed_of(self) -> "Sequence[tuple[NetworkNode, nn.Module]]":
        """Return the operations that reach the output, in topological order, and what computes each.

        There is at least one. Modules of one operation differ in their state alone, and there in what has a
        name; what has none, such as a buffer that is not persistent, is the same in all.
        """
        ...


@dataclass(frozen=True)
class LiveNode:
    """An operation that reaches the output.

    Attributes:
        spec: The operation.
        inputs: Positions of the live nodes that it reads, or ``IMAGE``.
    """

    spec: OpSpec
    inputs: tuple[int, ...]


def live_nodes(nodes: Sequence[NetworkNode]) -> tuple[LiveNode, ...]:
    """Return the nodes that the last one depends on, in order, without their names.

    Raises:
        ProfilingError: There is no node.
    """
    if not nodes:
        raise ProfilingError("a network without nodes computes nothing")
    needed = {nodes[-1].slot}
    for node in reversed(nodes):
        if node.slot in needed:
            needed.update(node.inputs)
    live = [node for node in nodes if node.slot in needed]
    positions = {node.slot: position for position, node in enumerate(live)}
    return tuple(
        LiveNode(node.spec, tuple(positions.get(slot, IMAGE) for slot in node.inputs)) for node in live
    )
