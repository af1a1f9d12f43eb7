"""What a latency table of 200 000 entries takes to be opened: time and memory, each in a child process.

The entries look like those of ``profile``: samples, and the conditions that this machine reports. Memory is
what the process has in the end with Python and numpy in it. The time is the ratio of CPU time to that of
``json.loads`` of the same lines, which checks nothing and keeps nothing: both in turns in one process, the
median of three. ``--quick`` opens a tenth of the entries, and its goal is that share of the memory beyond
what an empty table takes.
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _rows import Row, finish, parse_options

from devices import DeviceInfo
from latency_tables import CALL_OVERHEAD, Conditions, LatencyTable, Measurement, OpSpec, TableHeader

_ENTRIES = 200_000
_BATCH = 5_000
_TRIES = 3
_RATIO, _MEMORY_MB = 6.0, 300.0

_OPEN = """
import json, resource, statistics, sys, time
from latency_tables import LatencyTable
path, tries = sys.argv[1], int(sys.argv[2])
table = LatencyTable.open(path)
memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
entries, ratios = len(table), []
del table
for _ in range(tries):
    start_s = time.process_time()
    with open(path, "rb") as lines:
        for line in lines:
            json.loads(line[line.index(b"{"):])
    between_s = time.process_time()
    LatencyTable.open(path)
    ratios.append((time.process_time() - between_s) / (between_s - start_s))
print(json.dumps({"entries": entries, "memory_mb": memory_mb, "ratio": statistics.median(ratios)}))
"""


def write(path: Path, entries: int, samples: int) -> None:
    """Write a table of so many entries with so many samples each."""
    rng = np.random.default_rng(0)
    header = TableHeader(DeviceInfo("fake", "none", "none", "none", cores=1), "fake", "0", threads=1)
    with LatencyTable.create(path, header) as table:
        table.add(Measurement(CALL_OVERHEAD, (1e-6,)))
        for start in range(1, entries, _BATCH):
            batch = range(start, min(start + _BATCH, entries))
            table.add(*(_entry(number, rng.uniform(1e-4, 2e-4, samples).tolist()) for number in batch))


def _written(path: Path, entries: int, samples: int) -> Path:
    """Write it in a process of its own: a child's memory begins at that of the process that starts it."""
    writer = multiprocessing.get_context("spawn").Process(target=write, args=(path, entries, samples))
    writer.start()
    writer.join()
    return path


def _entry(number: int, samples_s: list[float]) -> Measurement:
    channels = number % 512 + 1
    spec = OpSpec.of("sep_conv", (1, channels, 32, number // 512 + 1), kernel=3, out=channels, stride=1)
    conditions: Conditions = {
        "inner_calls": 16,
        "rounds": len(samples_s),
        "precision_reached": True,
        "seed": 0,
        "started": f"2026-01-01T00:{number // 60 % 60:02d}:{number % 60:02d}+00:00",
        "load_before": number / 7,
        "load_after": number / 3,
        "steal_s": number / 11,
        "clock_mhz": 2200.0,
        "governor": "performance",
        "is_clock_fixed": False,
        "affinity": "1",
        "threads": 1,
    }
    return Measurement(spec, tuple(samples_s), conditions)


def opened(path: Path, tries: int = _TRIES) -> dict[str, float]:
    """Open a table in a process of its own; return entries, megabytes and the ratio of CPU times."""
    command = [sys.executable, "-c", _OPEN, str(path), str(tries)]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def main() -> None:
    """Write and open a table with 1 and with 30 samples an entry."""
    options = parse_options(__doc__.splitlines()[0])
    share = 0.1 if options.quick else 1.0
    entries, rows = int(share * _ENTRIES), []
    with tempfile.TemporaryDirectory() as folder:
        empty_mb = opened(_written(Path(folder) / "empty.jsonl", 1, 1))["memory_mb"]
        memory_mb = empty_mb + share * (_MEMORY_MB - empty_mb)
        for samples in (1, 30):
            found = opened(_written(Path(folder) / f"{samples}.jsonl", entries, samples))
            claim = f"table_size.samples_{samples}"
            rows += [
                Row(f"{claim}.open_ratio", found["ratio"], "", f"<= {_RATIO:g}", n=entries),
                Row(f"{claim}.memory_mb", found["memory_mb"], "MB", f"<= {memory_mb:g}", n=entries),
            ]
    finish(rows, options)


if __name__ == "__main__":
    main()
