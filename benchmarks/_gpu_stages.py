"""The stages of ``gpu.py``: each in a process of its own, since one that fails is to cost no other.

usage: python benchmarks/_gpu_stages.py STAGE --folder DIR [--dry-run] [--leave-clocks]

A stage yields what it has found so far, each time all of it; the last of these is in ``DIR/STAGE.json``
however the process ends.
"""

import argparse
import hashlib
import importlib
import itertools
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from _gpu_clocks import leave_clocks
from _gpu_scales import BATCHED, CARD, DRY, IMAGES, TABLE, Scale
from _gpu_session import whole_json

import cars_hw
import devices
from cars_hw import LatencyTable, Run, SearchConfig
from cars_hw.assembly import make_schedule, make_space, make_trainer
from cars_hw.networks.architecture import Architecture
from cars_hw.weights.supernet_trainer import SuperNetTrainer

Found = dict[str, Any]

#: Steps before any is timed: libraries load and choose in the first.
_WARM_UPS = 3
#: What a card is asked for, as its own program names it.
_ASKED = (
    "name,driver_version,memory.total,clocks.sm,clocks.max.sm,temperature.gpu,power.draw,pstate,"
    "clocks_event_reasons.active"
)
_ASKED_WITHIN_S = 5


def card(scale: Scale, folder: Path) -> Iterator[Found]:
    """Tell what card it is, and what software."""
    del folder
    has_cuda = torch.cuda.is_available()
    found: Found = {
        "card": torch.cuda.get_device_name(0) if has_cuda else "",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "nvidia_smi": _nvidia_smi(),
    }
    if has_cuda:
        properties = torch.cuda.get_device_properties(0)
        found["memory_bytes"] = properties.total_memory
        found["capability"] = f"{properties.major}.{properties.minor}"
        found["multiprocessors"] = properties.multi_processor_count
    yield found
    with devices.connect(scale.device) as device:
        found |= {"device": asdict(device.info()), "state": asdict(device.state())}
    yield found


def profile(scale: Scale, folder: Path, table: str = TABLE) -> Iterator[Found]:
    """Measure a table of ``darts`` under torch; an earlier one goes on."""
    config, start_s = scale.config(folder, table), time.perf_counter()
    try:
        filled = cars_hw.profile(config, quality=scale.quality)
    except KeyboardInterrupt:  # at the time limit; what is finished is in the table
        yield {**_held(config), "seconds": time.perf_counter() - start_s}
        raise
    failures = {str(one.spec): f"{one.status}: {one.reason}" for one in filled.failures}
    told = {"were_there": filled.were_there, "failures": failures, "resting_s": filled.resting_s}
    yield {**_held(config), "seconds": time.perf_counter() - start_s, **told}
    if filled.failures:
        raise SystemExit(f"{len(failures)} could not be measured, the first: {next(iter(failures.items()))}")


def _held(config: SearchConfig) -> Found:
    """Return what the table holds, with every sample."""
    table = LatencyTable.open(config.latency.table)
    return {
        "keyed_by": table.header.keyed_by,
        "settings": dict(table.header.settings),
        "version": table.header.runtime_version,
        "entries": {
            str(spec): {"samples_s": list(entry.samples_s), **entry.conditions}
            for spec, entry in table.measurements.items()
        },
    }


def validate(scale: Scale, folder: Path, table: str = TABLE) -> Iterator[Found]:
    """Hold a table against whole networks."""
    start_s = time.perf_counter()
    report = cars_hw.validate(scale.config(folder, table), networks=scale.networks, quality=scale.quality)
    if report is None:
        raise SystemExit("the table could not be validated")
    yield {"seconds": time.perf_counter() - start_s, "says": str(report), **asdict(report)}


def steps(scale: Scale, folder: Path) -> Iterator[Found]:
    """Time steps and evaluations of each way to train."""
    found: Found = {}
    for name, values in scale.variants.items():
        config = scale.config(folder, training=values)
        trainer = make_trainer(config, make_space(config))
        found[name] = _rates(trainer, _members(trainer, scale.members), scale)
        del trainer
        yield found


def search(scale: Scale, folder: Path) -> Iterator[Found]:
    """Search by error, parameters and the latency of the table, where it is whole; an earlier run goes on."""
    run = run_of(scale, folder)
    opened = cars_hw.open_search(run)
    found: Found = {"objectives": list(run.config.search.objectives), "generations": []}
    for generation in itertools.chain(tuple(opened.history), opened.run()):
        found["generations"].append(
            {
                "index": generation.index,
                "seconds": generation.seconds,
                "front": [list(member.costs) for member in generation.front],
            }
        )
        seconds = sum(one["seconds"] for one in found["generations"])
        yield {**found, "seconds": seconds, "ledger": dict(generation.ledger)}


def run_of(scale: Scale, folder: Path) -> Run:
    """Return the run of the search: the one that is there, whatever its objectives, or a new one."""
    path = folder / "run"
    if Run.exists(path):
        return Run.open(path, allow_plugins=[IMAGES])
    objectives = ["error", "parameters"]
    if _is_whole(scale, folder):
        objectives.append("latency_ms")
    return Run.create(path, scale.config(folder, search={"objectives": objectives}))


def export(scale: Scale, folder: Path) -> Iterator[Found]:
    """Export the knee of the run's front in a process that sees no card."""
    if torch.cuda.is_available():
        raise SystemExit("this process sees a card; it is to show that none is needed")
    del scale
    run = Run.open(folder / "run", allow_plugins=[IMAGES])
    written = cars_hw.export(run, ["knee"], to=folder / "export", scale="search", weights="search")
    yield {
        name: {**one.to_json(), "sha256": hashlib.sha256(one.path.read_bytes()).hexdigest()}
        for name, one in written.items()
    }


def paper(scale: Scale, folder: Path) -> Iterator[Found]:
    """Time steps and evaluations at the size of the search of CARS' paper, and count what it would take."""
    del folder
    found: Found = {}
    for name in scale.in_paper:
        config = scale.paper_config(name)
        trainer = make_trainer(config, make_space(config))
        schedule = make_schedule(config, len(trainer.data.training.labels))
        population = int(str(config.strategy.settings["population_size"]))
        rates = _rates(trainer, _members(trainer, scale.members), scale)
        found[name] = {**rates, **asdict(schedule), "population": population}
        del trainer
        yield found


STAGES: dict[str, Callable[[Scale, Path], Iterator[Found]]] = {
    "card": card,
    "profile": profile,
    "validate": validate,
    "steps": steps,
    "search": search,
    "export": export,
    "paper": paper,
    "profile_batched": partial(profile, table=BATCHED),
    "validate_batched": partial(validate, table=BATCHED),
}


def _rates(trainer: SuperNetTrainer, members: Sequence[Architecture], scale: Scale) -> Found:
    """Return seconds of each step, by passes, and of each evaluation; bytes of the card's memory at most."""
    on_card = scale.torch_device != "cpu"
    for _ in range(_WARM_UPS):
        trainer.step([_members(trainer, len(members) + 1)[-1]])
    if on_card:
        torch.cuda.reset_peak_memory_stats()
    passes = [
        _timed(lambda: [trainer.step([member]) for member in members], on_card=on_card)
        for _ in range(scale.passes)
    ]
    evaluations = [
        _timed(partial(trainer.accuracy, member), on_card=on_card) for member in members[: scale.evaluated]
    ]
    return {
        "loss": float(trainer.step([members[0]])),
        "batch_size": trainer.plan.batch_size,
        "fitness_images": len(trainer.data.fitness.labels),
        "step_s": [seconds / len(members) for seconds in passes],
        "evaluation_s": evaluations,
        "peak_bytes": torch.cuda.max_memory_allocated() if on_card else None,
    }


def _timed(work: Callable[[], object], *, on_card: bool) -> float:
    """Return the seconds that ``work`` takes, what it started on the card among it."""
    if on_card:
        torch.cuda.synchronize()
    start_s = time.perf_counter()
    work()
    if on_card:
        torch.cuda.synchronize()
    return time.perf_counter() - start_s


def _members(trainer: SuperNetTrainer, n: int) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [trainer.space.sample(rng) for _ in range(n)]


def _is_whole(scale: Scale, folder: Path) -> bool:
    """Tell whether the table is there, with all that the space needs."""
    config = scale.config(folder)
    if not Path(config.latency.table).exists():
        return False
    try:
        cars_hw.latency_model(make_space(config), LatencyTable.open(config.latency.table))
    except cars_hw.CarsHwError as error:
        print(f"without latency: {error}")
        return False
    return True


def _nvidia_smi() -> str:
    """Return what the card's own program says, or why it does not; empty where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, f"--query-gpu={_ASKED}", "--format=csv"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASKED_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout or done.stderr


def main() -> None:
    """Run one stage."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where whoever started it ignores it
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--leave-clocks", action="store_true")
    options = parser.parse_args()
    if options.leave_clocks:
        leave_clocks(importlib.import_module("pynvml"))
    for found in STAGES[options.stage](DRY if options.dry_run else CARD, options.folder):
        whole_json(options.folder / f"{options.stage}.json", found)


if __name__ == "__main__":
    main()
