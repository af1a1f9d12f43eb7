"""Networks that predictions are judged on: random ones, those where searches go, and extremes.

None of them may calibrate a table of the space, nor be a candidate for that; all are drawn by seeds of their
own. Two terms of the prior (that of the call, and that of weights), by what the least certain networks are
chosen and that the lightest is among them were settled on networks of other seeds, in other sessions than
those that are stored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from cars_hw import Error, Latency, Parameters, Search, latency_model, strategies
from cars_hw.assembly import make_schedule, make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.evolution.variation import mutate
from cars_hw.latency.candidates import drawn, uncertain
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from latency_tables import LatencyTable

_RANDOM, _EXTREME, _FRONT = 48, 24, 60
_RANDOM_SEED, _EXTREME_SEED, _MUTATION_SEED = 7_301, 7_302, 7_303
#: Of the searches whose fronts are judged, and of the one whose front may calibrate.
_SEARCH_SEEDS, _OTHER_SEED = (71, 72), 73
_CONCENTRATION, _MUTATION_RATE = 0.35, 0.15
_OVERRIDES = {
    "data.fitness_images": 400,
    "strategy.population_size": 16,
    "search.warm_up_epochs": 2,
    "search.epochs_per_generation": 0.75,
    "search.generations": 5,
}
#: Networks that may calibrate a table, with some to spare.
_CALIBRATING = 64


@dataclass(frozen=True)
class Judged:
    """Architectures by where they come from; no two sets share one.

    Attributes:
        random: Uniformly drawn.
        front: Fronts of two searches that believed the table, and mutants of them.
        extreme: One kind of operation nearly everywhere.
        calibrating: Of the front of yet another search; not judged.
    """

    random: tuple[Architecture, ...]
    front: tuple[Architecture, ...]
    extreme: tuple[Architecture, ...]
    calibrating: tuple[Architecture, ...] = ()

    def sets(self) -> dict[str, tuple[Architecture, ...]]:
        """Return those that are judged by name."""
        return {"random": self.random, "front": self.front, "extreme": self.extreme}


def judged(space: SearchSpace, trained: SearchConfig, table: LatencyTable, *, calibrating: int = 0) -> Judged:
    """Draw the networks of ``space``.

    Args:
        space: Whose deployed networks are predicted.
        trained: The search whose weights judge accuracy; its space has the same decisions.
        table: What the searches go by; of ``space``.
        calibrating: Networks of another search's front that are to calibrate.
    """
    known = set(drawn(space, _CALIBRATING))
    known |= set(uncertain(space, drawn(space, _CALIBRATING)))
    others: tuple[Architecture, ...] = ()
    if calibrating:
        candidates = dict.fromkeys(_front(space, trained, table, _OTHER_SEED))
        others = _fresh(space, calibrating, _mutants(space, list(candidates)), known, first=candidates)
    members = dict.fromkeys(
        member for seed in _SEARCH_SEEDS for member in _front(space, trained, table, seed)
    )
    front = _fresh(space, _FRONT, _mutants(space, list(members)), known, first=members)
    rng_random = np.random.default_rng(_RANDOM_SEED)
    random = _fresh(space, _RANDOM, lambda: space.sample(rng_random), known)
    return Judged(random, front, _fresh(space, _EXTREME, _extremes(space), known), others)


def _mutants(space: SearchSpace, parents: Sequence[Architecture]) -> Callable[[], Architecture]:
    """Return what draws mutants of ``parents``."""
    rng = np.random.default_rng(_MUTATION_SEED)
    return lambda: mutate(parents[int(rng.integers(len(parents)))], space, rng=rng, rate=_MUTATION_RATE)


def _front(space: SearchSpace, trained: SearchConfig, table: LatencyTable, seed: int) -> list[Architecture]:
    """Return the last front of a short search that believes ``table``."""
    config = trained.model_copy(update={"search": trained.search.model_copy(update={"seed": seed})})
    trainer = make_trainer(config, make_space(config))
    settings: dict[str, Any] = {**config.strategy.settings, "errors": "measured", "trained": "members"}
    strategy = strategies.load("cars", trainer.space, np.random.default_rng(seed), **settings)
    costs = [Error(trainer), Parameters(space), Latency(latency_model(space, table))]
    search = Search(trainer, strategy, costs, make_schedule(config, len(trainer.data.training.labels)))
    for _ in search.run():
        pass
    return [member.architecture for member in search.front]


def short_search(space: Mapping[str, int | str] | None = None) -> SearchConfig:
    """Return the demo's search, shortened; ``space``, if given, takes the place of its space."""
    with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
        config = SearchConfig.load(path, _OVERRIDES)
    if space is None:
        return config
    return SearchConfig.model_validate({**config.model_dump(), "space": dict(space)})


def _extremes(space: SearchSpace) -> Callable[[], Architecture]:
    """Return what draws networks that each have their own mixture of options, mostly of one or two."""
    rng = np.random.default_rng(_EXTREME_SEED)

    def draw() -> Architecture:
        shares = {
            options: rng.dirichlet(np.full(len(options), _CONCENTRATION))
            for options in dict.fromkeys(space.allowed)
        }
        return tuple(int(rng.choice(options, p=shares[options])) for options in space.allowed)

    return draw


def _fresh(
    space: SearchSpace,
    n: int,
    draw: Callable[[], Architecture],
    known: set[Architecture],
    *,
    first: Iterable[Architecture] = (),
) -> tuple[Architecture, ...]:
    """Return ``n`` connected architectures that are not ``known``, ``first`` among them, and know them."""
    found: list[Architecture] = []
    waiting = list(first)
    for _ in range(200 * n):
        if len(found) == n:
            break
        architecture = waiting.pop(0) if waiting else draw()
        if architecture not in known and space.deployed(architecture).is_connected:
            known.add(architecture)
            found.append(architecture)
    return tuple(found)
