"""``cars-hw retrain``: train members of a run's front, or a published network, at deployed size."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue
from rich.progress import TaskID

from cars_hw.cli._commands import Command, after_retraining, next_commands
from cars_hw.cli._interruption import Interrupt, command, name_of, taken_by
from cars_hw.cli._needs import require_given
from cars_hw.cli._options import (
    AllowPluginOption,
    ArchitectureOption,
    ConfigOption,
    ExecutorOption,
    GenotypeOption,
    JsonOption,
    PickOption,
    QuietOption,
    SetOption,
    WorkersOption,
    named_network,
    overridden,
)
from cars_hw.cli._output import complain, print_json, print_table, progress, say
from cars_hw.config import SearchConfig, read_values
from cars_hw.saving.safe_points import Ended
from cars_hw.weights.retraining_plan import PRESETS, RetrainingPlan
from devices.foundation import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from cars_hw.results.reporting.retrained import RetrainedMember
    from cars_hw.retraining.monitor import Monitor, Progress
    from cars_hw.retraining.records import Retrained
    from cars_hw.runs import Run

EXAMPLES = (
    "cars-hw retrain runs/first --pick knee --preset small",
    "cars-hw retrain runs/first --pick knee --pick fastest --preset cars-cifar --set retraining.epochs=100",
    "cars-hw retrain runs/first --pick all --preset small --workers 2",
    "cars-hw retrain --genotype published.json --config search.toml --preset evnas-imagenet",
)

_SECTION = "retraining"
#: With more classes, the table has those alone that the network does worst on; --json has all.
_MOST_CLASSES = 20


def retrain(
    run: Annotated[Path | None, typer.Argument(help="Folder of a run.")] = None,
    pick: PickOption = None,
    architecture: ArchitectureOption = None,
    genotype: GenotypeOption = None,
    preset: Annotated[
        str | None,
        typer.Option(help=f"How to train: {', '.join(PRESETS)}; takes the place of the run's own plan."),
    ] = None,
    from_supernet: Annotated[
        bool,
        typer.Option("--from-supernet", help="Begin with the search's weights, where their shapes fit."),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Holds a folder for each; RUN/retrained, or ./retrained, if left out."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, batches and augmentation.")] = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = None,
    allow_plugin: AllowPluginOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train networks from scratch at the size that is deployed; judge them on images not trained on.

    The same command goes on with what was interrupted.
    """
    if sum(choice is not None for choice in (run, architecture, genotype)) != 1:
        raise ConfigError("retrain needs one of: the folder of a run, --architecture, --genotype")
    if preset is not None and preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    given = overridden(overrides, retraining__preset=preset, retraining__seed=seed)
    from cars_hw.retraining.monitor import Monitor  # loads torch

    told = _Lines()
    monitor, beside = Monitor(told.show), dict[str, "RetrainedMember"]()
    with told.bars(), _ended_by_signals(monitor), _by(workers, executor):
        if run is not None:
            found, beside, then = _of_run(
                run,
                pick or ["knee"],
                _section_of_run(config, given),
                to=to,
                from_supernet=from_supernet,
                allow_plugin=allow_plugin or [],
                monitor=monitor,
            )
        else:
            if pick or from_supernet:
                raise ConfigError("--pick and --from-supernet are of a run; name its folder")
            require_given("retrain without a run", config, overrides, space__name=None, data__name=None)
            resolved = SearchConfig.load(config, given)
            name, member = named_network(resolved, architecture, genotype)
            from cars_hw.retraining.retrain import retrain_without_search

            _require_plan(resolved.retraining)
            folder = Path("retrained") if to is None else to
            found = retrain_without_search(resolved, {name: member}, to=folder, monitor=monitor)
            then = _export_without_search(architecture, genotype, to=to, config=config, overrides=overrides)
    _show(found, beside, as_json=json)
    if not json:
        say(next_commands(then))


def _of_run(
    path: Path,
    picks: Sequence[str],
    section: dict[str, JsonValue] | None,
    *,
    to: Path | None,
    from_supernet: bool,
    allow_plugin: Sequence[str],
    monitor: "Monitor",
) -> "tuple[dict[str, Retrained], dict[str, RetrainedMember], Command]":
    """Retrain members of a run; return them, what the run says of them, and what exports them.

    Args:
        path: Its folder.
        picks: Which members.
        section: Keys of the plan that are given; ``None``: the run's own section.
        to: Where they are kept.
        from_supernet: Whether to begin with the search's weights.
        allow_plugin: Modules that the run may name.
        monitor: Who watches.
    """
    from cars_hw.results.measured import as_measured
    from cars_hw.results.picks import expanded, file_stem, pick
    from cars_hw.results.reporting.retrained import retrained_members
    from cars_hw.results.run_warnings import excesses
    from cars_hw.retraining.retrain import retrain as retrain_members
    from cars_hw.runs import Run

    opened = Run.open(path, allow_plugins=allow_plugin)
    generation = as_measured(opened, opened.record())
    chosen = {file_stem(one): pick(generation.front, one) for one in expanded(generation.front, picks)}
    found = retrain_members(
        opened,
        {name: member.architecture for name, member in chosen.items()},
        _plan(opened, section),
        to=to,
        from_supernet=from_supernet,
        monitor=monitor,
    )
    is_feasible = not any(excesses(opened.config, generation, member) for member in chosen.values())
    then = after_retraining(opened, picks, to=to, is_feasible=is_feasible)
    return found, retrained_members(opened, found), then


def _export_without_search(
    architecture: str | None,
    genotype: Path | None,
    *,
    to: Path | None,
    config: Path | None,
    overrides: Sequence[str] | None,
) -> Command:
    """Return the command that exports what was retrained of no run, by the words that named it."""
    return (
        "export",
        f"--architecture={architecture}" if genotype is None else f"--genotype={genotype}",
        *([] if to is None else [f"--retrained={to}"]),
        *([] if config is None else [f"--config={config}"]),
        *(f"--set={text}" for text in overrides or [] if not text.startswith(f"{_SECTION}.")),
    )


def _section_of_run(config: Path | None, given: dict[str, JsonValue]) -> dict[str, JsonValue] | None:
    """Return the keys of the plan that the command line gives; ``None`` where it gives none.

    Raises:
        ConfigError: A key of another section is given: those of a run stay as they are.
    """
    other = next((key for key in given if not key.startswith(f"{_SECTION}.")), None)
    if other is not None:
        raise ConfigError(f"{other} of a run stays as it is; retrain takes keys of {_SECTION} alone")
    values = read_values(config, given)
    section = values.get(_SECTION)
    return section if isinstance(section, dict) and section else None


def _plan(run: "Run", section: dict[str, JsonValue] | None) -> RetrainingPlan:
    """Return the plan: what the command line gives, over the run's own unless it names a preset."""
    own = {} if run.config.retraining is None else run.config.retraining.values()
    if section is None:
        return _require_plan(run.config.retraining)
    merged = section if "preset" in section else {**own, **section}
    return _require_plan(SearchConfig.of({_SECTION: merged}).retraining if "preset" in merged else None)


def _require_plan(plan: RetrainingPlan | None) -> RetrainingPlan:
    if plan is None:
        raise ConfigError(
            f"nothing says how to retrain: give --preset ({', '.join(PRESETS)}), or a section [{_SECTION}] "
            "with one"
        )
    return plan


class _Lines:
    """Tells of progress: by bars where they can be seen, and by a line for each epoch."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskID] = {}

    @contextmanager
    def bars(self) -> Iterator[None]:
        """Show bars until left."""
        with progress() as self._bars:
            yield

    def show(self, now: "Progress") -> None:
        """Take what a retraining tells."""
        from cars_hw.results.duration import duration_text

        if now.name not in self._tasks:
            self._tasks[now.name] = self._bars.add_task(f"steps of {now.name}", total=now.steps)
        self._bars.update(self._tasks[now.name], completed=now.step, seconds_left=now.seconds_left)
        if now.loss is None and now.error is None:
            return
        figures = [] if now.loss is None else [f"loss {now.loss:.3f}"]
        figures += [] if now.error is None else [f"error {now.error:.4f}"]
        left = "" if not now.seconds_left else f"; about {duration_text(now.seconds_left)} left"
        say(f"{now.name}: epoch {now.epoch} of {now.epochs}: {', '.join(figures)}{left}")


def _by(workers: int | None, executor: str | None) -> AbstractContextManager[None]:
    """Let workers retrain where they are asked for; else this process does, on all of its threads."""
    from cars_hw import executors
    from cars_hw.retraining.retrain import retrained_by

    if executor is None and workers in (None, 1):
        return nullcontext()
    found = executors.load(executor or "processes", workers)
    found.connect()
    return retrained_by(found)


@contextmanager
def _ended_by_signals(monitor: "Monitor") -> Iterator[None]:
    """Let a first signal end the retraining at its next safe point, a second one at once: with a line."""
    received: list[int] = []

    def take(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1 or monitor.last is None:  # before the first step, there is nothing to save
            raise Interrupt
        monitor.request_end()

    with taken_by(take):
        try:
            yield
        except (Ended, KeyboardInterrupt) as ended:
            received.append(signal.SIGINT)
            kept = f"kept: {monitor.last}" if isinstance(ended, Ended) else "what was saved is kept"
            complain(f"cars-hw: {name_of(received[0])}: {kept}; go on with: {command()}")
            raise typer.Exit(128 + received[0]) from None


def _show(found: "dict[str, Retrained]", beside: "Mapping[str, RetrainedMember]", *, as_json: bool) -> None:
    """Print what was retrained, and what the search and measuring say of those of a run."""
    if as_json:
        print_json({name: beside.get(name, one).to_json() for name, one in found.items()})
        return
    print_table(
        ["network", "error", "top-5 error", "judged on", "parameters", "epochs", "folder"],
        [
            [
                name,
                f"{one.error:.4f}",
                f"{one.top5_error:.4f}",
                f"{one.images.judging} {one.images.judged_on}",
                str(one.parameters),
                str(len(one.curve)),
                str(one.folder),
            ]
            for name, one in found.items()
        ],
    )
    if beside:
        from cars_hw.results.reporting.retrained import columns, rows

        print_table(columns(beside), rows(beside), title="beside the search")
    for name, one in found.items():
        _print_classes(name, one)
        if not one.images.are_unseen:
            say(
                f"{name} was chosen by the images that judge it: its error may come out too low; a data set "
                "that has test images of its own judges by those"
            )


def _print_classes(name: str, found: "Retrained") -> None:
    """Print how a network did by class, the worst first."""
    worst = sorted(found.classes, key=lambda one: -(one.error or 0.0))
    title = f"{name} by class"
    if len(worst) > _MOST_CLASSES:
        title += f": the worst {_MOST_CLASSES} of {len(worst)}"
    rows = [
        [one.name, str(one.images), "" if one.error is None else f"{one.error:.4f}"]
        for one in worst[:_MOST_CLASSES]
    ]
    print_table(["class", "images", "error"], rows, title=title)
