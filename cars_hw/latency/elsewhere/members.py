"""Members: the devices of other hosts that fill a table together, each by an executor's worker beside it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from cars_hw.executors import Executor, Place, Shared, TaskError, WorkerLostError
from cars_hw.latency.candidates import network_key
from cars_hw.latency.elsewhere.jobs import (
    Found,
    Job,
    Target,
    kept_job,
    measured_job,
    opened,
    told_job,
)
from cars_hw.latency.filling import operation_contents, stored_contents
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.spaces import SearchSpace
from devices import DeviceError, DeviceInfo, DeviceLostError
from devices.foundation import ConfigError
from latency_tables import Entry, KeyedBy, LatencyTable, OpSpec, TableHeader
from profilers import OnStep, Step, Workload

#: By the keys of networks their architectures: what workers are told of them.
Networks = Mapping[OpSpec, Architecture]


@dataclass(frozen=True)
class Member:
    """A device at a place. Fulfils ``profilers.Elsewhere``.

    Attributes:
        place: Where it is.
        executor: Runs tasks there.
        target: What is measured on it.
        networks: What workers are told of networks.
        known: The header of its table.
        boot: Its present boot, or its host where the device has no name of that.
    """

    place: Place
    executor: Executor
    target: Target
    networks: Networks
    known: TableHeader
    boot: str

    @property
    def address(self) -> str:
        """``NAME[:ADDRESS]``, as its host connects to it."""
        return self.place.device

    @property
    def label(self) -> str:
        """What it is called."""
        return str(self.place)

    def info(self) -> DeviceInfo:
        """Return the device's identity."""
        return self.known.device

    def boot_id(self) -> str:
        """Return a name of its present boot."""
        return self.boot

    def measurer(self, on_step: OnStep, before_run: Callable[[], None]) -> "FarProfiler":
        """Return what measures on it."""
        return FarProfiler(self, on_step, before_run)

    def found(
        self,
        task: Callable[[Job, Shared], Found],
        table: bytes,
        wanted: Sequence[Workload],
        *,
        retry_failures: bool = False,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> Found:
        """Return what a worker beside the device makes of ``wanted``.

        Raises:
            DeviceLostError: The worker, or its host, is gone.
            TaskError: It refused.
        """
        texts = {
            str(one.spec): to_text(self.networks[one.spec]) if one.spec in self.networks else ""
            for one in wanted
        }
        job = Job(target=self.target, table=table, wanted=texts, retry_failures=retry_failures)
        try:
            [(_, found)] = self.executor.map(task, [job], while_waiting=while_waiting)
        except WorkerLostError as error:
            raise DeviceLostError(f"{self.place}: {error}") from error
        return found


class FarProfiler:
    """Measures on a member. Fulfils ``profilers.Measurer``.

    Args:
        member: Which.
        on_step: Called with each entry, once it is here.
        before_run: Called several times a second; what it raises ends the measuring.
    """

    def __init__(self, member: Member, on_step: OnStep, before_run: Callable[[], None]) -> None:
        self.device = member
        self.resting_s, self.taken_up = 0.0, 0
        self._on_step, self._before_run = on_step, before_run
        self._outdated: set[OpSpec] = set()

    def __repr__(self) -> str:
        return f"<far profiler of {self.device.target['runtime']} on {self.device.place}>"

    def header(self, keyed_by: KeyedBy = "operations") -> TableHeader:
        """Return the conditions that everything measured there shares."""
        return replace(self.device.known, keyed_by=keyed_by)

    def fill(
        self, table: LatencyTable, workloads: Iterable[Workload], *, retry_failures: bool = False
    ) -> Iterator[Entry]:
        """Measure there what ``table`` lacks; each entry is in the table before it is yielded.

        Raises:
            DeviceLostError: The device, or its host, was lost; what it had handed back is in the table.
        """
        wanted = list({workload.spec: workload for workload in workloads}.values())
        specs = [workload.spec for workload in wanted]
        if table.path is None or not (
            table.missing(specs, retry_failures=retry_failures) or self._outdated.intersection(specs)
        ):
            return
        found = self.device.found(
            measured_job,
            table.path.read_bytes(),
            wanted,
            retry_failures=retry_failures,
            while_waiting=self._before_run,
        )
        self.resting_s += found["resting_s"]
        self._outdated = set(map(OpSpec.parse, found["outdated"]))
        with opened(found["table"]) as there:
            for spec in dict.fromkeys(map(OpSpec.parse, found["new"])):
                entry = there.measurements.get(spec) or there.failures[spec]
                table.add(entry)
                self._on_step(Step(entry=entry))
                yield entry
        if found["lost"]:
            raise DeviceLostError(f"{self.device.place}: {found['lost']}")

    def outdated(self, table: LatencyTable) -> set[OpSpec]:
        """Return what the device said last that it measures faster now."""
        return self._outdated & table.measurements.keys()


def listed_networks(
    space: SearchSpace, path: Path, further: Sequence[Architecture], keyed_by: KeyedBy
) -> Networks:
    """Return all networks that the table at ``path`` may be given to hold. Arguments as in ``filling``."""
    if keyed_by == "operations":
        architectures = operation_contents(space, path, further).calibration
    else:
        contents = stored_contents(space, path, further)
        architectures = (*contents.calibration, *contents.candidates)
    return {network_key(space, one): one for one in architectures}


def reached(
    executor: Executor,
    names: Sequence[str],
    target: Target,
    networks: Networks,
    opened_here: ExitStack,
) -> list[Member]:
    """Return the devices called ``names`` where ``executor`` has them.

    Args:
        executor: Whose hosts.
        names: ``NAME[:ADDRESS]`` each.
        target: What is measured on each, but for its name.
        networks: What workers are told of networks.
        opened_here: Ends their workers.

    Raises:
        ConfigError: There is none of a name, or the executor's tasks run in this process.
        DeviceLostError: One cannot be reached.
    """
    if executor.is_in_process:
        raise ConfigError("in_process has no devices but those of this process; leave --executor out")
    places = list(dict.fromkeys(place for name in names for place in executor.places(name)))
    return [
        _member(place, opened_here.enter_context(executor.at(place)), target, networks) for place in places
    ]


def _member(place: Place, executor: Executor, target: Target, networks: Networks) -> Member:
    here: Target = {**target, "device": place.device}
    try:
        [(_, told)] = executor.map(told_job, [here])
    except (TaskError, WorkerLostError) as error:
        raise DeviceLostError(f"{place}: {error}") from error
    with opened(told["table"]) as table:
        return Member(place, executor, here, networks, table.header, told["boot_id"] or place.host)


def keep_there(
    path: Path, members: Sequence[Member], networks: Sequence[Workload], *, retry_failures: bool = False
) -> None:
    """Keep in the table of units at ``path`` what the first device that answers makes of ``networks``.

    Raises:
        DeviceLostError: None answers.
        TableError: The table cannot be written, or is of other conditions.
    """
    lost = list[str]()
    for member in members:
        content = path.read_bytes() if path.exists() else b""
        try:
            found = member.found(kept_job, content, networks, retry_failures=retry_failures)
        except DeviceError as error:
            lost.append(str(error))
            continue
        if found["table"]:
            _take_over(path, member, found["table"])
        if not found["lost"]:
            return
        lost.append(f"{member.place}: {found['lost']}")
    raise DeviceLostError(f"all devices were lost: {'; '.join(lost)}; run it again")


def _take_over(path: Path, member: Member, content: bytes) -> None:
    """Add to the table at ``path`` what ``content`` has beside it."""
    allowed = member.target["allow_changed"]
    header = replace(member.known, keyed_by="units")
    with (
        opened(content) as there,
        LatencyTable.open_for_writing(path, header, allow_changed=allowed) as table,
    ):
        for network, graph in there.executed.items():
            if table.executed.get(network) != graph:
                table.add_executed(network, graph)
        table.add(*(one for spec, one in there.failures.items() if table.failures.get(spec) != one))
