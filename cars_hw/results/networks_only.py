"""A table made of whole networks alone: measured on a device, or taken from what somebody measured."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cars_hw.assembly import make_setup, make_space
from cars_hw.config import SearchConfig
from cars_hw.executors import Executor
from cars_hw.latency.candidates import network_key
from cars_hw.latency.contents import network_workload
from cars_hw.latency.elsewhere.members import Member, reached
from cars_hw.latency.measured_list import read_list
from cars_hw.latency.networks_only import chosen_networks, marked, marking, measured_networks
from cars_hw.networks.architecture import Architecture
from cars_hw.results.forecast import MeasuringForecast, measuring_time
from cars_hw.results.tables import plain_target
from cars_hw.spaces import SearchSpace
from devices import DeviceInfo
from latency_tables import FEWEST_NETWORKS, LatencyTable, Measurement, TableError, TableHeader
from profilers import USUAL, Filled, OnProgress, Quality, fill_table, ignore_progress, lacking, plan_at


@dataclass(frozen=True)
class Imported:
    """What was taken from a list of measured networks.

    Attributes:
        networks: How many the table holds.
        disconnected: How many were left out, since no path leads from the image to their output.
    """

    networks: int
    disconnected: int


def profile_networks(  # noqa: PLR0913  (what, on what and how)
    config: SearchConfig,
    n: int,
    *,
    devices: Sequence[str] = (),
    quality: Quality = USUAL,
    retry_failures: bool = False,
    allow_changed: Collection[str] = (),
    executor: Executor | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Filled:
    """Measure what a table of ``n`` whole networks lacks, and no operation; networks are chosen by design.

    A table that holds other networks keeps them, and gets those that tell most beside them.

    Args:
        config: Names space, device, runtime and table.
        n: How many networks the table is to hold; at least ``FEWEST_NETWORKS``.
        devices: Identical devices that share the work, in place of that of ``config``.
        quality: How precisely.
        retry_failures: Whether what failed before is measured again.
        allow_changed: What may have changed since the table was made, beside what ``config`` allows.
        executor: Whose hosts have the devices, as for ``profile``.
        on_progress: For progress.

    Raises:
        ConfigError: ``n`` is too small, or the space has too few networks.
        DeviceError: A device cannot be reached or used.
        ProfilingError: Several devices disagree.
        TableMismatchError: The table is of operations or units, of another device, or of other settings.
        TableError: The table cannot be written.
    """
    latency = config.for_target().allowing(allow_changed).latency
    path, space = Path(latency.table), make_space(config)
    chosen = _chosen(space, path, n)
    with ExitStack() as opened, marking(space, path, chosen):
        far: list[Member] = []
        if executor is not None:
            target = plain_target(config, latency, "networks", quality)
            known = {network_key(space, one): one for one in chosen}
            far = reached(executor, devices or [latency.device], target, known, opened)
        return fill_table(
            path,
            [network_workload(space, architecture) for architecture in chosen],
            make_setup(latency),
            addresses=devices,
            elsewhere=far,
            quality=quality,
            retry_failures=retry_failures,
            allow_changed=latency.allow_changed,
            keyed_by="networks",
            on_progress=on_progress,
        )


def networks_forecast(
    config: SearchConfig,
    n: int,
    *,
    devices: Sequence[str] = (),
    quality: Quality = USUAL,
    retry_failures: bool = False,
) -> MeasuringForecast:
    """Return what ``profile_networks`` would measure, and how long that may take; no device is asked.

    Raises:
        ConfigError: As ``profile_networks`` says.
        TableError: The table cannot be read.
    """
    latency, space = config.for_target().latency, make_space(config)
    path = Path(latency.table)
    chosen = {network_key(space, one): one for one in _chosen(space, path, n)}
    missing = lacking(path, chosen, retry_failures=retry_failures)
    macs = [space.deployed(chosen[spec]).macs() for spec in missing]
    plan = plan_at((devices or [latency.device])[0], quality)
    return MeasuringForecast(0, len(macs), measuring_time(plan, 0, macs, devices=len(devices) or 1))


def import_networks(
    source: Path, config: SearchConfig, *, model: str, runtime_version: str = "unknown"
) -> Imported:
    """Make a new table of the networks in a list that somebody measured.

    Args:
        source: CSV or JSON: see ``latency.measured_list``; not trusted.
        config: Names space and table, and the kind of device, the runtime and the threads that it was
            measured with.
        model: Name of the device, as its owner would say it.
        runtime_version: Version of the runtime.

    Raises:
        DataError: The list cannot be read, or something in it is no network or no latency.
        TableError: There are too few networks, the table exists, or cannot be written.
    """
    latency, space = config.for_target().latency, make_space(config)
    found, path = read_list(source, space), Path(latency.table)
    n = len(found.latencies_s)
    if n < FEWEST_NETWORKS:
        raise TableError(
            f"{source} has {n} different connected networks; predicting others needs {FEWEST_NETWORKS}"
        )
    kind = latency.device.partition(":")[0]
    device = DeviceInfo(kind, model, platform="", os_build=f"imported from {source.name}", cores=0)
    header = TableHeader(device, latency.runtime, runtime_version, latency.threads, keyed_by="networks")
    entries = [
        marked(Measurement(network_key(space, architecture), samples_s), architecture)
        for architecture, samples_s in found.latencies_s.items()
    ]
    if path.exists():
        raise TableError(f"{path} exists; name a new table for the networks of {source}")
    table = LatencyTable.in_memory(header)
    table.add(*entries)
    table.save(path)
    return Imported(n, found.disconnected)


def _chosen(space: SearchSpace, path: Path, n: int) -> tuple[Architecture, ...]:
    measured = measured_networks(space, LatencyTable.open(path)) if path.exists() else {}
    return chosen_networks(space, n, tuple(measured))
