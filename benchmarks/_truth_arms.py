"""Searches on one SuperNet of NAS-Bench-201 that are judged by published accuracy, and how one is run.

Nothing here reads a published accuracy. Latency is predicted from 20 networks of a Pixel 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _jobs import cpu_s, searched
from _rank_settings import STEPS_PER_EPOCH, drawn
from numpy.typing import NDArray

from cars_hw import strategies
from cars_hw.assembly import make_space
from cars_hw.candidate import Candidate
from cars_hw.config import SearchConfig
from cars_hw.evolution.domination import Costs
from cars_hw.evolution.indicators import hypervolume
from cars_hw.ledger import Json
from cars_hw.networks import operations
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.networks.graph import WEIGHTED_SUM
from cars_hw.results.picks import pick
from cars_hw.runs import Run
from cars_hw.spaces import SearchSpace

#: Members that are judged, and members of a population.
K, POPULATION = 20, 24
GENERATIONS, WARM_UP_SHARE = 6, 0.5
#: Steps of the default: 20 epochs of 20 000 images, 64 a step.
STEPS = 6_250
#: Beyond the ends of a front, in its own scale.
_REFERENCE = 1.1
#: Networks whose graphs tell how much a path computes on average.
_SAMPLED = 200


@dataclass(frozen=True)
class Arm:
    """A search that is judged.

    Attributes:
        what: In words.
        values: What it changes of the default, by dotted keys.
        seeds: How many of it are asked for.
    """

    what: str
    values: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 3


_PLAIN = {"search.screening": False}
_PAPER = {
    **_PLAIN,
    "strategy.errors": "measured",
    "strategy.trained": "members",
    "strategy.crossover_share": 0.25,
    "strategy.mutated_groups": "half",
}
_RANDOM = {"strategy.name": "random_search", "strategy.errors": "joined"}
ARMS: Mapping[str, Arm] = {
    "default": Arm("cars as it is", seeds=8),
    "random_search": Arm("random search, which compares as cars does", _RANDOM, seeds=8),
    "macs": Arm(
        "cars with multiply-accumulates in place of latency",
        {"search.objectives": ["error", "parameters", "macs"]},
        seeds=8,
    ),
    "random_measured": Arm(
        "random search by errors as they were measured", {**_RANDOM, "strategy.errors": "measured"}
    ),
    "measured": Arm("cars by errors as they were measured", {**_PLAIN, "strategy.errors": "measured"}),
    "screened": Arm("cars that screens what it evaluates", {"search.screening": True}),
    "members": Arm("cars that trains members alone", {"strategy.trained": "members"}),
    "plain": Arm("cars as in the paper: it trains members, and evaluates the paper's offspring", _PAPER),
    "nsga3": Arm(
        "the same, and NSGA-III's selection, which knows no speed", {**_PAPER, "strategy.selection": "nsga3"}
    ),
    "size_protection": Arm(
        "the same, and the released code's selection", {**_PAPER, "strategy.selection": "size_protection"}
    ),
    "fair": Arm(
        "cars, trained by strict fairness", {"strategy.warm_up_paths": "fair", "strategy.trained": "fair"}
    ),
    "evnas": Arm("EvNAS", {"strategy.name": "evnas"}),
    "evnas_hard": Arm(
        "EvNAS on decoded networks alone", {"strategy.name": "evnas", "strategy.paths": "hard"}
    ),
    "g_evonas": Arm("G-EvoNAS", {"strategy.name": "g_evonas"}),
    "g_evonas_unpruned": Arm(
        "G-EvoNAS without pruning", {"strategy.name": "g_evonas", "strategy.pruning": False}
    ),
    "nse": Arm(
        "NSE in two rounds, three operations an edge",
        {
            "strategy.name": "nse",
            "strategy.operations_per_place": 3,
            "strategy.generations_per_round": GENERATIONS // 2 + 1,
        },
    ),
    "nse_one_round": Arm(
        "NSE in one round, all operations",
        {"strategy.name": "nse", "strategy.generations_per_round": GENERATIONS + 1},
    ),
}

_BASE: Mapping[str, Any] = {
    "space.name": "nasbench201",
    "space.channels": 16,
    "space.cells": 1,
    "space.image_size": 16,
    "data.name": "cifar10",
    "data.resize": "fit",
    "data.image_size": 16,
    "data.fitness_images": 1_000,
    "training.batch_size": 64,
    "training.learning_rate": 0.1,
    "training.recalibration_images": 512,
    "search.objectives": ["error", "parameters", "latency_ms"],
    "latency.device": "android",
    "latency.runtime": "tflite",
    "latency.allow_changed": ["device"],
}


def config(arm: Arm, seed: int, steps: float, *, table: Path, images: Path) -> SearchConfig:
    """Return the search of an arm, of so many steps of one path or of what it trains instead."""
    epochs = steps / STEPS_PER_EPOCH
    overrides: dict[str, Any] = {
        **_BASE,
        "strategy.name": "cars",
        "strategy.population_size": POPULATION,
        "data.path": str(images),
        "latency.table": str(table),
        "search.seed": seed,
        "search.warm_up_epochs": epochs * WARM_UP_SHARE,
        "search.epochs_per_generation": epochs * (1 - WARM_UP_SHARE) / GENERATIONS,
        "search.generations": GENERATIONS,
        **arm.values,
    }
    return SearchConfig.load(None, overrides)


def search(folder: Path, wanted: SearchConfig) -> dict[str, Any] | None:
    """Run an arm's search, or go on with it; return what is to be judged.

    Returns:
        ``None`` where a signal stopped it, saved.
    """
    run = searched(folder, wanted)
    if run is None:
        return None
    record, space = run.record(), make_space(wanted)
    front = record.history[-1].front
    ledger = record.history[-1].ledger
    return {
        "chosen": [to_text(one) for one in chosen_of(front)],
        "knee": to_text(pick(front, "knee").architecture),
        "front": [_described(member) for member in front],
        "objectives": list(front.objectives),
        "members": [_described(member) for member in record.history[-1].population],
        "ledger": ledger,
        "macs": _macs(run, space, ledger),
        "cpu_s": cpu_s(folder),
    }


def chosen_of(front: Sequence[Candidate]) -> list[Architecture]:
    """Return the members that are judged, by what the search compares them by; none of the pilot is."""
    hidden = set(drawn("pilot"))
    left = [member for member in front if member.architecture not in hidden]
    return [left[place].architecture for place in greedy([member.ranked for member in left])]


def greedy(costs: Sequence[Sequence[float]], n: int = K) -> list[int]:
    """Return the indices of ``n`` of the costs, one after the other those that add the most hypervolume.

    The scale is that of the costs' own ends, the reference point a tenth beyond.
    """
    scaled = _scaled(np.array(costs, dtype=np.float64))
    reference = (_REFERENCE,) * scaled.shape[1]
    chosen: list[int] = []
    while len(chosen) < min(n, len(scaled)):
        left = [place for place in range(len(scaled)) if place not in chosen]
        gains = [hypervolume(scaled[[*chosen, place]], reference) for place in left]
        chosen.append(left[int(np.argmax(gains))])
    return chosen


def _scaled(costs: NDArray[np.float64]) -> Costs:
    low, high = costs.min(axis=0), costs.max(axis=0)
    scaled: Costs = (costs - low) / np.where(high > low, high - low, 1.0)
    return scaled


def _described(member: Candidate) -> dict[str, Any]:
    return {"architecture": to_text(member.architecture), "costs": list(member.costs)}


def _macs(run: Run, space: SearchSpace, ledger: Mapping[str, Json]) -> float:
    """Return about how many multiply-accumulates a search has computed: backwards, twice those forwards."""
    rng = np.random.default_rng(0)
    sampled = [space.sample(rng) for _ in range(_SAMPLED)]
    is_soft = strategies.load(run.config.strategy.name, space, rng).soft_path
    macs = float(np.mean([_path_macs(space, one, is_soft=is_soft) for one in sampled]))
    passes = {name: float(str(ledger[name])) for name in ("training_images", "evaluation_images")}
    return macs * (3 * passes["training_images"] + passes["evaluation_images"])


def _path_macs(space: SearchSpace, architecture: Architecture, *, is_soft: bool) -> float:
    if not is_soft:
        return float(space.graph(architecture).live.macs())
    # Weighted sums of options have neither convolutions nor linear layers.
    specs = space.soft_graph(architecture).graph.specs()
    return float(sum(operations.macs(spec) for spec in specs if spec.kind != WEIGHTED_SUM))
