"""From a phone to a prediction: the real adb daemon, a played phone behind it, a tool that really runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cars_hw.latency.contents import TableContents
from cars_hw.latency.model import latency_model
from cars_hw.testing._entries import measured
from devices import _adb
from devices._errors import DeviceLostError
from devices.android import Android
from latency_tables.table import LatencyTable
from profilers.plan import MeasurementPlan, SentinelPlan
from profilers.profiler import Profiler
from profilers.runtimes._tflite import remote
from profilers.runtimes.onnxruntime import OnnxRuntime
from profilers.runtimes.tflite import TfLite
from tests.fakes import programs
from tests.fakes.adb_daemon import RealDaemon, real_daemon
from tests.fakes.adb_device import FakeAdbDevice
from tests.fakes.played_phone import PlayedPhone
from tests.fakes.two_options import TwoOptions

SPACE = TwoOptions()

#: This machine is shared and in no way steady, so its sentinel may drift as it likes.
PLAN = MeasurementPlan(
    block_s=0.02,
    min_rounds=3,
    spread_s=0.0,
    max_rounds=3,
    first_calls=3,
    sentinel=SentinelPlan(blocks_between=8, max_drift=1e6, block_s=0.01, rest_s=1.0),
)


@dataclass
class Bench:
    """A phone on the real daemon, and the tool for it.

    Attributes:
        daemon: What the phone is reached by.
        phone: Its files, heat and charge.
        tool: Path of the tool here.
    """

    daemon: RealDaemon
    phone: PlayedPhone
    tool: str

    @contextmanager
    def profiler(self, plan: MeasurementPlan = PLAN) -> Iterator[Profiler]:
        """Connect anew."""
        transport = _adb.connect(f"tcp:{self.daemon.address}")
        with Android(transport, root=self.phone.root, sleep=self.phone.sleep) as device:
            yield Profiler(device, TfLite(benchmark_binary=self.tool), plan)

    def fill(self, path: Path, *, unplugged_after: int | None = None, group_size: int = 128) -> int:
        """Measure what the table lacks; return how many entries came, until the cable was pulled."""
        n, plan = 0, replace(PLAN, group_size=group_size)
        with self.profiler(plan) as profiler, LatencyTable.open_for_writing(path, profiler.header()) as table:
            for n, _ in enumerate(profiler.fill(table, TableContents(SPACE).workloads()), start=1):
                if n == unplugged_after:
                    self.daemon.stop()
        return n


@pytest.fixture
def bench(phone: PlayedPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("PATH", f"{phone.programs}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(remote, "_WARM_UP_S", 0.0)
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(programs.benchmark_model())
    with real_daemon("open", tmp_path) as daemon:
        yield Bench(daemon, phone, str(tool))


def test_a_table_measured_over_the_real_daemon_predicts_the_networks_of_its_space(
    bench: Bench, tmp_path: Path
) -> None:
    path = tmp_path / "phone.jsonl"
    assert bench.fill(path) == len(TableContents(SPACE).specs)
    table = LatencyTable.open(path)
    assert not table.failures
    for entry in table.measurements.values():
        assert entry.conditions["output_compared"] is True
        assert entry.conditions["nodes_outside"] == 0
        assert entry.conditions["sentinel_s"] > 0  # type: ignore[operator]
        assert len(entry.samples_s) == PLAN.max_rounds
    assert table.header.device.kind == "android"
    assert "SHA-256" in table.header.runtime_version
    assert str(tmp_path) not in path.read_text()  # no path of this machine, and so none of its user
    predictor = latency_model(SPACE, table)
    small, large = (predictor.predict(choice) for choice in ((0, 0), (1, 0)))
    assert 0 < small.latency_s < large.latency_s
    assert bench.fill(path) == 0


@pytest.mark.slow
@pytest.mark.parametrize("unplugged_after", [1, 2, 3, 4])
def test_fault_01_unplugged_after_an_entry_nothing_is_lost_and_nothing_measured_twice(
    bench: Bench, tmp_path: Path, unplugged_after: int
) -> None:
    path = tmp_path / "phone.jsonl"
    with pytest.raises(DeviceLostError):
        bench.fill(path, unplugged_after=unplugged_after, group_size=2)
    bench.daemon.start()
    kept = LatencyTable.open(path)
    assert len(kept) >= unplugged_after
    assert not kept.failures
    assert bench.fill(path) == len(TableContents(SPACE).specs) - len(kept)
    table = LatencyTable.open(path)
    assert set(table.measurements) == set(TableContents(SPACE).specs)
    for spec, entry in kept.measurements.items():
        assert table[spec].samples_s == entry.samples_s
    assert not [name for name in bench.phone.ours() if name.startswith(("run-", "new-"))]


@pytest.mark.slow  # that the heat is waited for, tests/faults shows by default
def test_a_phone_that_heats_up_is_waited_for_and_the_wait_is_told(bench: Bench, tmp_path: Path) -> None:
    phone = bench.phone

    def cool_down(phone: PlayedPhone) -> None:
        phone.heat(status=0 if phone.now_s >= 2.5 else 4, skin_c="30.0")

    phone.script = cool_down
    phone.heat(status=4, skin_c="44.0")
    with bench.profiler() as profiler:
        assert len(measured(profiler.measure(TableContents(SPACE).workloads()[:1]))) == 1
        assert profiler.resting_s == phone.now_s == 2.5


@pytest.mark.slow
def test_the_fake_device_takes_the_same_path_and_onnxruntime_too(
    phone: PlayedPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{phone.programs}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    tool = tmp_path / "onnxruntime_perf_test"
    tool.write_bytes(programs.perf_test())
    with ExitStack() as stack:
        fake = stack.enter_context(FakeAdbDevice(Path("/")))
        transport = _adb.connect(f"tcp:127.0.0.1:{fake.port}")
        device = stack.enter_context(Android(transport, root=phone.root, sleep=phone.sleep))
        profiler = Profiler(device, OnnxRuntime(benchmark_binary=str(tool)), PLAN)
        (entry,) = measured(profiler.measure(TableContents(SPACE).workloads()[:1]))
    assert entry.conditions["output_compared"] is False
