"""A space's latency table: measured where it lacks something, and held against whole networks."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cars_hw.assembly import make_setup, make_space, open_table
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import VALIDATION_NETWORKS, TableContents, contents_of
from cars_hw.latency.filling import UnitFilling, kind_of
from cars_hw.latency.model import latency_model, predicted_networks
from latency_tables import LatencyTable, ValidationReport
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


def profile(
    config: SearchConfig,
    *,
    devices: Sequence[str] = (),
    quality: Quality = USUAL,
    retry_failures: bool = False,
    allow_changed: Collection[str] = (),
    on_progress: OnProgress = ignore_progress,
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
        on_progress: For progress.

    Raises:
        DeviceError: A device cannot be reached or used.
        ProfilingError: Several devices disagree.
        TableMismatchError: The table is of another device, of other settings, or of conditions that changed.
        TableError: The table cannot be written.
    """
    latency = config.for_target().allowing(allow_changed).latency
    path, setup, space = Path(latency.table), make_setup(latency), make_space(config)
    keyed_by = kind_of(path, setup)

    def fill(workloads: Sequence[Workload]) -> Filled:
        return fill_table(
            path,
            workloads,
            setup,
            addresses=devices,
            quality=quality,
            retry_failures=retry_failures,
            allow_changed=latency.allow_changed,
            keyed_by=keyed_by,
            on_progress=on_progress,
        )

    if keyed_by == "operations":
        return fill(TableContents(space).workloads())
    asked = replace(setup, device=devices[0]) if devices else setup
    keep = partial(
        keep_executed, path, setup=asked, retry_failures=retry_failures, allow_changed=latency.allow_changed
    )
    return UnitFilling(space, path, asked, keep, fill).run()


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

    Beside them a few of the table's own networks are measured once more: they tell whether the device is as
    fast as it was. Safe to stop and to repeat: what was measured stays.

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
    """
    space, latency = make_space(config), config.for_target().allowing(allow_changed).latency
    before, setup = open_table(latency, is_read=False), make_setup(latency)
    latency_model(space, before, setup)
    contents = contents_of(space, before)
    chosen = contents.validation(networks)
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
        found = predicted_networks(space, table, chosen, setup)
        if found != table.validation:
            table.add_validation(found)
        return table.validation_report()
