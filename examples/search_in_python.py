"""What the verbs of the command line do, from Python: from a configuration to exported and measured files.

usage: .venv/bin/python examples/search_in_python.py [FOLDER]

A minute on two cores; started again, it goes on.
"""

import sys
from pathlib import Path

from pydantic import JsonValue

import cars_hw

#: What differs from the defaults; a TOML file does the same: ``SearchConfig.load(Path("search.toml"))``.
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
    "training.batch_size": 64,
    "training.crop_padding": 1,
    "training.recalibration_images": 128,
    "search.warm_up_epochs": 1,
    "search.epochs_per_generation": 1,
    "search.generations": 4,
}


def main(folder: Path, quality: cars_hw.Quality) -> None:
    """Profile, validate, search, export, bench and report in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    config = cars_hw.SearchConfig.load(None, {**SETTINGS, "latency.table": str(folder / "cpu.jsonl")})

    # cars-hw profile, and cars-hw table validate: each measures what is missing, and nothing else.
    filled = cars_hw.profile(config, quality=quality)
    print(f"{len(filled.entries)} units and networks measured, {filled.were_there} were there")
    print(cars_hw.validate(config, quality=quality))
    print(cars_hw.LatencyTable.open(config.latency.table).to_frame().nlargest(3, "latency_ms"))

    # cars-hw search: a run folder keeps each generation; a search that was stopped goes on after it.
    run = cars_hw.Run.create(folder / "run", config)
    search = cars_hw.open_search(run)
    for generation in search.run():
        print(generation)

    # The members: a front is a tuple of candidates, prints itself as a table, and becomes a data frame.
    front = search.history[-1].front
    print(front)
    front.to_frame().to_csv(folder / "front.csv")
    print("the knee:", cars_hw.to_text(cars_hw.pick(front, "knee").architecture))

    # cars-hw export, cars-hw bench and cars-hw report.
    files = cars_hw.export(run, ["knee", "fastest", "spread:3"])
    for bench in cars_hw.bench([file.path for file in files.values()], config, quality=quality):
        print(f"{bench.name}: measured {bench.measured_text} ms, predicted {bench.predicted_text} ms")
    print(cars_hw.report(run))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/in_python"), cars_hw.Quality())
