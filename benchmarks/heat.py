"""A table filled while a phone heats up: four real phones' traces, played, and no entry of another speed.

Each trace (megadetector-int8-ptq, MIT: half an hour of load, a row a minute) is replayed by a played phone,
whose clock is scripted: ``tests/fakes/heated_phone.py`` says how it recovers at rest, which no trace shows.
So accepted, refused, rests and deviations are computed, and no second of them is a phone's.

Peer: the same plan without a gate.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from _rows import Row, finish, parse_options

from latency_tables import LatencyTable, OpSpec
from profilers import MeasurementPlan, Profiler, Workload
from tests.fakes.heated_phone import HeatedPhone, HeatedRuntime, HeatTrace, largest_deviation

_TRACES = Path(os.environ.get("CARS_HW_DATA", Path(__file__).parents[2] / "shared" / "data")) / "heat_traces"

#: Operations of a table; with ``--quick`` fewer.
_OPERATIONS, _FEWER = 200, 80

#: As for phones; goal and limit of the gate are one.
_PLAN = MeasurementPlan.for_phones()
_MAX_DRIFT = 0.05


def fill(trace: HeatTrace, plan: MeasurementPlan, n: int, folder: Path) -> tuple[LatencyTable, Profiler]:
    """Fill a table of ``n`` operations, of 1 to 7 ms, on a phone that follows ``trace``."""
    latency_s = _latencies_s(n)
    phone = HeatedPhone(folder, trace)
    with phone.device() as device:
        profiler = Profiler(device, HeatedRuntime(phone, latency_s), plan)
        table = LatencyTable.in_memory(profiler.header())
        specs = [OpSpec.of(kind, (1, 8, 4, 4)) for kind in latency_s if kind != "sentinel"]
        for _ in profiler.fill(table, [Workload(spec, Path("nothing is read")) for spec in specs]):
            pass
        return table, profiler


def _latencies_s(n: int) -> dict[str, float]:
    return {"sentinel": 1e-3, **{f"k{i}": 1e-3 * (1 + i % 7) for i in range(n)}}


def rows(name: str, n: int, folder: Path) -> list[Row]:
    """Return the claims about one trace."""
    trace, latency_s = HeatTrace.read(_TRACES / f"{name}.csv"), _latencies_s(n)
    gated, profiler = fill(trace, _PLAN, n, folder / "gated")
    open_, _ = fill(trace, replace(_PLAN, sentinel=None), n, folder / "open")
    deviation = largest_deviation(gated.measurements.values(), latency_s)
    return [
        Row(f"heat.{name}.accepted", len(gated), n=n),
        Row(f"heat.{name}.refused", len(gated.failures), n=n),
        Row(f"heat.{name}.resting_s", profiler.resting_s, "s", n=n),
        Row(
            f"heat.{name}.largest_deviation",
            deviation,
            goal=f"<= {_MAX_DRIFT}",
            peer=largest_deviation(open_.measurements.values(), latency_s),
            peer_name="without a gate",
            n=len(gated),
        ),
    ]


def main() -> None:
    """Replay all traces."""
    options: argparse.Namespace = parse_options(__doc__ or "")
    names = sorted(path.stem for path in _TRACES.glob("*.csv"))
    if not names:
        sys.exit(f"{_TRACES} holds no trace; set CARS_HW_DATA to the folder of published figures")
    n = _FEWER if options.quick else _OPERATIONS
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # where the played phone's locks lie
        for name in names:
            found += rows(name, n, Path(folder) / name)
    finish(found, options)


if __name__ == "__main__":
    main()
