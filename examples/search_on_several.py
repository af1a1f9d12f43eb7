"""A search whose weights several processes train together: on the cards of a machine, or of several machines.

usage: .venv/bin/torchrun --nproc-per-node 2 examples/search_on_several.py FOLDER [DEVICE]

Rank 0 searches; the others train with it, each on paths and images of its own. Started again with as many
processes, it goes on. With DEVICE ``cuda``, each process takes the card of its number on its machine.
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
    "strategy.population_size": 8,
    "data.name": "digits",
    "data.fitness_images": 400,
    "training.batch_size": 32,  # of each process
    "training.crop_padding": 1,
    "training.recalibration_images": 128,
    "search.objectives": ["error", "parameters", "macs"],
    "search.warm_up_epochs": 1,
    "search.epochs_per_generation": 1,
    "search.generations": 2,
}


def main(folder: Path, device: str) -> None:
    """Search in ``folder``, as rank 0; train with it, as another rank."""
    with cars_hw.joined_team(device) as team:
        if team.rank:
            cars_hw.follow_search(team)
            return
        with cars_hw.leading(team):
            lead(folder, team)


def lead(folder: Path, team: cars_hw.Team) -> None:
    """Search as without a team."""
    config = cars_hw.SearchConfig.load(None, SETTINGS)
    run = cars_hw.Run.open(folder) if cars_hw.Run.exists(folder) else cars_hw.Run.create(folder, config)
    search = cars_hw.open_search(run, team=team)
    for generation in search.run():
        print(generation)
    ledger = search.trainer.ledger
    print(f"{ledger.training_images} images in {ledger.steps} steps of {team.size} processes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "cpu")
