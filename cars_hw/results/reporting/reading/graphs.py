"""Drawing: an architecture as the few graphs that a reader looks at, cells that are alike drawn once."""

import re
from collections.abc import Sequence

from cars_hw.networks.graph import Graph, Node
from cars_hw.results.reporting.run_model import GraphNode, GraphPart
from latency_tables import OpSpec

#: The part of a slot that names a cell, and what follows it.
_CELL = re.compile(r"(.*\bcell[0-9]+)\.(.+)")

#: Parameters that a label tells, beside the kernel; others follow from the place in the network.
_TOLD = (("expansion", "x{}"), ("dilation", "dilation {}"), ("stride", "/{}"))


def drawing(graph: Graph) -> tuple[GraphPart, ...]:
    """Return the network with each cell as one node, then each kind of cell; without dead operations.

    Args:
        graph: Of a whole network. Operations whose slot is ``...cellN.…`` are of that cell; where there are
            none, all of the network is one part.
    """
    cells: dict[str, list[Node]] = {}
    for node in graph.live.nodes:
        if found := _CELL.fullmatch(node.slot):
            cells.setdefault(found[1], []).append(node)
    places: dict[tuple[GraphNode, ...], list[str]] = {}
    for name, nodes in cells.items():
        places.setdefault(_inside(name, nodes), []).append(name)
    kinds = {name: i for i, names in enumerate(places.values()) for name in names}
    whole = GraphPart("network", 1, tuple(_outline(graph.live, cells, kinds)))
    parts = (
        GraphPart(_title(i, names), len(names), inside) for i, (inside, names) in enumerate(places.items())
    )
    return (whole, *parts)


def _title(kind: int, names: Sequence[str]) -> str:
    where = ", ".join(name.replace(".", " ") for name in names[:4])
    return f"{_kind_text(kind)}: {where}{', ...' if len(names) > 4 else ''}"


def _kind_text(kind: int) -> str:
    """Return what the cells of a kind are called: A, B, ..., Z, A1, ..."""
    letter, round_ = chr(ord("A") + kind % 26), kind // 26
    return f"cell {letter}{round_ or ''}"


def _inside(name: str, nodes: Sequence[Node]) -> tuple[GraphNode, ...]:
    """Return the operations of a cell; what it reads is numbered, so that cells that are alike are equal."""
    own = {node.slot: node.slot.removeprefix(f"{name}.") for node in nodes}
    outside: dict[str, str] = {}
    for node in nodes:
        for read in node.inputs:
            if read not in own:
                outside.setdefault(read, f"input {len(outside)}")
    ids = outside | own
    return tuple(
        GraphNode(own[node.slot], label(node.spec), tuple(ids[read] for read in node.inputs))
        for node in nodes
    )


def _outline(graph: Graph, cells: dict[str, list[Node]], kinds: dict[str, int]) -> list[GraphNode]:
    """Return the operations outside of cells, and the cells, in topological order."""
    owner = {node.slot: name for name, nodes in cells.items() for node in nodes}
    ends = {name: nodes[-1].slot for name, nodes in cells.items()}
    found: list[GraphNode] = []
    for node in graph.nodes:
        name = owner.get(node.slot)
        if name is None:
            reads, text = node.inputs, label(node.spec)
        elif node.slot == ends[name]:
            reads, text = _outside(cells[name], owner), _kind_text(kinds[name])
        else:
            continue
        inputs = dict.fromkeys(owner.get(read, read) for read in reads)
        found.append(GraphNode(name or node.slot, text, tuple(inputs)))
    return found


def _outside(nodes: Sequence[Node], owner: dict[str, str]) -> tuple[str, ...]:
    """Return what a cell reads that is not of it."""
    own = owner[nodes[0].slot]
    return tuple(dict.fromkeys(read for node in nodes for read in node.inputs if owner.get(read) != own))


def label(spec: OpSpec) -> str:
    """Return an operation in a few characters: ``"sep conv 3x3"``."""
    values = dict(spec.params)
    words = [spec.kind.replace("_", " ")]
    if values.get("kernel", 1) != 1:
        words.append(f"{values['kernel']}x{values['kernel']}")
    words += [form.format(values[name]) for name, form in _TOLD if values.get(name, 1) != 1]
    return " ".join(words)
