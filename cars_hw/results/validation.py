"""How well a table predicts: random whole networks, measured on the device and held against it."""

from pathlib import Path

from cars_hw.assembly import make_setup, make_space, open_table
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import VALIDATION_NETWORKS, TableContents, network_workload
from cars_hw.latency.model import latency_model, predicted_networks
from latency_tables import LatencyTable, ValidationReport
from profilers import USUAL, OnRound, ProfilingError, Quality, fill_table, ignore_rounds


def validate_table(
    config: SearchConfig,
    *,
    networks: int = VALIDATION_NETWORKS,
    quality: Quality = USUAL,
    again: bool = False,
    on_round: OnRound = ignore_rounds,
) -> ValidationReport | None:
    """Measure random networks, store in the table how well it predicts them, and return that.

    Safe to stop and to repeat: what was measured stays.

    Args:
        config: Names space, device, runtime and table.
        networks: How many.
        quality: How precisely.
        again: Whether they are measured anew, not only those that are missing.
        on_round: For progress.

    Raises:
        MissingEntryError: The table lacks an operation; the message names the command that measures it.
        ProfilingError: A network could not be measured.
    """
    space, path = make_space(config), Path(config.latency.table)
    before = open_table(config)
    latency_model(space, before, remedy=config.profile_command())
    chosen = TableContents(space).validation(networks)
    workloads = [network_workload(space, architecture) for architecture in chosen]
    setup = make_setup(config.latency)
    fill_table(path, workloads, setup, quality=quality, retry_failures=True, again=again, on_round=on_round)
    with LatencyTable.open_for_writing(path, before.header) as table:
        for workload in workloads:
            if workload.spec in table.failures:
                failure = table.failures[workload.spec]
                raise ProfilingError(
                    f"{failure.spec} could not be measured: {failure.status}: {failure.reason}; "
                    "validating again tries it again"
                )
        found = predicted_networks(space, table, chosen)
        if found != table.validation:
            table.add_validation(found)
        return table.validation_report()
