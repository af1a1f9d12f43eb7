"""Assembly: the search that a configuration describes, put together from its parts."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import devices
from cars_hw import data, objectives, spaces, strategies
from cars_hw.config import LATENCY, LatencySection, SearchConfig
from cars_hw.latency.contents import TableContents
from cars_hw.latency.model import Trust, latency_model, trust
from cars_hw.networks import kinds
from cars_hw.objectives import Ingredients, Limits, Objective, require_feasible
from cars_hw.resolution import resolved
from cars_hw.runs import Run
from cars_hw.search import Schedule, Search
from cars_hw.spaces import SearchSpace
from cars_hw.strategies import unconstrained
from cars_hw.trainer import Trainer
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from latency_tables import LatencyTable, TableError, TableMismatchError
from profilers import Setup


def open_search(run: Run, *, allow_infeasible: bool = False) -> Search:
    """Return the search of a run folder, from its newest checkpoint on where there is one.

    ``search.run()`` yields the generations that are left; each is saved before it is yielded, and what was
    done of one every ``search.checkpoint_every_s`` seconds.

    Args:
        run: The folder, as ``Run.create`` or ``Run.open`` returns it.
        allow_infeasible: Whether a search may begin though no network meets its limits.

    Raises:
        InfeasibleError: No network meets the limits, and nothing was searched yet.
        CarsHwError: A part of the configuration cannot be had; the message names it.
        CheckpointError: The checkpoint is damaged, or of another configuration, images, tables or numerics.
    """
    checkpoint = run.latest_checkpoint()  # refuses a configuration not its own, before anything is made by it
    space = make_space(run.config)
    search = make_search(run, make_trainer(run.config, space))
    if not search.resume(checkpoint) and not allow_infeasible:
        require_feasible(space, search.objectives[1:], run.config.all_limits())
    return search


def require_feasible_limits(config: SearchConfig) -> None:
    """Refuse limits that no network of the space meets, before there is a run folder.

    Raises:
        InfeasibleError: No network meets them; the message has the smallest cost.
        CarsHwError: A part of the configuration cannot be had; the message names it.
    """
    if not config.all_limits().keys() - {"error"}:
        return
    config = resolved(config)
    space = make_space(config)
    tables = {name: open_table(target) for name, target in config.searched_targets().items()}
    costs = make_objectives(config, space, make_trainer(config, space), tables)
    require_feasible(space, costs[1:], config.all_limits())


def open_table(target: LatencySection) -> LatencyTable:
    """Open a target's table, and refuse one measured under other conditions than the target names.

    Where a program for phones lies here is no condition; what it was is part of the runtime's version.

    Raises:
        TableError: It cannot be read, or was measured on another device, runtime or number of threads.
        DeviceError: The device cannot be reached, to compare; ``measured_elsewhere`` leaves that out.
    """
    table = LatencyTable.open(Path(target.table))
    table.require(
        device=target.device.partition(":")[0],
        runtime=target.runtime,
        threads=target.threads,
        settings={name: value for name, value in target.settings.items() if not name.endswith("_binary")},
    )
    if not target.measured_elsewhere:
        with devices.connect(target.device) as device:
            here, there = device.info(), table.header.device
        if not there.includes(here):
            raise TableMismatchError("device", found=str(there), wanted=str(here))
    return table


def table_trust(config: SearchConfig) -> str:
    """Say in one line how far the tables that ``config`` names may be trusted, or why one cannot be read."""
    return "; ".join(map(str, table_trusts(config).values())) or "no latency table was used"


def table_trusts(config: SearchConfig) -> dict[str, Trust]:
    """Return how far the table of each target that is searched may be trusted, by the target's objective.

    One that cannot be read says why, and counts as validated: validating it would not help.
    """
    space = make_space(config)
    return {name: _trust_of(target, space) for name, target in config.searched_targets().items()}


def table_key(config: SearchConfig, name: str) -> str:
    """Return under which name a checkpoint's fingerprint has the digest of a target's table."""
    return "latency table" if name == LATENCY else f"latency table {name.removeprefix(f'{LATENCY}.')}"


def make_setup(target: LatencySection) -> Setup:
    """Return on what ``target`` measures."""
    return Setup(target.device, target.runtime, target.threads, target.settings)


def make_space(config: SearchConfig) -> SearchSpace:
    """Return the space that ``config`` names, whose kinds of operation are known from then on.

    Raises:
        UnknownNameError: There is no such space, kind of operation or setting.
        ConfigError: A setting has a value that the space does not take.
    """
    kinds.load_kinds(config.space.operation_kinds)
    return spaces.load(config.space.name, **config.space.settings)


def make_trainer(config: SearchConfig, space: SearchSpace) -> SuperNetTrainer:
    """Return fresh shared weights for ``space`` on the images that ``config`` names."""
    section = config.data
    images = data.load(
        section.name,
        fitness_images=section.fitness_images,
        path=section.path,
        image_size=section.image_size,
        seed=section.seed,
        **section.settings,
    )
    total_steps = make_schedule(config, len(images.training.labels)).total_steps
    return SuperNetTrainer(
        space,
        images,
        config.training,
        total_steps=total_steps,
        seed=config.search.seed,
        device=config.search.torch_device,
    )


def make_search(run: Run, trainer: SuperNetTrainer, *, clock: Callable[[], float] = time.monotonic) -> Search:
    """Put together the search that a run folder describes, at its beginning.

    Args:
        run: The folder.
        trainer: Fresh weights for its space, on its images.
        clock: Seconds from any beginning: when checkpoints are due.

    Raises:
        CarsHwError: A part of the configuration cannot be had; the message names it.
    """
    config, space = run.config, trainer.space
    tables = {name: open_table(target) for name, target in config.searched_targets().items()}
    costs = make_objectives(config, space, trainer, tables)
    limits = config.all_limits()
    violation = Limits(config.objective_names(), limits) if limits else unconstrained
    strategies.check(config.strategy.name, config.strategy.settings)
    strategy = strategies.load(
        config.strategy.name,
        space,
        np.random.default_rng(config.search.seed),
        violation=violation,
        **config.strategy.settings,
    )
    contents = TableContents(space).specs
    digests = {table_key(config, name): (table.digest(contents),) for name, table in tables.items()}
    fingerprint: dict[str, tuple[str, ...]] = {
        **(digests or {"latency table": ("none",)}),
        "images": (trainer.data.digest(),),
        "configuration": run.configuration_hashes(),
    }
    return Search(
        trainer,
        strategy,
        costs,
        make_schedule(config, len(trainer.data.training.labels)),
        checkpoints=run.checkpoints,
        fingerprint=fingerprint,
        screening=config.search.screening,
        checkpoint_every_s=config.search.checkpoint_every_s,
        clock=clock,
    )


def make_objectives(
    config: SearchConfig, space: SearchSpace, trainer: Trainer, tables: dict[str, LatencyTable]
) -> list[Objective]:
    """Return the costs that ``config`` names, in its order.

    Args:
        config: Names them.
        space: Whose architectures they are of.
        trainer: What judges their errors.
        tables: By the name of each latency the table that predicts it.

    Raises:
        MissingEntryError: A table lacks an entry.
        UnknownNameError: There is no such objective.
    """
    models = {
        name.removeprefix(LATENCY).removeprefix("."): latency_model(space, table)
        for name, table in tables.items()
    }
    ingredients = Ingredients(space, trainer, models)
    return [objectives.load(name, ingredients) for name in config.objective_names()]


def make_schedule(config: SearchConfig, training_images: int) -> Schedule:
    """Return how many steps ``config`` means with so many images to train on."""
    steps_per_epoch = math.ceil(training_images / config.training.batch_size)
    return Schedule(
        warm_up_steps=round(config.search.warm_up_epochs * steps_per_epoch),
        steps=round(config.search.epochs_per_generation * steps_per_epoch),
        generations=config.search.generations,
    )


def _trust_of(target: LatencySection, space: SearchSpace) -> Trust:
    try:
        found = trust(LatencyTable.open(target.table), space)
    except TableError as error:
        return Trust(str(error), is_validated=True)
    return Trust(f"latency table {target.table}: {found}", found.is_validated)
