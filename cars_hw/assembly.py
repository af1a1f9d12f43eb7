"""Assembly: the search that a configuration describes, put together from its parts."""

import hashlib
import math
from pathlib import Path

import numpy as np

import devices
from cars_hw import data, objectives, spaces, strategies
from cars_hw.config import LatencySection, SearchConfig
from cars_hw.evolution.screening import Screen
from cars_hw.latency.contents import TableContents
from cars_hw.latency.model import latency_model, trust
from cars_hw.objectives import Ingredients, Latency, Limits, Objective
from cars_hw.runs import Run
from cars_hw.search import Schedule, Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import unconstrained
from cars_hw.weights.supernet_trainer import SuperNetTrainer, TrainingPlan
from latency_tables import LatencyTable, TableError, TableMismatchError
from profilers import Setup


def open_table(config: SearchConfig) -> LatencyTable:
    """Open the table that ``config`` names, and refuse one measured under other conditions than it names.

    Where a program for phones lies here is no condition; what it was is part of the runtime's version.

    Raises:
        TableError: It cannot be read, or was measured on another device, runtime or number of threads.
        DeviceError: The device cannot be reached, to compare; ``latency.measured_elsewhere`` leaves that out.
    """
    wanted = config.latency
    table = LatencyTable.open(Path(wanted.table))
    table.require(
        device=wanted.device.partition(":")[0],
        runtime=wanted.runtime,
        threads=wanted.threads,
        settings={name: value for name, value in wanted.settings.items() if not name.endswith("_binary")},
    )
    if not wanted.measured_elsewhere:
        with devices.connect(wanted.device) as device:
            here, there = device.info(), table.header.device
        if not there.includes(here):
            raise TableMismatchError("device", found=str(there), wanted=str(here))
    return table


def table_trust(config: SearchConfig) -> str:
    """Say in one line how far the table that ``config`` names may be trusted, or why it cannot be read."""
    if Latency.name not in config.search.objectives:
        return "no latency table was used"
    try:
        table = LatencyTable.open(config.latency.table)
        said = trust(table, make_space(config), remedy=config.validate_command())
    except TableError as error:
        return str(error)
    return f"latency table {config.latency.table}: {said}"


def make_setup(latency: LatencySection) -> Setup:
    """Return on what ``latency`` measures."""
    return Setup(latency.device, latency.runtime, latency.threads, latency.settings)


def make_space(config: SearchConfig) -> SearchSpace:
    """Return the space that ``config`` names."""
    return spaces.load(config.space.name, **config.space.settings)


def make_trainer(config: SearchConfig, space: SearchSpace) -> SuperNetTrainer:
    """Return fresh shared weights for ``space`` on the images that ``config`` names."""
    images = data.load(**config.data.model_dump())
    total_steps = make_schedule(config, len(images.training.labels)).total_steps
    plan = TrainingPlan(total_steps, **config.training.model_dump())
    return SuperNetTrainer(space, images, plan, seed=config.search.seed, device=config.search.torch_device)


def make_search(run: Run, trainer: SuperNetTrainer) -> Search:
    """Put together the search that a run folder describes, at its beginning.

    Raises:
        CarsHwError: A part of the configuration cannot be had; the message names it.
    """
    config, space = run.config, trainer.space
    table = open_table(config) if Latency.name in config.search.objectives else None
    costs = make_objectives(config, trainer, table)
    limit = config.latency.max_latency_ms
    violation = (
        unconstrained if limit is None else Limits([cost.name for cost in costs], {Latency.name: limit})
    )
    strategies.check(config.strategy.name, config.strategy.settings)
    strategy = strategies.load(
        config.strategy.name,
        space,
        np.random.default_rng(config.search.seed),
        violation=violation,
        **config.strategy.settings,
    )
    wanted = config.search.screening
    is_screened = strategy.is_screened if wanted is None else wanted
    fingerprint = {
        "latency table": "none" if table is None else table.digest(TableContents(space).specs),
        "images": trainer.data.digest(),
        "configuration": hashlib.sha256(config.to_toml().encode()).hexdigest(),
    }
    return Search(
        trainer,
        strategy,
        costs,
        make_schedule(config, len(trainer.data.training.labels)),
        checkpoints=run.checkpoints,
        fingerprint=fingerprint,
        screen=Screen(costs[1:], violation=violation) if is_screened else None,
    )


def make_objectives(
    config: SearchConfig, trainer: SuperNetTrainer, table: LatencyTable | None
) -> list[Objective]:
    """Return the costs that ``config`` names, in its order; ``table`` where latency is one of them.

    Raises:
        MissingEntryError: The table lacks an entry; the message names the command that measures it.
    """
    space = trainer.space
    models = {} if table is None else {"": latency_model(space, table, remedy=config.profile_command())}
    ingredients = Ingredients(space, trainer, models)
    return [objectives.load(name, ingredients) for name in config.search.objectives]


def make_schedule(config: SearchConfig, training_images: int) -> Schedule:
    """Return how many steps ``config`` means with so many images to train on."""
    steps_per_epoch = math.ceil(training_images / config.training.batch_size)
    return Schedule(
        warm_up_steps=round(config.search.warm_up_epochs * steps_per_epoch),
        steps=round(config.search.epochs_per_generation * steps_per_epoch),
        generations=config.search.generations,
    )
