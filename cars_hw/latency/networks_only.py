"""A table of whole networks alone: which networks it is made of, and what is predicted from them.

For devices whose operations cannot be measured one by one. A network's measurement says which architecture it
is of (its condition ``architecture``), so a table may be made of networks that were chosen here, by design
over the counts of their operations, of networks that somebody else measured, or of both.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from cars_hw.errors import ArchitectureError
from cars_hw.latency.candidates import drawn, network_key, uncertain
from cars_hw.networks import operations
from cars_hw.networks.architecture import Architecture, from_text, to_text
from cars_hw.spaces._space import SearchSpace
from devices.foundation import ConfigError
from latency_tables import (
    FEWEST_NETWORKS,
    CountedNetwork,
    KeyedBy,
    LatencyTable,
    Measurement,
    MissingEntryError,
    NetworksModel,
    OpSpec,
    Prediction,
    choose_networks,
)

#: The condition of a measurement that says of which architecture the network is.
ARCHITECTURE = "architecture"

_SEED = 20_261_130
#: Random networks that are chosen from, beside ones of few kinds of operation.
_RANDOM = 250
#: Multiply-accumulates that take about as long as moving one number between memory and processor.
_MACS_OF_ELEMENT = 8


class NetworksPredictor:
    """Predicts the deployed networks of a space from whole networks alone.

    Args:
        space: The space.
        networks: At least ``FEWEST_NETWORKS`` measured networks, each with its seconds per call.

    Attributes:
        model: Takes the counts of a network's operations.

    Raises:
        MissingEntryError: There are fewer.
    """

    def __init__(self, space: SearchSpace, networks: Sequence[tuple[Architecture, float]]) -> None:
        self._space, self._networks = space, tuple(networks)
        if len(networks) < FEWEST_NETWORKS:
            raise MissingEntryError(
                f"{FEWEST_NETWORKS} networks of {space.name}", reason=f"{len(networks)} are there"
            )
        self.model = NetworksModel(
            [CountedNetwork(_counts(space, one), latency_s) for one, latency_s in networks], operation_work
        )

    def __repr__(self) -> str:
        return f"NetworksPredictor({self._space!r}, {self.model!r})"

    def predict(self, architecture: Architecture) -> Prediction:
        """Predict the deployed network of ``architecture``.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        return self.model.predict(_counts(self._space, architecture))

    def with_networks(self, networks: Sequence[tuple[Architecture, float]]) -> "NetworksPredictor":
        """Return a predictor that knows further measured networks."""
        return NetworksPredictor(self._space, (*self._networks, *networks))


def measured_networks(space: SearchSpace, table: LatencyTable) -> dict[Architecture, Measurement]:
    """Return the networks of ``table`` whose architectures it knows, those of ``space`` alone."""
    found = {}
    for entry in table.measurements.values():
        text = entry.conditions.get(ARCHITECTURE)
        if not isinstance(text, str):
            continue
        try:
            architecture = from_text(text, space.choices)
        except ArchitectureError:  # of another space
            continue
        if network_key(space, architecture) == entry.spec:
            found[architecture] = entry
    return found


def marked(entry: Measurement, architecture: Architecture) -> Measurement:
    """Return the measurement of a network that says which architecture it is of."""
    return replace(entry, conditions={**entry.conditions, ARCHITECTURE: to_text(architecture)})


@contextmanager
def marking(
    space: SearchSpace, path: Path, chosen: Sequence[Architecture], keyed_by: KeyedBy = "networks"
) -> Iterator[None]:
    """Let each network that is measured within say which architecture it is of, whatever ends it.

    Args:
        space: The space.
        path: The table, as far as it is one that is keyed so.
        chosen: Networks of the space.
        keyed_by: What the table is made of.
    """
    try:
        yield
    finally:
        if chosen and path.exists():
            _mark(space, path, chosen, keyed_by)


def _mark(space: SearchSpace, path: Path, chosen: Sequence[Architecture], keyed_by: KeyedBy) -> None:
    header = LatencyTable.header_of(path)
    if header.keyed_by != keyed_by:
        return
    with LatencyTable.open_for_writing(path, header) as table:
        known = measured_networks(space, table)
        entries = [
            (table.measurements.get(network_key(space, one)), one) for one in chosen if one not in known
        ]
        table.add(*(marked(entry, architecture) for entry, architecture in entries if entry is not None))


def chosen_networks(
    space: SearchSpace, n: int, measured: Collection[Architecture] = ()
) -> tuple[Architecture, ...]:
    """Return the ``n`` networks that a table is to hold: always the same ones, connected ones alone.

    Args:
        space: The space.
        n: How many; at least ``FEWEST_NETWORKS``.
        measured: Those that the table has. Where they are others, they are kept, and those that are missing
            are chosen beside them.

    Raises:
        ConfigError: ``n`` is too small, or the space has fewer connected networks.
    """
    if n < FEWEST_NETWORKS:
        raise ConfigError(f"{n} networks are too few to predict others from; {FEWEST_NETWORKS} are enough")
    first = _designed(space, n, ())
    if set(measured) <= set(first):
        return first
    return (*measured, *_designed(space, max(n - len(measured), 0), tuple(measured)))


def _designed(space: SearchSpace, n: int, kept: Sequence[Architecture]) -> tuple[Architecture, ...]:
    others = [one for one in _candidates(space) if one not in kept]
    if len(others) < n:
        raise ConfigError(
            f"{space.name} has {len(others)} connected networks to choose {n} from; ask for fewer"
        )
    counted = [_counts(space, one) for one in (*kept, *others)]
    rng, places = np.random.default_rng(_SEED), range(len(kept))
    chosen = choose_networks(counted, n, operation_work, rng, kept=places)
    return tuple(others[i - len(kept)] for i in chosen)


def _candidates(space: SearchSpace) -> tuple[Architecture, ...]:
    random = drawn(space, _RANDOM)
    return (*random, *uncertain(space, random))


def _counts(space: SearchSpace, architecture: Architecture) -> tuple[Mapping[OpSpec, int], ...]:
    """Return a network's operations, all of them and those alone that its output depends on."""
    graph = space.deployed(architecture)
    return Counter(graph.specs()), Counter(graph.live.specs())


@lru_cache(maxsize=1 << 14)
def operation_work(spec: OpSpec) -> float:
    """Return the multiply-accumulates that take about as long as ``spec``: its own, and what it moves."""
    moved = sum(map(math.prod, (*spec.input_shapes, *operations.tensor_shapes(spec))))
    return operations.macs(spec) + _MACS_OF_ELEMENT * moved
