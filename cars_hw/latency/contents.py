"""The contents of a latency table for a space: a call, every deployed operation, and a few whole networks.

The networks are the same ones wherever the table is read; they correct the operations jointly. Others, once
the table was validated, tell how good its predictions are.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import network_spec
from cars_hw.spaces._space import SearchSpace
from latency_tables import CALL_OVERHEAD, OpSpec, reference_of
from profilers import Workload

#: Enough for the factor that all operations share, which is most of the error; see benchmarks/prediction.py.
CALIBRATION_NETWORKS = 16
#: Fewer than 20 leave the spread of Kendall's tau too wide to tell a good table from a bad one.
VALIDATION_NETWORKS = 20
#: Calibration networks that a validation measures once more: whether the device is as fast as it was.
REFERENCE_NETWORKS = 4
_SEED = 20_200_614


@dataclass(frozen=True)
class TableContents:
    """The contents of a table for ``space``, listed in one place."""

    space: SearchSpace

    @cached_property
    def operations(self) -> tuple[OpSpec, ...]:
        """The keys of a call and of every deployed operation."""
        return (CALL_OVERHEAD, *self.space.all_operations("deploy"))

    @cached_property
    def calibration(self) -> tuple[Architecture, ...]:
        """The architectures whose deployed networks are measured as wholes: always the same."""
        return self._drawn(CALIBRATION_NETWORKS)

    @cached_property
    def specs(self) -> tuple[OpSpec, ...]:
        """The keys of everything, each once, in the order of measuring."""
        networks = (network_spec(self.space.deployed(architecture)) for architecture in self.calibration)
        return tuple(dict.fromkeys((*self.operations, *networks)))

    def validation(self, n: int = VALIDATION_NETWORKS) -> tuple[Architecture, ...]:
        """Draw ``n`` architectures that calibration does not see, always the same; fewer in a small space."""
        return self._drawn(CALIBRATION_NETWORKS + n)[CALIBRATION_NETWORKS:]

    def references(self) -> list[Workload]:
        """Return what measures a few of the calibration networks once more, beside their own entries."""
        chosen = self.calibration[:REFERENCE_NETWORKS]
        workloads = [network_workload(self.space, architecture) for architecture in chosen]
        return [replace(workload, spec=reference_of(workload.spec)) for workload in workloads]

    def workloads(self) -> list[Workload]:
        """Return what measures everything, in the order of ``specs``."""
        from cars_hw.weights import modules  # torch takes seconds, which a search by a table need not spend

        operations = [Workload(spec, partial(modules.build, spec)) for spec in self.operations]
        return operations + [network_workload(self.space, architecture) for architecture in self.calibration]

    def _drawn(self, n: int) -> tuple[Architecture, ...]:
        """Draw ``n`` connected architectures: a network of constant output says nothing of its operations."""
        rng, size = np.random.default_rng(_SEED), self.space.size()
        drawn: dict[Architecture, bool] = {}
        while sum(drawn.values()) < n and len(drawn) < size:
            architecture = self.space.sample(rng)
            if architecture not in drawn:
                drawn[architecture] = self.space.deployed(architecture).is_connected
        return tuple(architecture for architecture, is_connected in drawn.items() if is_connected)


def network_workload(space: SearchSpace, architecture: Architecture) -> Workload:
    """Return the deployed network of ``architecture``, untrained: latency does not depend on weights.

    Whole: whether operations are dropped that do not reach the output is the runtime's business.
    """
    from cars_hw.weights.network import Network  # as above

    graph = space.deployed(architecture)
    return Workload(network_spec(graph), lambda: Network.untrained(graph, whole=True).eval())
