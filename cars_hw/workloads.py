"""Workloads of a space: its operations for the table, and whole networks to hold it against."""

from functools import partial

from cars_hw import ops
from cars_hw.architecture import Architecture
from cars_hw.graph import network_spec
from cars_hw.network import Network
from cars_hw.spaces._space import SearchSpace
from latency_tables.prediction import CALL_OVERHEAD
from profilers.runtimes._runtime import Workload


def operation_workloads(space: SearchSpace) -> list[Workload]:
    """Return what a table of ``space`` holds: a call's cost, and every operation of deployed networks."""
    specs = (CALL_OVERHEAD, *space.all_operations("deploy"))
    return [Workload(spec, partial(ops.build, spec)) for spec in specs]


def network_workload(space: SearchSpace, architecture: Architecture) -> Workload:
    """Return the deployed network of ``architecture``, untrained: latency does not depend on weights."""
    graph = space.graph(architecture, "deploy")
    return Workload(network_spec(graph), lambda: Network.untrained(graph).eval())
