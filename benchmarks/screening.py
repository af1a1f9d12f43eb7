"""Screening on a SuperNet, whose accuracies move: CARS with and without it, at equal image passes.

The demo's space and images, 5 seeds, each pair of searches with the same seed, the same training steps and
the same number of evaluations. What is compared is the hypervolume of the last population's costs (error,
parameters, MACs), in one normalisation: the ends of the front of all searches together at 0 and 1, reference
point 1.1. Peer: the same search without screening, by the paper's offspring, which the screened one's pool
consists of too. Interrupted, a run goes on where it ended
(``runs/screening``).
"""

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from _rows import Row, finish, parse_options, store, stored
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy.stats import t

from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.evolution import domination
from cars_hw.evolution.indicators import hypervolume
from cars_hw.runs import Run

SEEDS = 5
_RESULTS = "screening"
_FOLDER = Path("runs/screening")
_OVERRIDES: dict[str, JsonValue] = {
    "strategy.population_size": 16,
    "strategy.crossover_share": 0.25,
    "strategy.mutated_groups": "half",
    "data.fitness_images": 400,
    "search.objectives": ["error", "parameters", "macs"],
    "search.warm_up_epochs": 2,
    "search.epochs_per_generation": 0.75,
    "search.generations": 6,
}
_REFERENCE = 1.1


def search(seed: int, *, screening: bool) -> dict[str, Any]:
    """Run one search, or read what it left; return the last population's costs and what was spent."""
    with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
        overrides = {**_OVERRIDES, "search.seed": seed, "search.screening": screening}
        config = SearchConfig.load(path, overrides)
    run = Run.create(_FOLDER / f"seed{seed}-{'screened' if screening else 'plain'}", config)
    found = make_search(run, make_trainer(config, make_space(config)))
    found.resume()
    for generation in found.run():
        print(f"seed {seed}, screening {screening}: {generation}", file=sys.stderr, flush=True)
    last = found.history[-1]
    return {"costs": [list(member.costs) for member in last.population], "ledger": dict(last.ledger)}


def volumes(raw: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Return the hypervolume of each seed's searches, with and without screening, (n, 2)."""
    costs = [np.array(pair[kind]["costs"]) for pair in raw for kind in ("screened", "plain")]
    everything = np.concatenate(costs)
    front = everything[domination.fronts(everything)[0]]
    low, high = front.min(axis=0), front.max(axis=0)
    return np.array(
        [hypervolume((found - low) / (high - low), [_REFERENCE] * len(low)) for found in costs]
    ).reshape(-1, 2)


def paired_difference(found: NDArray[np.float64]) -> tuple[float, float]:
    """Return what screening adds to the hypervolumes ``(n, 2)``: mean, and margin of its 95 % interval."""
    difference = found[:, 0] - found[:, 1]
    n = len(difference)
    return float(difference.mean()), float(t.ppf(0.975, n - 1) * difference.std(ddof=1) / n**0.5)


def rows(raw: list[dict[str, Any]], source: str) -> list[Row]:
    """Return the hypervolumes, their paired difference with its spread, and what was spent."""
    found = volumes(raw)
    screened, plain = found.T
    mean, margin = paired_difference(found)
    passes = [
        sum(pair[kind]["ledger"][name] for name in ("training_images", "evaluation_images"))
        for pair in raw
        for kind in ("screened", "plain")
    ]
    return [
        Row(
            "screening.hypervolume",
            float(screened.mean()),
            spread=(float(screened.min()), float(screened.max())),
            peer=float(plain.mean()),
            peer_name="without screening",
            n=len(raw),
            source=source,
        ),
        Row(
            "screening.hypervolume_difference",
            mean,
            spread=(mean - margin, mean + margin),
            floor=float(plain.std(ddof=1)),
            n=len(raw),
            source=source,
        ),
        Row(
            "screening.image_passes_ratio",
            max(passes) / min(passes),
            "",
            "<= 1.0",
            n=len(passes),
            source=source,
        ),
    ]


def main() -> None:
    """Run all searches, or check the last full run's results again with ``--quick``."""
    options = parse_options(__doc__ or "")
    if options.quick:
        finish(rows(stored(_RESULTS), "stored"), options)
    raw = [
        {"screened": search(seed, screening=True), "plain": search(seed, screening=False)}
        for seed in range(SEEDS)
    ]
    raw = json.loads(json.dumps(raw))
    store(_RESULTS, raw)
    finish(rows(raw, "fresh"), options)


if __name__ == "__main__":
    main()
