"""The JSON form of an executed graph: each unit once; of each node, the places of its unit and its inputs."""

from collections.abc import Sequence
from functools import lru_cache

from latency_tables.errors import SpecError, TableError
from latency_tables.fields import require_fields
from latency_tables.lines import Fields
from latency_tables.spec import OpSpec
from latency_tables.units.graph import MAX_NODES, ExecutedGraph, ExecutedNode
from latency_tables.units.unit import Unit, is_unit


def is_executed(fields: Fields) -> bool:
    """Tell whether a line is of an executed graph, not of an entry or a validation."""
    return "nodes" in fields


def executed_to_fields(network: OpSpec, graph: ExecutedGraph) -> Fields:
    """Return the line of what a runtime executes of ``network``.

    Raises:
        SpecError: A node's key is not that of a unit, or ``network`` is that of one.
    """
    _require_network(network)
    places = {_required_unit(unit): place for place, unit in enumerate(graph.counts)}
    nodes = [[places[node.unit], *node.inputs] for node in graph.nodes]
    return {"network": str(network), "units": list(map(str, places)), "nodes": nodes}


def executed_from_fields(fields: Fields) -> tuple[OpSpec, ExecutedGraph]:
    """Read what ``executed_to_fields`` returned: the network's key, and its graph.

    Raises:
        SpecError: A key does not parse, or is not of what it should be.
        TableError: Something else about it is wrong.
    """
    require_fields(fields, network=str, units=list, nodes=list)
    if not all(isinstance(text, str) for text in fields["units"]):
        raise TableError("the units of an executed graph are not all texts")
    if max(len(fields["units"]), len(fields["nodes"])) > MAX_NODES:
        raise TableError(f"an executed graph of more than {MAX_NODES} nodes")
    network = OpSpec.parse(fields["network"])
    _require_network(network)
    units = [_required_unit(OpSpec.parse(text)) for text in fields["units"]]
    graph = ExecutedGraph(tuple(_node(units, values) for values in fields["nodes"]))
    if list(graph.counts) != units:
        raise TableError("the units of an executed graph are not each there once, in the order of its nodes")
    return network, graph


def _node(units: Sequence[OpSpec], values: object) -> ExecutedNode:
    if not isinstance(values, list) or not values or any(type(value) is not int for value in values):
        raise TableError(f"{values!r:.80} is no node of an executed graph")
    place, *inputs = values
    if not 0 <= place < len(units):
        raise TableError(f"a node of an executed graph is of unit {place}, but there are {len(units)}")
    return ExecutedNode(units[place], tuple(inputs))


def _require_network(network: OpSpec) -> None:
    if is_unit(network):
        raise SpecError(f"{network} is the key of a unit, not of a network")


def require_key(spec: OpSpec) -> None:
    """Check the key of an entry: one that says that it is of a unit spells out one.

    Raises:
        SpecError: It does not.
    """
    if is_unit(spec):
        _required_unit(spec)


@lru_cache(maxsize=1 << 14)  # the networks of a table share most of their units
def _required_unit(spec: OpSpec) -> OpSpec:
    """Return ``spec``, once it is known to spell out a unit."""
    Unit.of(spec)
    return spec
