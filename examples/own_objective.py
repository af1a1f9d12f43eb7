"""A search for a cost and on images of one's own, each a file of ``my_lab`` that is named with a dot.

The command line does the same in a folder that holds ``my_lab``: ``--set data.name=my_lab.stripes``. Naming a
module runs its code: a run folder of somebody else is opened only for names that are allowed.

usage: .venv/bin/python examples/own_objective.py [FOLDER]     seconds; nothing is measured
"""

import sys
from pathlib import Path

from pydantic import JsonValue

import cars_hw

SETTINGS: dict[str, JsonValue] = {
    "space.name": "nasbench201",
    "space.deploy": "search",
    "space.channels": 4,
    "space.cells": 1,
    "space.image_size": 8,
    "space.image_channels": 1,
    "space.classes": 3,
    "strategy.name": "cars",
    "strategy.population_size": 8,
    "data.name": "my_lab.stripes",
    "data.images": 400,
    "data.fitness_images": 100,
    "training.batch_size": 50,
    "training.recalibration_images": 100,
    "search.objectives": ["error", "my_lab.depth", "peak_memory_bytes"],
    "search.warm_up_epochs": 1,
    "search.epochs_per_generation": 1,
    "search.generations": 2,
    "limits.peak_memory_bytes": 30_000,
}


def main(folder: Path) -> None:
    """Search in ``folder``, and open the run again as a stranger's."""
    run = cars_hw.Run.create(folder, cars_hw.SearchConfig.load(None, SETTINGS))
    search = cars_hw.open_search(run)
    for generation in search.run():
        print(generation)
    print(search.history[-1].front)
    print("the flattest:", cars_hw.pick(search.history[-1].front, "least:my_lab.depth"))
    try:
        cars_hw.Run.open(folder)
    except cars_hw.PluginNotAllowedError as error:
        print(error)
    again = cars_hw.Run.open(folder, allow_plugins=["my_lab.stripes", "my_lab.depth"])
    print(again.record().history[-1])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/own_objective"))
