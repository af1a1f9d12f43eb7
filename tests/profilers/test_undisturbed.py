"""Blocks that something else disturbed, and processes that take turns, on a scripted clock."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from cars_hw.testing._entries import measured
from devices._device import Device, DeviceState, ThreadUse
from devices.fake import Fake
from latency_tables import Conditions, LatencyTable, Measurement, OpSpec, partial_path
from profilers._sampling.sampling import Sampling
from profilers.errors import BusyError
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Sampler, Timed, Workload
from profilers.runtimes.fake import FakeRuntime
from profilers.worker.contract import Block, Worker

PLAN = MeasurementPlan(spread_s=0.0)
LATENCY_S = 1e-4

#: Share of a block that something else took, by the block's number.
Lost = Callable[[OpSpec, int], float]


class Shared(FakeRuntime):
    """Runs on a processor that something else has for a share of some blocks, which take longer then."""

    def __init__(self, lost: Lost) -> None:
        super().__init__(latency_s=lambda *_: LATENCY_S)
        self._lost = lost

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        with super().prepare(workload, device) as sampler:
            yield _Shared(workload.spec, sampler, self._lost)


class _Shared:
    def __init__(self, spec: OpSpec, sampler: Sampler, lost: Lost) -> None:
        self._spec, self._sampler, self._lost = spec, sampler, lost
        self._blocks = itertools.count()

    def __call__(self, n: int) -> Sequence[float]:
        share = self._lost(self._spec, next(self._blocks))
        (latency_s,) = self._sampler(n)
        return Timed.of(latency_s / (1 - share), ThreadUse(switches=share > 0, cpu_s=n * latency_s))

    def facts(self) -> Conditions:
        return {}


def workloads(kinds: str) -> list[Workload]:
    return [Workload(OpSpec.of(kind, (1, 8, 4, 4)), Path("never read")) for kind in kinds]


def fill(lost: Lost, kinds: str = "ab", plan: MeasurementPlan = PLAN) -> LatencyTable:
    device = Fake(lambda _: DeviceState(load=3.25))
    profiler = Profiler(device, Shared(lost), plan)
    table = LatencyTable.in_memory(profiler.header())
    list(profiler.fill(table, workloads(kinds)))
    return table


def test_disturbed_blocks_are_kept_apart_and_others_run_in_their_place() -> None:
    table = fill(lambda spec, i: 0.5 if spec.kind == "a" and i % 2 else 0.0)
    a, b = measured(table.measurements.values())
    if a.spec.kind == "b":
        a, b = b, a
    assert a.samples_s == pytest.approx([LATENCY_S] * 14)
    assert a.conditions["undisturbed_share"] == pytest.approx(14 / 27, abs=0.02)
    disturbed = str(a.conditions["disturbed_ns"]).split(",")
    assert set(disturbed) == {f"{2e9 * LATENCY_S:.0f}"}
    assert 14 / (14 + len(disturbed)) == pytest.approx(a.conditions["undisturbed_share"], abs=1e-4)
    assert "disturbed_ns" not in b.conditions


def test_a_switch_that_cost_next_to_nothing_disturbed_nothing() -> None:
    (entry,) = measured(fill(lambda *_: 0.004, "a").measurements.values())
    assert len(entry.samples_s) == 14
    assert "disturbed_ns" not in entry.conditions


def test_below_a_third_of_undisturbed_blocks_there_is_no_figure_but_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lost: Lost = lambda spec, i: 0.5 if spec.kind == "a" and i % 4 else 0.0  # noqa: E731
    profiler = Profiler(Fake(lambda _: DeviceState(load=3.25)), Shared(lost), PLAN)
    with (
        LatencyTable.open_for_writing(path, profiler.header()) as table,
        pytest.raises(BusyError, match="too busy to measure networks of this length: 25% of") as busy,
    ):
        list(profiler.fill(table, workloads("abc")))
    assert "at a load of 3.2, and a third is needed" in str(busy.value)
    assert "cpu:N" in str(busy.value)
    table = LatencyTable.open(path)
    assert {spec.kind for spec in table.measurements} == {"b", "c"}
    assert not table.failures
    assert not partial_path(path).exists()


def test_a_machine_that_is_busy_for_a_while_is_waited_for() -> None:
    (entry,) = measured(fill(lambda _, i: 0.05 if i < 60 else 0.0, "a").measurements.values())
    assert len(entry.samples_s) == 28  # of 78 blocks
    assert entry.conditions["precision_reached"] is True
    assert entry.latency_s == pytest.approx(LATENCY_S)


class Turns(Worker):
    """Two processes, the second of which is slower."""

    turns = 2

    def load(self, place: int, workload: Workload) -> None:
        """Nothing is loaded."""

    def run(self, turn: int, blocks: Sequence[tuple[int, int]]) -> Sequence[Block]:
        return [Block(LATENCY_S * (1 + turn / 50), n, process=turn) for _, n in blocks]

    def facts(self, place: int) -> Conditions:
        return {}

    def unload(self, place: int) -> None:
        """Nothing was loaded."""

    def __exit__(self, *_: object) -> None:
        """Nothing is left."""


def test_an_entry_tells_the_samples_of_its_processes_and_lies_between_them() -> None:
    entry = None
    sampling = Sampling(OpSpec("a", (1,)), Turns(), 0, device=Fake(), plan=PLAN)
    for turn in itertools.cycle((0, 1)):
        (block,) = Turns().run(turn, [(0, sampling.calls)])
        entry = sampling.keep(block, {})
        if entry is not None:
            break
    assert isinstance(entry, Measurement)
    assert entry.conditions["process_blocks"] == "7+7"
    assert entry.conditions["undisturbed_share"] == 1.0
    assert entry.latency_s == pytest.approx(1.01 * LATENCY_S)
    first, second = entry.processes_s
    assert first == pytest.approx([LATENCY_S] * 7)
    assert second == pytest.approx([1.02 * LATENCY_S] * 7)


def test_what_is_taken_up_goes_on_in_other_processes() -> None:
    before = Sampling(OpSpec("a", (1,)), Turns(), 0, device=Fake(), plan=PLAN)
    for turn in (0, 1, 0):
        before.keep(Block(LATENCY_S, before.calls, process=turn), {})
    before.keep(Block(2 * LATENCY_S, before.calls, ThreadUse(3, 0.0), process=1), {})
    after = Sampling(OpSpec("a", (1,)), Turns(), 0, device=Fake(), plan=PLAN, earlier=before.blocks({}))
    after.keep(Block(LATENCY_S, after.calls, process=1), {})
    found = after.blocks({})
    assert found.processes == (0, 1, 0, 3)
    assert found.disturbed_s == (2 * LATENCY_S,)
