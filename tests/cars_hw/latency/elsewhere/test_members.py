"""Devices of other hosts fill one table: as they do here, and whatever host leaves meanwhile."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from cars_hw.config import SearchConfig
from cars_hw.executors import Executor, Place, Shared, Task, TaskError, WorkerLostError
from cars_hw.executors._executor import NOTHING, go_on
from cars_hw.executors.in_process import InProcess
from cars_hw.executors.processes import Processes
from cars_hw.latency.elsewhere.jobs import Job, Target, kept_job, measured_job, opened, told_job
from cars_hw.results.networks_only import profile_networks
from cars_hw.results.tables import profile
from devices import CarsHwError, DeviceLostError
from devices.foundation import ConfigError
from latency_tables import LatencyTable
from profilers import Filled, Quality
from tests.fakes import leaving
from tests.fakes.configurations import TINIEST
from tests.fakes.worker_processes import children

_In = TypeVar("_In")
_Out = TypeVar("_Out")

#: A fake device needs no time between its rounds.
QUALITY = Quality(spread_s=0.0)
A, B = (f"{leaving.__name__}:{serial}" for serial in ("a1", "b2"))


class Hosts(InProcess):
    """Hosts whose workers are this process; some leave.

    Args:
        leave: By the device of a host, which of its tasks it is gone with, and at which of these.
    """

    is_in_process = False

    def __init__(self, leave: dict[str, tuple[Callable[..., object], int]] | None = None) -> None:
        super().__init__()
        self._leave, self._place, self._asked = leave or {}, Place(""), 0

    def places(self, device: str) -> tuple[Place, ...]:
        return (Place(device, f"host of {device[-2:]}"),)

    def at(self, place: Place) -> Executor:
        there = Hosts(self._leave)
        there._place = place
        return there

    def map(
        self,
        task: Task[_In, _Out],
        inputs: Sequence[_In],
        *,
        shared: Shared = NOTHING,
        while_waiting: Callable[[], None] = go_on,
    ) -> Iterator[tuple[int, _Out]]:
        at, number = self._leave.get(self._place.device, (None, 0))
        self._asked += task is at
        if task is at and self._asked >= number:
            raise WorkerLostError("the host has left")
        try:
            yield from super().map(task, inputs, shared=shared, while_waiting=while_waiting)
        except CarsHwError as error:
            raise TaskError(str(error)) from error


def _profiled(path: Path, executor: Executor | None, *devices: str, by_operations: bool = True) -> Filled:
    return profile(
        _config(path),
        devices=devices,
        quality=QUALITY,
        by_operations=by_operations,
        executor=executor,
    )


def _config(path: Path) -> SearchConfig:
    file = path.with_suffix(".toml")
    file.write_text(f'{TINIEST}[latency]\ndevice = "{A}"\nruntime = "fake"\ntable = "{path}"\n')
    return SearchConfig.load(file)


def _table(path: Path) -> LatencyTable:
    return LatencyTable.open(path)


def test_devices_beside_two_worker_processes_fill_the_table_that_they_fill_here(tmp_path: Path) -> None:
    filled = _profiled(tmp_path / "far.jsonl", Processes(), A, B)
    _profiled(tmp_path / "near.jsonl", None, A, B)
    far, near = _table(tmp_path / "far.jsonl"), _table(tmp_path / "near.jsonl")
    assert far.header == near.header
    assert far.header.device.serials == ("a1", "b2")
    assert {spec: round(one.latency_s, 12) for spec, one in far.measurements.items()} == {
        spec: round(one.latency_s, 12) for spec, one in near.measurements.items()
    }
    assert {entry.spec for entry in filled.entries} == set(far.measurements)
    assert not filled.lost
    assert list(tmp_path.glob("*.part-*")) == []


@pytest.mark.slow
def test_a_table_of_units_has_what_the_first_device_that_answers_executes(tmp_path: Path) -> None:
    _profiled(tmp_path / "far.jsonl", Hosts({A: (kept_job, 1)}), A, B, by_operations=False)
    _profiled(tmp_path / "near.jsonl", None, B, by_operations=False)
    far, near = _table(tmp_path / "far.jsonl"), _table(tmp_path / "near.jsonl")
    assert far.header.keyed_by == "units"
    assert far.executed == near.executed
    assert set(far.measurements) == set(near.measurements)


def test_what_a_host_that_leaves_has_not_handed_back_the_others_measure(tmp_path: Path) -> None:
    filled = _profiled(tmp_path / "t.jsonl", Hosts({A: (measured_job, 2)}), A, B)
    assert filled.lost == (f"{A} of host of a1: the host has left",)
    assert {entry.spec for entry in filled.entries} == set(_table(tmp_path / "t.jsonl").measurements)
    assert not filled.failures


@pytest.mark.slow
def test_a_table_of_networks_is_filled_by_hosts_too(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    filled = profile_networks(_config(path), 12, devices=(A, B), quality=QUALITY, executor=Hosts())
    assert {entry.spec for entry in filled.entries} == set(_table(path).measurements)
    assert len(_table(path).measurements) == 12
    assert _table(path).header.keyed_by == "networks"


def test_where_all_hosts_leave_what_they_handed_back_stays_and_the_rest_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with pytest.raises(DeviceLostError, match=r"all devices were lost: .*the host has left.*run it again"):
        _profiled(path, Hosts({A: (measured_job, 3), B: (measured_job, 2)}), A, B)
    kept = {spec for part in tmp_path.glob("*.part-*") for spec in _table(part).measurements}
    filled = _profiled(path, Hosts(), A, B)
    assert kept
    assert len(filled.entries) < len(_table(path).measurements)
    assert kept < set(_table(path).measurements)


def test_a_device_that_leaves_its_host_hands_back_what_it_measured() -> None:
    there = _target(f"{leaving.__name__}:a1")
    table = told_job(there, NOTHING)["table"]
    of_a_time = _target(f"{leaving.__name__}:a1/2000")  # it leaves in the last of its rounds
    job = Job(target=of_a_time, table=table, wanted=_operations(20), retry_failures=False)
    found = measured_job(job, NOTHING)
    assert found["lost"] == "a1 was unplugged"
    with opened(found["table"]) as measured:
        assert 0 < len(measured.measurements) == len(found["new"]) < 20


def _operations(n: int) -> dict[str, str]:
    return {f"conv_bn[1x{i + 1}x8x8;affine=0,kernel=1,out=4,stride=1;float32]": "" for i in range(n)}


def _target(device: str) -> Target:
    return Target(
        device=device,
        runtime="fake",
        threads=1,
        settings={},
        space="nasbench201",
        space_settings={},
        operation_kinds=[],
        keyed_by="operations",
        quality={"spread_s": 0.0},
        allow_changed=[],
    )


def test_a_device_that_its_host_cannot_reach_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DeviceLostError, match=r"cpu:no of host of no: .*'no'"):
        _profiled(tmp_path / "t.jsonl", Hosts(), "cpu:no")


def test_this_process_is_no_other_host(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave --executor out"):
        _profiled(tmp_path / "t.jsonl", InProcess(), A)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_a_host_that_leaves_only_where_every_one_is(tmp_path: Path) -> None:
    killed = list[int]()

    class Killing(Processes):
        """Kills its worker the first time that it waits for it."""

        def map(
            self,
            task: Task[_In, _Out],
            inputs: Sequence[_In],
            *,
            shared: Shared = NOTHING,
            while_waiting: Callable[[], None] = go_on,
        ) -> Iterator[tuple[int, _Out]]:
            def kill_one() -> None:
                if task is measured_job and not killed:
                    killed.append(children()[0])
                    os.kill(killed[0], signal.SIGKILL)
                while_waiting()

            return super().map(task, inputs, shared=shared, while_waiting=kill_one)

    filled = _profiled(tmp_path / "t.jsonl", Killing(), A)
    assert killed
    assert not filled.lost
    assert len(filled.entries) == len(_table(tmp_path / "t.jsonl").measurements)
