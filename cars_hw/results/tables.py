"""A space's latency table: measured where it lacks something, and held against whole networks."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from cars_hw.assembly import make_setup, make_space, open_table
from cars_hw.config import LatencySection, SearchConfig
from cars_hw.executors import Executor
from cars_hw.latency.anchors import require_near
from cars_hw.latency.candidates import is_same_space
from cars_hw.latency.contents import contents_of
from cars_hw.latency.elsewhere.jobs import Target
from cars_hw.latency.elsewhere.members import Member, keep_there, listed_networks, reached
from cars_hw.latency.filling import UnitFilling, kind_of, lacking_networks, operation_contents
from cars_hw.latency.model import latency_model, predicted_networks
from cars_hw.latency.networks_only import marking
from cars_hw.networks.architecture import Architecture
from cars_hw.runs import Run
from devices.foundation import ConfigError
from latency_tables import VALIDATION_NETWORKS, KeyedBy, LatencyTable, ValidationReport, session_speed
from profilers import (
    USUAL,
    Filled,
    OnProgress,
    ProfilingError,
    Quality,
    Workload,
    fill_table,
    ignore_progress,
    keep_executed,
)

#: Members of a front that correct predictions there nearly as well as more would.
FRONT_NETWORKS = 8


def profile(  # noqa: PLR0913  (what, on what and how)
    config: SearchConfig,
    *,
    devices: Sequence[str] = (),
    quality: Quality = USUAL,
    retry_failures: bool = False,
    allow_changed: Collection[str] = (),
    further: Sequence[Architecture] = (),
    by_operations: bool = False,
    executor: Executor | None = None,
    on_progress: OnProgress = ignore_progress,
    on_counted: OnProgress = ignore_progress,
) -> Filled:
    """Measure what the table of ``config`` lacks of its space; whatever ends this keeps what is finished.

    A new table is of units where its runtime shows what it executes, else of operations; one that is there
    goes on as what it is.

    Args:
        config: Names space, device, runtime and table: see ``SearchConfig.for_target`` where it has several.
        devices: Identical devices that share the work, in place of that of ``config``.
        quality: How precisely.
        retry_failures: Whether what failed before is measured again.
        allow_changed: What may have changed since the table was made, beside what ``config`` allows: see
            ``latency_tables.Changeable``. ``device`` allows nothing here.
        further: Whole networks that correct predictions from then on, beside those that every table has; see
            ``front_networks``. One without a path from the image to the output is left out.
        by_operations: Whether a new table is of operations though its runtime shows what it executes: such a
            table predicts on every machine, also where the runtime executes networks otherwise.
        executor: Whose hosts have the devices, where these are not this machine's: a worker beside each
            measures on it. What a host that leaves had not handed back, the others measure.
        on_progress: For progress.
        on_counted: For progress of what is counted of networks, without being measured.

    Raises:
        DeviceError: A device cannot be reached or used.
        ProfilingError: Several devices disagree.
        TableMismatchError: The table is of another device, of other settings, or of conditions that changed.
        TableError: The table cannot be written.
    """
    latency = config.for_target().allowing(allow_changed).latency
    path, setup, space = Path(latency.table), make_setup(latency), make_space(config)
    keyed_by = kind_of(path, setup, by_operations=by_operations)
    more = lacking_networks(space, path, further)

    asked = replace(setup, device=devices[0]) if devices else setup
    with ExitStack() as opened:
        far: list[Member] = []
        if executor is not None:
            target = plain_target(config, latency, keyed_by, quality)
            names = devices or [latency.device]
            far = reached(executor, names, target, listed_networks(space, path, more, keyed_by), opened)

        def fill(workloads: Sequence[Workload]) -> Filled:
            return fill_table(
                path,
                workloads,
                setup,
                addresses=devices,
                elsewhere=far,
                quality=quality,
                retry_failures=retry_failures,
                allow_changed=latency.allow_changed,
                keyed_by=keyed_by,
                on_progress=on_progress,
            )

        def keep(networks: Sequence[Workload]) -> None:
            if far:
                keep_there(path, far, networks, retry_failures=retry_failures)
                return
            keep_executed(
                path,
                networks,
                asked,
                retry_failures=retry_failures,
                allow_changed=latency.allow_changed,
                on_progress=on_counted,
            )

        with marking(space, path, more, keyed_by):
            if keyed_by == "operations":
                return fill(operation_contents(space, path, more).workloads())
            return UnitFilling(space, path, asked, keep, fill, more, on_counted).run()


def plain_target(
    config: SearchConfig, latency: LatencySection, keyed_by: KeyedBy, quality: Quality
) -> Target:
    """Return in plain values what workers of other hosts need to know to measure for a table."""
    return Target(
        device=latency.device,
        runtime=latency.runtime,
        threads=latency.threads,
        settings=dict(latency.settings),
        space=config.space.name,
        space_settings=dict(config.space.settings),
        operation_kinds=list(config.space.operation_kinds),
        keyed_by=keyed_by,
        quality=asdict(quality),
        allow_changed=sorted(latency.allow_changed),
    )


def front_networks(run: Run, config: SearchConfig, n: int = FRONT_NETWORKS) -> tuple[Architecture, ...]:
    """Return networks of the last front of ``run``, from one end to the other, for ``profile``'s ``further``.

    Args:
        run: Of the space of ``config``, with its settings.
        config: Names the space.
        n: How many; all members of a smaller front.

    Raises:
        CheckpointError: No generation of the run is complete.
        ConfigError: It is of another space.
    """
    space = make_space(config)
    if not is_same_space(make_space(run.config), space):
        raise ConfigError(
            f"{run.path} searches another space than {config.space.name}, or with other settings; profile by "
            "the run's own configuration (--config)"
        )
    members = sorted(run.front(), key=lambda member: member.costs)
    connected = [one.architecture for one in members if space.deployed(one.architecture).is_connected]
    places = np.unique(np.linspace(0, len(connected) - 1, min(n, len(connected))).round().astype(int))
    return tuple(connected[place] for place in places)


def validate(
    config: SearchConfig,
    *,
    networks: int = VALIDATION_NETWORKS,
    quality: Quality = USUAL,
    again: bool = False,
    allow_changed: Collection[str] = (),
    on_progress: OnProgress = ignore_progress,
) -> ValidationReport | None:
    """Measure random networks, store in the table how well it predicts them, and return that.

    Beside them a few of the table's own networks are measured once more, as anchors: they tell how fast the
    device is, and what was measured counts divided by their ratio. Safe to stop and to repeat: what was
    measured stays.

    Args:
        config: Names space, device, runtime and table.
        networks: How many.
        quality: How precisely.
        again: Whether they are measured anew, not only those that are missing.
        allow_changed: As for ``profile``.
        on_progress: For progress.

    Raises:
        MissingEntryError: The table lacks an operation.
        ProfilingError: A network could not be measured, or the device is faster now than for the operations.
        ChangedSpeedError: The device is too far off from when the table was measured; the networks are
            measured anew the next time.
    """
    space, latency = make_space(config), config.for_target().allowing(allow_changed).latency
    before, setup = open_table(latency, is_read=False), make_setup(latency)
    latency_model(space, before, setup)
    contents = contents_of(space, before)
    chosen = contents.validation(networks)
    again = again or ("speed" not in latency.allow_changed and _was_far(before))
    workloads = [contents.network(architecture) for architecture in chosen]
    missing = before.missing([workload.spec for workload in workloads], retry_failures=True)
    wanted = [workload for workload in workloads if again or workload.spec in missing]
    filled = fill_table(
        Path(latency.table),
        [*wanted, *(contents.references() if wanted else ())],
        setup,
        quality=quality,
        again=bool(wanted),
        allow_changed=latency.allow_changed,
        keyed_by=before.header.keyed_by,
        on_progress=on_progress,
    )
    for failure in filled.failures:
        raise ProfilingError(
            f"{failure.spec} could not be measured: {failure.status}: {failure.reason}; "
            "validating again tries it again"
        )
    outdated = set(filled.outdated) & set(contents.specs)
    if outdated:
        raise ProfilingError(
            f"{len(outdated)} entries of {latency.table} are of a time when the device was slower than for "
            "these networks: profile the table again, which measures them anew, then validate it"
        )
    with LatencyTable.open_for_writing(latency.table, before.header) as table:
        speed = session_speed(table.measurements)
        if speed is not None:
            require_near(speed, latency.table, latency.allow_changed)
        found = predicted_networks(space, table, chosen, setup)
        if found != table.validation:
            table.add_validation(found)
        return table.validation_report()


def _was_far(table: LatencyTable) -> bool:
    """Tell whether the device was too far off when ``table`` was validated, or that was tried."""
    speed = session_speed(table.measurements)
    return speed is not None and speed.is_far
