"""What it costs to count what ONNX Runtime executes of a candidate: CPU time, every operation lowered before.

The demo's space, and DARTS with 16 channels in 8 cells; random candidates, none counted before. Peer:
lowering the whole network by torch and optimising that, from the same run.
"""

import time
from collections.abc import Callable, Sequence
from importlib import resources

import numpy as np
from _rows import Row, finish, parse_options

from cars_hw import spaces
from cars_hw.assembly import make_space
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import network_workload
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from devices import connect
from profilers import runtimes

_CANDIDATES, _EXPORTED = 200, 8
_QUICK = 40

_LARGER: dict[str, int | str] = {"deploy": "search", "channels": 16, "cells": 8, "image_size": 32}


def cpu_ms(work: Callable[[Architecture], object], architectures: Sequence[Architecture]) -> list[float]:
    """Return the milliseconds of CPU that ``work`` takes for each."""
    taken = []
    for architecture in architectures:
        before_s = time.process_time()
        work(architecture)
        taken.append((time.process_time() - before_s) * 1e3)
    return taken


def rows(name: str, space: SearchSpace, n: int) -> list[Row]:
    """Return the claims for one space."""
    runtime, device = runtimes.load("onnxruntime"), connect("cpu")
    counter = runtime.counter(modules.build)
    rng = np.random.default_rng(0)
    architectures = [space.sample(rng) for _ in range(n)]
    start_s = time.process_time()
    for architecture in architectures:  # lowers what they consist of
        counter.executed(space.deployed(architecture).nodes)
    lowering_s = time.process_time() - start_s
    fresh = [space.sample(rng) for _ in range(n)]
    counted = cpu_ms(lambda architecture: counter.executed(space.deployed(architecture).nodes), fresh)
    exported = cpu_ms(
        lambda architecture: runtime.executed(network_workload(space, architecture), device),
        fresh[:_EXPORTED],
    )
    median, worst = (float(np.quantile(counted, share)) for share in (0.5, 0.95))
    peer = float(np.median(exported))
    spread = (float(np.quantile(counted, 0.05)), worst)
    claim = f"prediction.{name}candidate_ms"
    return [
        Row(claim, median, "ms", "<= 30", spread, None, peer, "torch export", n=n),
        Row(f"prediction.{name}first_candidates_s", lowering_s, "s", n=n),
    ]


def main() -> None:
    """Print the rows."""
    options = parse_options(__doc__ or "")
    n = _QUICK if options.quick else _CANDIDATES
    with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
        demo = make_space(SearchConfig.load(path, {}))
    found = rows("", demo, n)
    if not options.quick:
        found += rows("darts_c16_l8.", spaces.load("darts", **_LARGER), n)
    finish(found, options)


if __name__ == "__main__":
    main()
