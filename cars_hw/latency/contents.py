"""Workloads of a space: what fills its latency table, and whole networks to hold it against."""

from functools import partial

from cars_hw.latency.model import calibration_architectures
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import network_spec
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from latency_tables import CALL_OVERHEAD
from profilers import Workload


def table_workloads(space: SearchSpace) -> list[Workload]:
    """Return what a table holds of ``space``: a call, every deployed operation, and calibration networks."""
    specs = (CALL_OVERHEAD, *space.all_operations("deploy"))
    operations = [Workload(spec, partial(modules.build, spec)) for spec in specs]
    return operations + [network_workload(space, a) for a in calibration_architectures(space)]


def network_workload(space: SearchSpace, architecture: Architecture) -> Workload:
    """Return the deployed network of ``architecture``, untrained: latency does not depend on weights.

    Whole: whether operations are dropped that do not reach the output is the runtime's business.
    """
    graph = space.graph(architecture, "deploy")
    return Workload(network_spec(graph), lambda: Network.untrained(graph, whole=True).eval())
