"""From a phone to a validated TFLite table and a search on it: the README's commands, timed, but no phone.

Real are the adb daemon, the connection, the files, the programs' starts and ends, the models, and LiteRT,
which computes them; played are the phone's cores, heat and charge, and ``benchmark_model`` is the tests'
stand-in. So the seconds are this machine's, and none of them says how fast a phone is. Run
``scripts/adbd`` first.

Peer of the prediction: the constant predictor, from the same validation.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _rows import Row, finish, parse_options, store, stored

from tests.fakes import programs
from tests.fakes.adb_daemon import real_daemon
from tests.fakes.played_phone import PlayedPhone

_ROOT = Path(__file__).resolve().parent.parent

#: Small networks for small images: the search at the demo's scale is timed by another benchmark.
_CONFIG = """
[space]
name = "darts"
deploy = "search"
channels = 8
cells = 3
image_size = 8
image_channels = 1
[strategy]
population_size = 8
[data]
name = "digits"
fitness_images = 300
[training]
batch_size = 32
crop_padding = 1
recalibration_images = 128
[search]
warm_up_epochs = 2
epochs_per_generation = 1
generations = 3
[latency]
device = "tests.fakes.played_android:tcp:{address}"
runtime = "tflite"
"""


@contextmanager
def played_phone(folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Run the real daemon with a phone behind it; yield its address and the environment to reach it."""
    phone = PlayedPhone(folder / "phone")
    tool = folder / "benchmark_model"
    tool.write_bytes(programs.benchmark_model())
    with real_daemon("open", folder, path=f"{phone.programs}:/usr/bin:/bin") as daemon:
        yield (
            daemon.address,
            {
                **os.environ,
                "HOME": str(folder),
                "PYTHONPATH": str(_ROOT),
                "CARS_HW_PLAYED_PHONE": phone.root,
                "CARS_HW_BENCHMARK_MODEL": str(tool),
            },
        )


def run(environment: Mapping[str, str], *words: str) -> tuple[float, Any]:
    """Run one command of cars-hw; return its seconds and what it printed as JSON.

    Raises:
        SystemExit: It failed; its last line says why.
    """
    start_s = time.perf_counter()
    command = [sys.executable, "-c", "from cars_hw.cli import main; main()", *words, "--json"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"cars-hw {' '.join(words)}: {done.stderr.strip().splitlines()[-1]}")
    return time.perf_counter() - start_s, json.loads(done.stdout)


def measure() -> dict[str, Any]:
    """Run devices, profile, validate, search and export; return their seconds and results."""
    with tempfile.TemporaryDirectory() as name, played_phone(Path(name)) as (address, environment):
        folder = Path(name)
        (folder / "phone.toml").write_text(_CONFIG.format(address=address))
        config = ("--config", str(folder / "phone.toml"), "--table", str(folder / "phone.jsonl"))
        device = ("--device", f"tests.fakes.played_android:tcp:{address}")
        found: dict[str, Any] = {}
        for step, words in {
            "devices": ("devices", *device),
            # A shared machine is in no way steady: its sentinel may drift as it likes.
            "profile": ("profile", *config, "--max-drift", "100"),
            "validate": ("table", "validate", *config, "--max-drift", "100"),
            "search": ("search", *config, "--run", str(folder / "run")),
            "export": ("export", str(folder / "run"), "--format", "tflite", "--pick", "knee"),
        }.items():
            seconds, output = run(environment, *words)
            print(f"{step}: {seconds:.0f} s", file=sys.stderr, flush=True)
            # The output of the other steps names files and addresses of this machine.
            found[step] = {"seconds": seconds, "output": output if step in ("profile", "validate") else None}
        return found


def rows(found: dict[str, Any], source: str) -> list[Row]:
    """Return the claims."""
    profile, validation = _output(found["profile"]), _output(found["validate"])
    # Stored results of before call it accuracy.
    error = validation["prediction_error"] if "prediction_error" in validation else validation["accuracy"]
    floor = validation["noise_floor"]
    seconds = [
        Row(f"phone_path.seconds.{step}", found[step]["seconds"], "s", source=source) for step in found
    ]
    return [
        Row("phone_path.entries", float(profile["measured"]), source=source),
        Row("phone_path.failures", float(len(profile["failed"])), goal="<= 0", source=source),
        Row(
            "phone_path.rmspe",
            error["rmspe_percent"],
            "%",
            floor=floor["rmspe_percent"],
            peer=error["constant_rmspe_percent"],
            peer_name="constant predictor",
            n=error["n"],
            source=source,
        ),
        Row(
            "phone_path.kendall_tau",
            error["kendall_tau"],
            floor=floor["kendall_tau"],
            n=error["n"],
            source=source,
        ),
        *seconds,
    ]


def _output(step: dict[str, Any]) -> Any:
    """Return the JSON that a step printed; stored results of before have it under ``said``."""
    return step["output"] if "output" in step else step["said"]


def main() -> None:
    """Run the whole path, or check the last full run's results again with ``--quick``."""
    options = parse_options(__doc__ or "")
    if options.quick:
        finish(rows(stored("phone_path"), "stored"), options)
    found = measure()
    store("phone_path", found)
    finish(rows(found, "fresh"), options)


if __name__ == "__main__":
    main()
