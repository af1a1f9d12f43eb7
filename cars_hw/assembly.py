"""Assembly: the search that a configuration describes, put together from its parts."""

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import JsonValue

import devices
from cars_hw import data, objectives, spaces, strategies
from cars_hw.config import LATENCY, LatencySection, SearchConfig
from cars_hw.data import Data, ImageSet
from cars_hw.errors import CheckpointError
from cars_hw.judges import judges_of
from cars_hw.latency.contents import contents_of
from cars_hw.latency.model import Trust, latency_model, trust
from cars_hw.networks import kinds
from cars_hw.objectives import Ingredients, Limits, Objective, require_feasible
from cars_hw.resolution import resolved
from cars_hw.runs import Run, is_limit, require_measurable, search_measuring
from cars_hw.saving.record import read_record
from cars_hw.search import Schedule, Search
from cars_hw.spaces import SearchSpace
from cars_hw.strategies import unconstrained
from cars_hw.tabular_trainer import TabularTrainer
from cars_hw.trainer import Trainer
from cars_hw.weights.distributed.team import Team
from cars_hw.weights.distributed.trainer import DistributedTrainer
from cars_hw.weights.placement import usable_device
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from devices import Device, DeviceError, HostDevice
from devices.foundation import ConfigError, UnknownNameError
from latency_tables import LatencyTable, TableError
from profilers import Setup


def open_search(  # noqa: PLR0913  (what a search is opened with)
    run: Run,
    *,
    allow_infeasible: bool = False,
    allow_changed: Collection[str] = (),
    measure_budget_s: float = 0.0,
    team: Team | None = None,
    workers: int | None = None,
    executor: str = "",
) -> Search:
    """Return the search of a run folder, from its newest checkpoint on where there is one.

    ``search.run()`` yields the generations that are left; each is saved before it is yielded, and what was
    done of one every ``search.checkpoint_every_s`` seconds.

    Args:
        run: The folder, as ``Run.create`` or ``Run.open`` returns it.
        allow_infeasible: Whether a search may begin though no network meets its limits.
        allow_changed: What may have changed since the tables were measured, beside what the configuration
            allows: see ``latency_tables.Changeable``. Each round tells what did.
        measure_budget_s: Seconds that the whole search may spend on measuring members of its fronts, by which
            the latencies are corrected; 0: none.
        team: Processes that train together, of which this one leads; the others call ``follow_search``.
        workers: How many networks are evaluated at once, each on one thread, which decides no result; 1: all
            in this process. ``None``: one for each core, as soon as that pays.
        executor: Where: a file of ``cars_hw/executors``, or ``ray://HOST:PORT``; in processes of this machine
            if not given.

    Raises:
        ConfigError: The budget is no number from 0 on, or there is no device to measure on; or ``workers`` is
            no number from 1 to 1024, or the weights are on a GPU.
        InfeasibleError: No network meets the limits, and nothing was searched yet.
        TableMismatchError: A table is of another device or settings, or of conditions that changed.
        CarsHwError: A part of the configuration cannot be had; the message names it.
        CheckpointError: The checkpoint is damaged, or of another configuration, images, tables or numerics.
    """
    run = replace(run, config=run.config.allowing(allow_changed))
    require_measurable(run.config, measure_budget_s)
    checkpoint = run.latest_checkpoint()  # refuses a configuration not its own, before anything is made by it
    space = make_space(run.config)
    if team is not None:
        values = run.config.to_values()
        team.tell({"do": "make", "config": values, "planned_generations": run.planned_generations})
    trainer = make_trainer(run.config, space, planned_generations=run.planned_generations, team=team)
    search = make_search(run, trainer, measure_budget_s=measure_budget_s)
    if not search.resume(checkpoint) and not allow_infeasible:
        require_feasible(space, search.objectives[1:], run.config.all_limits())
    if team is None:
        left = 1 + search.schedule.generations - len(search.history)
        trainer.judges = judges_of(
            run.config, trainer.ledger, generations=left, workers=workers, executor=executor
        )
    return search


def follow_search(team: Team) -> None:
    """Train with the process that leads a search, as another one of ``team``, until that one ends.

    Raises:
        ConfigError: This process cannot make what the leading one makes.
    """
    match team.hear()[0]:
        case {"do": "end"}:
            return
        case {"do": "make", "config": dict(values), "planned_generations": int() | None as planned}:
            config = SearchConfig.of(values)
            trainer = make_trainer(config, make_space(config), planned_generations=planned, team=team)
            if isinstance(trainer, DistributedTrainer):
                trainer.follow()
        case message:
            raise ConfigError(f"rank 0 asks for {str(message)[:80]}; start all with one version")


def amended(
    run: Run,
    values: Mapping[str, JsonValue],
    *,
    allow_infeasible: bool = False,
    allow_changed: Collection[str] = (),
) -> Run:
    """Return a run that goes on by other values, kept as an amendment in its folder; itself if none differs.

    Generations may become more, limits others; a target may have another address of its kind of device, or
    another table of the same conditions; images may lie at another path; weights may be trained on another of
    torch's devices; members may be retrained otherwise. What is refused changes nothing.

    Args:
        run: The folder, as ``Run.open`` returns it.
        values: Section by section, ``{"search": {"generations": 90}}``; what they leave out stays. ``None``
            takes a limit away.
        allow_infeasible: Whether no network needs to meet the limits, where these or a table change.
        allow_changed: As for ``open_search``; it is no change itself.

    Raises:
        CheckpointError: A key that may not change, or not to that value: the message names it and both.
        InfeasibleError: No network meets the limits.
        TableError: A table was measured under other conditions than the one before, or lacks an entry.
        CarsHwError: A part of the configuration cannot be had; the message names it.
    """
    wanted = run.with_values(values)
    changes = run.changes_to(wanted)
    if not changes:
        return run
    with run.owned():
        run.require_stored()
        today = wanted.allowing(allow_changed)
        before, after = _table_digests(run, today)
        are_limits_new = any(is_limit(change.key) for change in changes)
        if any(change.key == "data.path" for change in changes):
            _require_same_images(run, wanted)
        if any(change.key == "search.torch_device" for change in changes):
            usable_device(wanted.search.torch_device)
        if (are_limits_new or before != after) and not allow_infeasible:
            require_feasible_limits(today)
        return run.with_amendment(changes, tables_before=before, tables_after=after)


def require_feasible_limits(config: SearchConfig) -> None:
    """Refuse limits that no network of the space meets, by known costs alone: no weights are made.

    Raises:
        InfeasibleError: No network meets them; the message has the smallest cost.
        CarsHwError: A part of the configuration cannot be had; the message names it.
    """
    if not config.all_limits().keys() - {"error"}:
        return
    config = resolved(config)
    space = make_space(config)
    tables = {name: open_table(target) for name, target in config.searched_targets().items()}
    costs = make_objectives(config, space, TabularTrainer({}), tables)  # known costs need no weights
    require_feasible(space, costs[1:], config.all_limits())


def require_startable(
    config: SearchConfig, *, allow_infeasible: bool = False, has_tables: bool = True
) -> None:
    """Refuse a search that cannot start, before there is a run folder; every part is put together once.

    Args:
        config: What would be searched.
        allow_infeasible: Whether limits that no network meets are no reason.
        has_tables: Whether the latency tables are there; where they are to be measured first, latencies and
            their limits are not looked at.

    Raises:
        InfeasibleError: No network meets the limits; the message has the smallest cost.
        CarsHwError: A part of the configuration cannot be had; the message names it.
    """
    config = resolved(config)
    space = make_space(config)
    tables = {name: open_table(target) for name, target in config.searched_targets().items() if has_tables}
    trainer, (name, settings) = make_trainer(config, space), (config.strategy.name, config.strategy.settings)
    strategies.check(name, settings)
    rng = np.random.default_rng(config.search.seed)
    strategy = strategies.load(name, space, rng, violation=unconstrained, **settings)
    if not has_tables:
        known = [name for name in config.search.objectives if not name.startswith(LATENCY)]
        config = config.model_copy(update={"search": config.search.model_copy(update={"objectives": known})})
    costs, limits = make_objectives(config, space, trainer, tables), config.all_limits()
    schedule = make_schedule(config, len(trainer.data.training.labels))
    Search(trainer, strategy, costs, schedule, screening=config.search.screening)
    if limits.keys() - {"error"} and not allow_infeasible:
        require_feasible(space, costs[1:], limits)


def open_table(target: LatencySection, *, is_read: bool = True) -> LatencyTable:
    """Open a target's table, and refuse one measured under other conditions than the target names.

    Where a program for phones lies here is no condition; what it was is part of the runtime's version, which
    is compared where the runtime is at hand: a search does not need it.

    Args:
        target: Names the table, and what may have changed since it was measured.
        is_read: Whether nothing will be measured for the table; then another device can be allowed.

    Raises:
        TableMismatchError: It was measured on another device, runtime or number of threads, or, as
            ``ChangedConditionsError``, under conditions that changed.
        TableError: It cannot be read.
        DeviceError: The device cannot be reached, to compare; allowing ``device`` leaves that out.
    """
    table = LatencyTable.open(Path(target.table))
    table.require(
        device=target.device.partition(":")[0],
        runtime=target.runtime,
        threads=target.threads,
        settings={name: value for name, value in target.settings.items() if not name.endswith("_binary")},
    )
    if "device" not in target.allow_changed:
        with devices.connect(target.device) as device:
            version = _version_at_hand(target, device) or table.header.runtime_version
            now = replace(table.header, device=device.info(), runtime_version=version)
        table.goes_under(now, allow_changed=target.allow_changed, is_read=is_read)
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


def make_images(config: SearchConfig) -> Data:
    """Return the training and fitness images that ``config`` names.

    Raises:
        DataError: They cannot be loaded.
    """
    section = config.data
    return data.load_split(
        section.name, section.split, path=section.path, rule=section.rule(), **section.settings
    )


def make_test_images(config: SearchConfig) -> ImageSet | None:
    """Return the images that ``config`` keeps from training and search; ``None`` where it keeps none.

    Raises:
        DataError: They cannot be loaded, or are fewer than asked for.
    """
    section = config.data
    return data.load_test(
        section.name, section.split, path=section.path, rule=section.rule(), **section.settings
    )


def make_trainer(
    config: SearchConfig,
    space: SearchSpace,
    *,
    planned_generations: int | None = None,
    torch_device: str | None = None,
    team: Team | None = None,
) -> SuperNetTrainer:
    """Return fresh shared weights for ``space`` on the images that ``config`` names.

    Args:
        config: Names everything else.
        space: Whose weights.
        planned_generations: Over which the learning rate falls; those of ``config`` if not given.
        torch_device: Where to compute; that of ``config`` if not given. Whoever only reads a run takes
            ``"cpu"``: the machine that it was searched on may have had a GPU.
        team: Processes that train together, all of which call this.
    """
    images = make_images(config)
    schedule = make_schedule(config, len(images.training.labels), ranks=1 if team is None else team.size)
    if planned_generations is not None:
        schedule = replace(schedule, generations=planned_generations)
    total_steps, seed = schedule.total_steps, config.search.seed
    if team is not None:
        return DistributedTrainer(
            space,
            images,
            config.training,
            team=team,
            total_steps=total_steps,
            seed=seed,
            device=team.device,
        )
    return SuperNetTrainer(
        space,
        images,
        config.training,
        total_steps=total_steps,
        seed=seed,
        device=torch_device or config.search.torch_device,
    )


def make_search(
    run: Run,
    trainer: SuperNetTrainer,
    *,
    measure_budget_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Search:
    """Put together the search that a run folder describes, at its beginning.

    Args:
        run: The folder.
        trainer: Fresh weights for its space, on its images.
        measure_budget_s: As for ``open_search``.
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
    for table in tables.values():
        table.warn_of_changes()
    digests = {
        table_key(config, name): run.table_digests(
            table_key(config, name), table.digest(contents_of(space, table).specs)
        )
        for name, table in tables.items()
    }
    fingerprint: dict[str, tuple[str, ...]] = {
        **(digests or {"latency table": ("none",)}),
        "images": (trainer.data.digest(),),
        "configuration": run.bindings(),
    }
    return Search(
        trainer,
        strategy,
        costs,
        make_schedule(config, len(trainer.data.training.labels), ranks=trainer.ranks),
        checkpoints=run.checkpoints,
        fingerprint=fingerprint,
        screening=config.search.screening,
        changed=[table.changes_line() for table in tables.values() if table.changes()],
        measuring=search_measuring(run, space, tables, costs, budget_s=measure_budget_s),
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
    targets = config.latency_targets()
    models = {
        name.removeprefix(LATENCY).removeprefix("."): latency_model(space, table, make_setup(targets[name]))
        for name, table in tables.items()
    }
    levels = {
        name.removeprefix(LATENCY).removeprefix("."): target.limit_level if target.max_latency_ms else 0.0
        for name, target in targets.items()
    }
    ingredients = Ingredients(space, trainer, models, limit_levels=levels)
    return [objectives.load(name, ingredients) for name in config.objective_names()]


def make_schedule(config: SearchConfig, training_images: int, *, ranks: int = 1) -> Schedule:
    """Return how many steps ``config`` means with so many images, by so many processes with a batch each."""
    steps_per_epoch = math.ceil(training_images / (config.training.batch_size * ranks))
    return Schedule(
        warm_up_steps=round(config.search.warm_up_epochs * steps_per_epoch),
        steps=round(config.search.epochs_per_generation * steps_per_epoch),
        generations=config.search.generations,
    )


def _require_same_images(run: Run, wanted: SearchConfig) -> None:
    """Refuse a place of the images where others lie than the run was searched on."""
    written = _written(run).get("images")
    if written not in (None, make_images(wanted).digest()):
        raise CheckpointError(
            f"data.path = {run.config.data.path!r:.80}, and {wanted.data.path!r:.80} is asked for: "
            f"{run.path} was searched on other images than lie there"
        )


def _table_digests(run: Run, wanted: SearchConfig) -> tuple[dict[str, str], dict[str, str]]:
    """Return the digests of the tables that go out of use, and of those that come into use, by table keys.

    Raises:
        CheckpointError: The conditions of the former table cannot be told any more.
        TableError: A new one was measured under other conditions, or lacks an entry.
        DeviceError: A device cannot be reached at its new address.
    """
    space, former = make_space(wanted), run.config.searched_targets()
    written = _written(run)
    before, after = dict[str, str](), dict[str, str]()
    for name, target in wanted.searched_targets().items():
        of_no_table = {
            name: getattr(target, name) for name in ("max_latency_ms", "limit_level", "allow_changed")
        }
        if target == former[name].model_copy(update=of_no_table):
            continue
        table, key = open_table(target), table_key(wanted, name)
        if target.table == former[name].table:
            continue
        latency_model(space, table, make_setup(target))
        after[key] = table.digest(contents_of(space, table).specs)
        if after[key] != written.get(key):
            _former_table(former[name], target).header.require_equal(table.header)
        if key in written:
            before[key] = written[key]
    return before, after


def _written(run: Run) -> Mapping[str, str]:
    """Return the fingerprint of what a search of ``run`` goes on from; empty where nothing was saved."""
    checkpoint = run.latest_checkpoint()
    return {} if checkpoint is None else read_record(checkpoint).fingerprint


def _former_table(former: LatencySection, target: LatencySection) -> LatencyTable:
    try:
        return LatencyTable.open(former.table)
    except TableError as error:
        raise CheckpointError(
            f"table = {former.table!r:.80}, and {target.table!r:.80} is asked for: whether both were "
            f"measured under the same conditions cannot be told, since {error}"
        ) from error


def _version_at_hand(target: LatencySection, device: Device) -> str:
    """Return the version of the target's runtime; empty where it cannot be told without running it."""
    if not isinstance(device, HostDevice):
        return ""
    try:
        return make_setup(target).load_runtime().version(device)
    except (DeviceError, UnknownNameError, ImportError):  # it is not installed here
        return ""


def _trust_of(target: LatencySection, space: SearchSpace) -> Trust:
    try:
        found = trust(LatencyTable.open(target.table), space)
    except TableError as error:
        return Trust(str(error), is_validated=True)
    return Trust(f"latency table {target.table}: {found}", found.is_validated)
