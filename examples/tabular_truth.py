"""A search judged by known accuracies: no weights, no images, and the true front to compare with.

Accuracies come from a CSV file, ``architecture,accuracy``: options joined by dots, and percentages. Without
one, the script makes some up.

usage: .venv/bin/python examples/tabular_truth.py [FILE.csv]     seconds
"""

import itertools
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import cars_hw


def main(path: Path) -> None:
    """Search by the accuracies in ``path``, and print how much of the true front was found."""
    space = cars_hw.spaces.load("nasbench201", deploy="search", channels=4, cells=1)
    figures = cars_hw.read_figures(
        path, ["accuracy"], parse=lambda text: cars_hw.from_text(text, space.choices), scale=0.01
    )
    searched = space.restrict(options_of(figures))
    trainer = cars_hw.TabularTrainer(figures)
    parameters = cars_hw.Parameters(space)
    search = cars_hw.Search(
        trainer,
        cars_hw.strategies.load("cars", searched, np.random.default_rng(0), population_size=16),
        [cars_hw.Error(trainer), parameters],
        cars_hw.Schedule(warm_up_steps=0, steps=0, generations=8),
    )
    for generation in search.run():
        print(generation)
    front = search.history[-1].front
    print(front)
    costs = [(1.0 - accuracy, parameters(architecture)) for architecture, (accuracy,) in figures.items()]
    best = {costs[i] for i in cars_hw.non_dominated(costs)}
    found = best & {member.costs for member in front}
    print(f"{len(found)} of the true front's {len(best)} by {trainer.ledger.evaluations} evaluations")


def options_of(architectures: Iterable[cars_hw.Architecture]) -> tuple[tuple[int, ...], ...]:
    """Return for each decision the options that the ``architectures`` have there."""
    return tuple(tuple(sorted(set(options))) for options in zip(*architectures, strict=True))


def write_made_up(path: Path) -> Path:
    """Write made-up accuracies of the networks with three of the five operations on each edge."""
    worth = np.array([0.0, 0.0, 2.0, 5.0, 0.0])  # percentage points of each operation
    rows = ["architecture,accuracy"]
    for architecture in itertools.product((1, 2, 3), repeat=6):
        gains = worth[list(architecture)] * [1.0, 0.8, 1.2, 0.6, 1.4, 1.0]
        rows.append(f"{cars_hw.to_text(architecture)},{60 + gains.sum():.2f}")
    path.write_text("\n".join(rows) + "\n")
    return path


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(write_made_up(Path(folder) / "accuracies.csv"))
