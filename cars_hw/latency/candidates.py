"""The networks that a table may be calibrated and validated by, drawn from a space: always the same ones.

They are remembered for all spaces of the same settings, since a verb makes its space several times.
"""

import json
import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import network_spec
from cars_hw.spaces._space import SearchSpace
from latency_tables import OpSpec

_SEED, _SEED_OF_UNCERTAIN = 20_200_614, 20_261_130
#: Networks among which the least certain are looked for, at most.
CANDIDATES = 50
#: Of the Dirichlet distribution that a network's own mixture of options is drawn from: mostly one or two.
_CONCENTRATION = 0.35
#: A space may have fewer connected networks than are asked for.
_TRIES = 20 * CANDIDATES


@dataclass(frozen=True)
class _Same:
    """A space, equal to all that have the same networks."""

    space: SearchSpace = field(compare=False)
    made_of: tuple[Hashable, ...]


@lru_cache(maxsize=32)
def _same(space: SearchSpace) -> _Same:
    settings = json.dumps(space.settings.values(), sort_keys=True)
    first = network_spec(space.deployed(tuple(options[0] for options in space.allowed)))
    return _Same(space, (type(space), settings, space.choices, space.allowed, first))


def is_same_space(one: SearchSpace, other: SearchSpace) -> bool:
    """Tell whether two spaces have the same networks."""
    return _same(one) == _same(other)


def drawn(space: SearchSpace, n: int) -> tuple[Architecture, ...]:
    """Draw ``n`` connected architectures: a network of constant output says nothing of its operations."""
    return _drawn(_same(space), n)


def uncertain(space: SearchSpace, others: tuple[Architecture, ...]) -> tuple[Architecture, ...]:
    """Draw connected architectures of few kinds of operation, of which random ones say little.

    First those with one option wherever there are the most of them, which are a space's operations; then
    those that draw their own mixture of options, one for all decisions with the same ones.

    Args:
        space: Where restricted, of its allowed options.
        others: Left out.
    """
    return _uncertain(_same(space), others)


def lightest(space: SearchSpace) -> Architecture:
    """Return a connected architecture of few multiply-accumulates: near the end to which searches go.

    From the lightest of some random ones, the best change of one decision is made as long as one makes it
    lighter; of equally many, fewer live operations are lighter, then fewer parameters.

    Args:
        space: Where restricted, of its allowed options.
    """
    return _lightest(_same(space))


def network_key(space: SearchSpace, architecture: Architecture) -> OpSpec:
    """Return the key of the deployed network of ``architecture``."""
    return _network_key(_same(space), architecture)


@lru_cache(maxsize=4096)
def _network_key(same: _Same, architecture: Architecture) -> OpSpec:
    return network_spec(same.space.deployed(architecture))


@lru_cache(maxsize=32)
def _drawn(same: _Same, n: int) -> tuple[Architecture, ...]:
    space = same.space
    rng, size = np.random.default_rng(_SEED), space.size()
    found: dict[Architecture, bool] = {}
    while sum(found.values()) < n and len(found) < size:
        architecture = space.sample(rng)
        if architecture not in found:
            found[architecture] = space.deployed(architecture).is_connected
    return tuple(architecture for architecture, is_connected in found.items() if is_connected)


@lru_cache(maxsize=32)
def _uncertain(same: _Same, others: tuple[Architecture, ...]) -> tuple[Architecture, ...]:
    space = same.space
    rng, found = np.random.default_rng(_SEED_OF_UNCERTAIN), dict[Architecture, None]()
    for architecture, _ in zip(_extremes(space, rng), range(_TRIES), strict=False):
        is_new = architecture not in found and architecture not in others
        if is_new and space.deployed(architecture).is_connected:
            found[architecture] = None
        if len(found) == CANDIDATES:
            break
    return tuple(found)


@lru_cache(maxsize=32)
def _lightest(same: _Same) -> Architecture:
    space = same.space

    def weight(architecture: Architecture) -> tuple[float, float, float]:
        if parts := space.parts(architecture):
            return (
                sum(one.macs for one in parts),
                sum(len(one.specs) for one in parts),
                sum(one.parameters for one in parts),
            )
        graph = space.deployed(architecture)
        live = graph.live
        if not graph.is_connected:
            return math.inf, math.inf, math.inf
        return live.macs(), len(live.nodes), live.parameters()

    best = min(_drawn(same, CANDIDATES), key=weight)
    while True:
        lighter = min(_changed(space, best), key=weight, default=best)
        if weight(lighter) >= weight(best):
            return best
        best = lighter


def _changed(space: SearchSpace, architecture: Architecture) -> Iterator[Architecture]:
    """Yield all architectures that differ in one decision."""
    for place, options in enumerate(space.allowed):
        for option in options:
            if option != architecture[place]:
                yield (*architecture[:place], option, *architecture[place + 1 :])


def _extremes(space: SearchSpace, rng: np.random.Generator) -> Iterator[Architecture]:
    most = max(map(len, space.allowed))
    for i in range(most):
        other = space.sample(rng)
        yield tuple(
            options[i] if len(options) == most else option
            for options, option in zip(space.allowed, other, strict=True)
        )
    while True:
        shares = {
            options: rng.dirichlet(np.full(len(options), _CONCENTRATION))
            for options in dict.fromkeys(space.allowed)
        }
        yield tuple(int(rng.choice(options, p=shares[options])) for options in space.allowed)
