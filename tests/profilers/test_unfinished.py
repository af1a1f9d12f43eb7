"""A filling that is killed at any block goes on where it was, on a scripted clock without rounding."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices._device import DeviceInfo
from devices._errors import DeviceLostError
from devices.fake import Fake
from latency_tables import Entry, LatencyTable, Measurement, OpSpec, TableError, partial_path, repair_table
from latency_tables.lines import Fields, encoded, parsed
from profilers.errors import ProfilingError
from profilers.fleet import Fleet
from profilers.parts import part_path
from profilers.plan import MeasurementPlan, SentinelPlan
from profilers.profiler import Profiler
from profilers.progress.report import Step
from profilers.runtimes._runtime import Workload
from profilers.runtimes.fake import FakeRuntime

KINDS = "abcd"
WORKLOADS = [Workload(OpSpec.of(kind, (1, 8, 4, 4)), Path("never read")) for kind in KINDS]

#: At most 6 rounds, kept after every block; dyadic, so that no clock rounds.
PLAN = MeasurementPlan(
    block_s=2**-10, min_rounds=3, max_rounds=6, precision=1e-6, spread_s=0.0, keep_every_s=0.0
)

#: Blocks of a whole filling: two probes of one length after another for each kind, and the rounds.
ALL_BLOCKS = 64


class KilledError(BaseException):
    """The process ends here; what is on the disk has been copied."""


class World:
    """A machine whose speed is another in each round, and which may be killed at a block.

    Attributes:
        blocks: How many were begun.
    """

    def __init__(self, folder: Path, kill_at: int | None = None, end: BaseException | None = None) -> None:
        self.path, self.copy = folder / "t.jsonl", folder / "copy"
        self.blocks, self._kill_at, self._end = 0, kill_at, end or KilledError()
        self._round = max([1, *(int(record.get("rounds", 0)) for record in kept(self.path))]) - 1

    def latency_s(self, spec: OpSpec, _: float) -> float:
        if self.blocks == self._kill_at:
            shutil.copytree(self.path.parent, self.copy, ignore=shutil.ignore_patterns("copy"))
            raise self._end
        self.blocks += 1
        place = KINDS.find(spec.kind) + 1 or 3
        return (
            2.0**-13 * place * (1 + 3 * self._round * place % 8 / 8)
        )  # fastest at first: no block is too short

    def profiler(self, plan: MeasurementPlan = PLAN) -> Profiler:
        return Profiler(Fake(), FakeRuntime(latency_s=self.latency_s), plan, on_step=self._see)

    def fill(self, plan: MeasurementPlan = PLAN, *, again: bool = False) -> list[Entry]:
        owner = self.profiler(plan)
        with LatencyTable.open_for_writing(self.path, owner.header()) as table:
            entries = list(owner.fill(table, WORKLOADS, again=again))
        self.taken_up = owner.taken_up
        return entries

    def _see(self, step: Step) -> None:
        self._round = min(step.rounds.values(), default=self._round)


def kept(path: Path) -> list[Fields]:
    """Return the partial records beside the table at ``path``."""
    if not path.exists():
        return []
    with LatencyTable.open_for_writing(path, LatencyTable.open(path).header) as table:
        return list(table.partial())


def samples(path: Path) -> dict[str, tuple[tuple[float, ...], object]]:
    """Return the samples of all entries, and the calls of their blocks."""
    entries = LatencyTable.open(path).measurements.values()
    return {entry.spec.kind: (entry.samples_s, entry.conditions["inner_calls"]) for entry in entries}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[tuple[float, ...], object]]:
    """The samples of a filling that nothing interrupted."""
    world = World(tmp_path_factory.mktemp("whole"))
    world.fill()
    assert world.blocks < ALL_BLOCKS
    assert os.listdir(world.path.parent) == ["t.jsonl"]
    return samples(world.path)


def killed(folder: Path, at: int, plan: MeasurementPlan = PLAN, end: BaseException | None = None) -> World:
    """Fill until the block ``at``, and return what finds the disk as it was then."""
    folder.mkdir(exist_ok=True)
    world = World(folder, at, end)
    with pytest.raises(type(end or KilledError())):
        world.fill(plan)
    return World(world.copy)


_SOME = (0, 9, 20, 33, 34, 41)


@pytest.mark.parametrize(
    "at",
    [pytest.param(n, marks=() if n in _SOME else pytest.mark.slow) for n in range(ALL_BLOCKS - 20)],
)
def test_a_filling_killed_at_a_block_ends_with_the_same_samples(
    at: int, whole: dict[str, tuple[tuple[float, ...], object]], tmp_path: Path
) -> None:
    world = killed(tmp_path, at)
    world.fill()
    assert samples(world.path) == whole
    assert os.listdir(world.path.parent) == ["t.jsonl"]


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, ALL_BLOCKS - 20, 7))
@pytest.mark.parametrize("second", range(1, 40, 5))
def test_a_filling_killed_twice_ends_with_the_same_samples(
    first: int, second: int, whole: dict[str, tuple[tuple[float, ...], object]], tmp_path: Path
) -> None:
    again = World(killed(tmp_path, first).path.parent, second)
    try:
        again.fill()
    except KilledError:
        again = World(again.copy)
        again.fill()
    assert samples(again.path) == whole


def test_a_kill_costs_a_block(tmp_path: Path) -> None:
    world = killed(tmp_path, 35)
    blocks = sum(len(record["samples_s"]) for record in kept(world.path))
    world.fill()
    assert blocks >= 8
    taken = [
        entry.conditions.get("interruptions") for entry in LatencyTable.open(world.path).measurements.values()
    ]
    assert taken == [1] * 4
    assert world.taken_up == 4
    # The blocks that were kept, one that warms up each workload, and those that were left.
    assert world.blocks == 4 + (4 * 6 - blocks)


@pytest.mark.parametrize("every_s", [1.0, 30.0])
def test_no_more_than_the_interval_and_a_block_is_lost(every_s: float, tmp_path: Path) -> None:
    """On a clock on which a block takes up to 2 s; the first four size the workloads."""
    plan = replace(PLAN, block_s=1.0, keep_every_s=every_s, max_rounds=20, budget_s=1000.0, first_calls=1)
    path, copy, end_s = tmp_path / "t.jsonl", tmp_path / "copy", 113.0
    latencies_s = itertools.cycle([2.0, 1.0, 1.5])

    def latency_s(_: OpSpec, now_s: float) -> float:
        if now_s >= end_s:
            shutil.copytree(tmp_path, copy)
            raise KilledError
        return next(latencies_s)

    owner = Profiler(Fake(), FakeRuntime(latency_s=latency_s), plan)
    with (
        LatencyTable.open_for_writing(path, owner.header()) as table,
        pytest.raises(KilledError),
    ):
        list(owner.fill(table, WORKLOADS))
    samples_s = sum(sum(record["samples_s"]) for record in kept(copy / "t.jsonl"))
    sizing_s = 2.0 * len(WORKLOADS)
    assert end_s - sizing_s - samples_s <= every_s + 2.0


def test_an_interrupt_costs_the_block_that_it_met_whatever_the_interval(tmp_path: Path) -> None:
    plan = replace(PLAN, keep_every_s=1e6)
    killed(tmp_path, 37, plan, KeyboardInterrupt())
    world = World(tmp_path)
    before = sum(len(record["samples_s"]) for record in kept(world.path))
    assert before >= 8
    world.fill(plan)
    assert world.blocks == 4 + (4 * 6 - before)


def test_leaving_the_loop_keeps_the_blocks_of_the_others(tmp_path: Path) -> None:
    world = World(tmp_path)
    owner = world.profiler(replace(PLAN, budget_s=2**-8, keep_every_s=1e6))
    with LatencyTable.open_for_writing(world.path, owner.header()) as table:
        filling = owner.fill(table, WORKLOADS)
        first = next(filling)
        filling.close()  # type: ignore[attr-defined]
    assert {record["spec"] for record in kept(world.path)} == {
        str(workload.spec) for workload in WORKLOADS if workload.spec != first.spec
    }


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, seed=1),
        replace(PLAN, max_rounds=8),
        pytest.param(replace(PLAN, sentinel=SentinelPlan(block_s=2**-10)), marks=pytest.mark.slow),
    ],
    ids=["seed", "rounds", "sentinel"],
)
def test_blocks_of_another_plan_are_measured_anew_and_that_is_said(
    plan: MeasurementPlan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = killed(tmp_path, 35)
    world.fill(plan)
    assert world.taken_up == 0
    assert "of 4 unfinished entries was under other conditions or by another plan" in caplog.text
    assert not partial_path(world.path).exists()


def test_the_interval_is_no_matter_of_the_plan(tmp_path: Path) -> None:
    world = killed(tmp_path, 35)
    world.fill(replace(PLAN, keep_every_s=7.0))
    assert world.taken_up == 4


def test_measuring_anew_does_not_go_on_with_what_was_not(tmp_path: Path) -> None:
    world = killed(tmp_path, 35)
    world.fill(again=True)
    assert world.taken_up == 0


def test_unfinished_entries_of_other_workloads_are_left_for_their_filling(tmp_path: Path) -> None:
    world = killed(tmp_path, 35)
    before = kept(world.path)
    owner = world.profiler()
    with LatencyTable.open_for_writing(world.path, owner.header()) as table:
        [_] = owner.fill(table, [Workload(OpSpec.of("else", (1, 8, 4, 4)), Path("never read"))])
    assert kept(world.path) == before
    world.fill()
    assert world.taken_up == 4


def _flipped(content: bytes) -> Iterator[bytes]:
    for place in range(3, len(content), len(content) // 12):
        yield content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _cut(content: bytes) -> Iterator[bytes]:
    yield from (content[:place] for place in range(0, len(content), len(content) // 12))


def _swapped(content: bytes) -> Iterator[bytes]:
    lines = content.splitlines(keepends=True)
    yield b"".join(lines[::-1]) + lines[0]
    yield b"\0" * 1000


def _poisoned(content: bytes) -> Iterator[bytes]:
    lines = content.splitlines(keepends=True)
    good = dict(parsed(Path(), 1, lines[0]))
    for name, value in {
        "samples_s": [-1.0],
        "inner_calls": 0,
        "rounds": 1 << 40,
        "restarts": -1,
        "interruptions": "1",
        "started": "yesterday",
        "facts": {"a": [1]},
        "spec": "no spec",
        "group": None,
    }.items():
        yield encoded({**good, name: value}) + b"".join(lines[1:])
    yield encoded({"spec": good["spec"]}) + b"".join(lines[1:])
    yield encoded({}) + b"".join(lines[1:])


@pytest.mark.parametrize("damage", [_flipped, _cut, _swapped, _poisoned])
def test_a_damaged_file_costs_what_does_not_hold_and_is_no_error(
    damage: Callable[[bytes], Iterator[bytes]],
    whole: dict[str, tuple[tuple[float, ...], object]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = killed(tmp_path, 43)
    aside = partial_path(world.path)
    plan = replace(PLAN, keep_every_s=1e6)  # what is kept is another test's
    content, table = aside.read_bytes(), world.path.read_bytes()
    for damaged in damage(content):
        caplog.clear()
        world.path.write_bytes(table)
        aside.write_bytes(damaged)
        World(world.path.parent).fill(plan)
        assert {kind: calls for kind, (_, calls) in samples(world.path).items()} == {
            kind: calls for kind, (_, calls) in whole.items()
        }
        assert caplog.records or damaged in (b"", *_swapped(content)), damaged.splitlines()[0]
        assert not aside.exists()


@pytest.mark.parametrize("obstacle", ["pipe", "device", "loop", "folder"])
def test_what_is_no_file_in_its_place_is_no_error_and_is_said(
    obstacle: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    aside = partial_path(world.path)
    LatencyTable.create(world.path, world.profiler().header()).close()
    if obstacle == "pipe":
        os.mkfifo(aside)
    elif obstacle == "folder":
        aside.mkdir()
    else:
        aside.symlink_to("/dev/zero" if obstacle == "device" else aside)
    assert len(world.fill()) == 4
    assert "t.jsonl.partial cannot be read" in caplog.text
    assert caplog.text.count("an interrupt loses more") == (obstacle == "folder")


def test_no_reader_looks_at_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = killed(tmp_path, 41)
    before = LatencyTable.open(world.path).digest()
    partial_path(world.path).unlink()
    os.mkfifo(partial_path(world.path))
    assert LatencyTable.open(world.path).digest() == before
    assert not repair_table(world.path, write=True).is_needed
    assert caplog.text == ""


def test_a_table_that_is_made_anew_has_no_blocks_of_the_one_before(tmp_path: Path) -> None:
    world = killed(tmp_path, 35)
    world.path.unlink()
    world.fill()
    assert world.taken_up == 0


@pytest.mark.parametrize("fate", ["removed", "moved", "replaced"])
def test_a_folder_that_goes_away_ends_the_filling_at_the_next_write_and_is_not_made_again(
    fate: str, tmp_path: Path
) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    world = World(folder)
    owner = world.profiler()

    def go_away(step: Step) -> None:
        if not any(step.rounds.values()):
            return
        if fate == "removed":
            shutil.rmtree(folder)
            return
        folder.rename(tmp_path / "elsewhere")
        if fate == "replaced":
            shutil.copytree(tmp_path / "elsewhere", folder)

    away = Profiler(owner.device, owner.runtime, PLAN, on_step=go_away)
    with (
        LatencyTable.open_for_writing(world.path, owner.header()) as table,
        pytest.raises(TableError, match=r"was deleted|was moved or replaced"),
    ):
        list(away.fill(table, WORKLOADS))
    assert folder.exists() == (fate == "replaced")


def test_a_rest_does_not_hold_up_what_is_due(tmp_path: Path) -> None:
    """The sentinel becomes slow for good: what was measured before is on the disk during the rest."""
    path, slow_from_s = tmp_path / "t.jsonl", 4.0
    device, seen, noise = Fake(), set(), itertools.cycle([1.0, 1.25, 1.5])

    def latency_s(spec: OpSpec, now_s: float) -> float:
        is_slow = spec.kind == "sentinel" and now_s > slow_from_s
        return 2.0**-4 * (2.0 if is_slow else 1.0 if spec.kind == "sentinel" else next(noise))

    def watch() -> None:
        seen.add((device.clock_s() > slow_from_s + 31.0, partial_path(path).exists()))

    plan = replace(PLAN, max_rounds=80, keep_every_s=30.0, sentinel=SentinelPlan(patience_s=60.0))
    owner = Profiler(device, FakeRuntime(latency_s=latency_s), plan, before_run=watch)
    with LatencyTable.open_for_writing(path, owner.header()) as table:
        entries = list(owner.fill(table, WORKLOADS))
    assert not any(isinstance(entry, Measurement) for entry in entries)
    assert (True, True) in seen
    assert (True, False) not in seen


class Phone(Fake):
    """A fake device with a serial number."""

    def __init__(self, serial: str) -> None:
        super().__init__()
        self._serial = serial

    def info(self) -> DeviceInfo:
        return DeviceInfo("fake", "pixel", "soc", "os", cores=1, serial_hash=self._serial)


def test_a_part_of_a_fleet_goes_on_and_nothing_is_left_of_a_lost_ones(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    workloads = [Workload(OpSpec.of(f"k{n}", (1, 8, 4, 4)), Path("never read")) for n in range(24)]
    plan = replace(PLAN, keep_every_s=1e6)

    def member(serial: str, lost_after: int) -> tuple[Phone, FakeRuntime]:
        blocks = iter(range(lost_after))

        def latency_s(*_: object) -> float:
            if next(blocks, None) is None:
                raise DeviceLostError(f"{serial} was unplugged")
            return 2.0**-10

        return Phone(serial), FakeRuntime(latency_s=latency_s)

    with pytest.raises(DeviceLostError):
        list(Fleet([member("a1", 60), member("b2", 60)], plan).fill(path, workloads, workloads[-2:]))
    parts = [part_path(path, serial) for serial in ("a1", "b2")]
    assert all(kept(part) for part in parts)
    fleet = Fleet([member("a1", 0), member("b2", 10_000)], plan)
    list(fleet.fill(path, workloads, workloads[-2:]))
    assert set(fleet.lost) <= {"a1"}  # the other one may be quicker
    assert fleet.taken_up > 0
    assert os.listdir(tmp_path) == ["t.jsonl"]


def test_an_interval_below_nothing_is_refused() -> None:
    with pytest.raises(ProfilingError, match="keep_every_s"):
        replace(PLAN, keep_every_s=-1.0)
