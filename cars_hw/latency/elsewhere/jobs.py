"""What a worker does beside a device: it tells which one that is, counts networks, and measures.

A table goes there and back as the bytes of its file, whose lines carry their checksums. Workloads go by their
keys; of whole networks, whose keys say too little, goes the architecture.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from pydantic import TypeAdapter

import devices
from cars_hw import spaces
from cars_hw.executors import Shared
from cars_hw.latency.contents import module_workload, network_workload
from cars_hw.latency.counting import unit_counter
from cars_hw.ledger import Json
from cars_hw.networks import kinds
from cars_hw.networks.architecture import from_text
from devices import DeviceError
from latency_tables import CALL_OVERHEAD, KeyedBy, LatencyTable, OpSpec, Setting
from profilers import Profiler, Quality, Setup, Workload, keep_executed, plan_for

_TABLE = "table.jsonl"
_KEYED_BY = TypeAdapter[KeyedBy](KeyedBy)
_QUALITY = TypeAdapter(Quality)


class Target(TypedDict):
    """On what is measured, how, and of which space, in plain values.

    Attributes:
        device: As its host connects to it.
        runtime: With the two below: as ``Setup`` has them.
        threads: Of one inference.
        settings: Of the runtime.
        space: The plug-in's name.
        space_settings: Of the space.
        operation_kinds: Modules from outside that operations of the space come from.
        keyed_by: What the table is made of.
        quality: As ``Quality`` has it.
        allow_changed: As ``fill_table`` takes it.
    """

    device: str
    runtime: str
    threads: int
    settings: dict[str, Setting]
    space: str
    space_settings: dict[str, Json]
    operation_kinds: list[str]
    keyed_by: str
    quality: dict[str, Json]
    allow_changed: list[str]


class Job(TypedDict):
    """What is wanted.

    Attributes:
        target: On what.
        table: What is there of the table; empty: nothing.
        wanted: By the key of each workload its architecture, empty where it is no network.
        retry_failures: Whether what failed before is tried again.
    """

    target: Target
    table: bytes
    wanted: dict[str, str]
    retry_failures: bool


class Told(TypedDict):
    """Which device it is.

    Attributes:
        table: Empty, but for its header.
        boot_id: As ``Device.boot_id`` says.
    """

    table: bytes
    boot_id: str


class Found(TypedDict):
    """What came of a job.

    Attributes:
        table: The table, with what is new.
        new: The keys of that, in the order of measuring.
        outdated: Keys of what the table holds of a time when the device was slower than it has proved to be.
        resting_s: Seconds that were lost to waiting for the device to be ready.
        lost: Why the device was given up; empty where it was not.
    """

    table: bytes
    new: list[str]
    outdated: list[str]
    resting_s: float
    lost: str


def told_job(target: Target, shared: Shared) -> Told:
    """Say which device it is; the task of an executor.

    Raises:
        DeviceError: It cannot be reached.
    """
    with _file(b"") as path, devices.connect(target["device"]) as device:
        header = Profiler(device, _setup(target).load_runtime()).header(_keyed_by(target))
        with LatencyTable.create(path, header):
            pass
        return Told(table=path.read_bytes(), boot_id=device.boot_id())


def kept_job(job: Job, shared: Shared) -> Found:
    """Keep what the device's runtime makes of networks; the task of an executor."""
    target, lost = job["target"], ""
    with _file(job["table"]) as path:
        try:
            keep_executed(
                path,
                list(_workloads(target, job["wanted"])),
                _setup(target),
                retry_failures=job["retry_failures"],
                allow_changed=target["allow_changed"],
            )
        except DeviceError as error:
            lost = str(error)
        table = path.read_bytes() if path.exists() else b""
    return Found(table=table, new=[], outdated=[], resting_s=0.0, lost=lost)


def measured_job(job: Job, shared: Shared) -> Found:
    """Measure what the table lacks of what is wanted; the task of an executor.

    A device that is lost keeps nothing from being handed back that was measured before.
    """
    target, new, lost = job["target"], list[str](), ""
    outdated, resting_s = list[str](), 0.0
    with _file(job["table"]) as path:
        try:
            with devices.connect(target["device"]) as device:
                plan = plan_for(device, _QUALITY.validate_python(target["quality"]))
                profiler = Profiler(device, _setup(target).load_runtime(), plan)
                workloads = list(_workloads(target, job["wanted"]))
                with LatencyTable.open_for_writing(
                    path, profiler.header(_keyed_by(target)), allow_changed=target["allow_changed"]
                ) as table:
                    for entry in profiler.fill(table, workloads, retry_failures=job["retry_failures"]):
                        new.append(str(entry.spec))
                    outdated, resting_s = sorted(map(str, profiler.outdated(table))), profiler.resting_s
        except DeviceError as error:
            lost = str(error)
        content = path.read_bytes()
    return Found(table=content, new=new, outdated=outdated, resting_s=resting_s, lost=lost)


@contextmanager
def opened(content: bytes) -> Iterator[LatencyTable]:
    """Yield the table that a worker sent.

    Raises:
        TableError: It is none.
    """
    with _file(content) as path:
        yield LatencyTable.open(path)


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    """Yield the path of a file with ``content``; where that is empty, of none."""
    with tempfile.TemporaryDirectory(prefix="cars-hw-") as folder:
        path = Path(folder) / _TABLE
        if content:
            path.write_bytes(content)
        yield path


def _setup(target: Target) -> Setup:
    return Setup(target["device"], target["runtime"], target["threads"], target["settings"])


def _keyed_by(target: Target) -> KeyedBy:
    return _KEYED_BY.validate_python(target["keyed_by"])


def _workloads(target: Target, wanted: Mapping[str, str]) -> Iterable[Workload]:
    """Yield what measures each of ``wanted``, in their order."""
    kinds.load_kinds(target["operation_kinds"])
    space = spaces.load(target["space"], **target["space_settings"])
    keyed_by = _keyed_by(target)
    for key, architecture in wanted.items():
        spec = OpSpec.parse(key)
        if architecture:
            member = from_text(architecture, space.choices)
            yield network_workload(space, member, is_distinct=keyed_by != "operations")
        elif keyed_by == "units" and spec != CALL_OVERHEAD:
            yield unit_counter(_setup(target)).workload(spec)
        else:
            yield module_workload(spec)
