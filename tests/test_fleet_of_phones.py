"""Two phones of one model, played, share a table: real shells, real models, one of them unplugged midway."""

from pathlib import Path

import pytest

from cars_hw.latency.contents import TableContents
from devices.android import Android
from latency_tables.table import LatencyTable
from profilers.fleet import Fleet
from profilers.parts import parts_of
from profilers.plan import MeasurementPlan, SentinelPlan
from profilers.runtimes._tflite import remote
from profilers.runtimes.tflite import TfLite
from tests.fakes import programs
from tests.fakes.played_phone import SERIAL, PlayedPhone, PlayedTransport
from tests.fakes.two_options import TwoOptions

_SERIALS = ("A11111111111", "B22222222222")
WORKLOADS = TableContents(TwoOptions()).workloads()
CONTROLS = WORKLOADS[-1:]

#: This machine is shared and in no way steady, so its sentinel may drift as it likes.
PLAN = MeasurementPlan(
    block_s=0.02,
    min_rounds=3,
    spread_s=0.0,
    max_rounds=3,
    first_calls=3,
    sentinel=SentinelPlan(blocks_between=8, max_drift=1e6, block_s=0.01, rest_s=1.0),
)


def played(folder: Path, serial: str) -> tuple[Android, PlayedTransport]:
    """Return a phone of that serial number, and the cable to it."""
    phone = PlayedPhone(folder)
    phone.write("getprop", phone.read("getprop").replace(SERIAL, serial))
    transport = phone.transport()
    return Android(transport, root=phone.root, sleep=phone.sleep), transport


@pytest.mark.slow
def test_two_phones_fill_one_table_though_one_is_unplugged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_WARM_UP_S", 0.0)
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(programs.benchmark_model())
    path = tmp_path / "phones.jsonl"
    (first, cable), (second, _) = (played(tmp_path / serial[0], serial) for serial in _SERIALS)
    with first, second:
        members = [(phone, TfLite(benchmark_binary=str(tool))) for phone in (first, second)]
        fleet = Fleet(members, PLAN, tolerance=1e6)
        serials = {phone.info().serial_hash for phone in (first, second)}
        entries = fleet.fill(path, WORKLOADS, CONTROLS)
        next(entries)
        cable.calls_until_lost = 0
        list(entries)
    table = LatencyTable.open(path)
    assert table.missing([workload.spec for workload in WORKLOADS]) == ()
    assert not table.failures
    assert set(table.header.device.serials) == serials
    assert parts_of(path) == []
    assert not any(serial in path.read_text() for serial in _SERIALS)
    assert len(fleet.lost) <= 1
