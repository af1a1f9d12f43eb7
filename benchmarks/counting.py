"""What it costs to count what ONNX Runtime executes of a candidate: CPU time, every operation lowered before.

The demo's space, and DARTS with 16 channels in 8 cells; random candidates, none counted before. Peer:
lowering the whole network by torch and optimising that, from the same run. ``--quick`` judges what the last
full run stored.
"""

import time
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import numpy as np
from _rows import Row, finish, parse_options, store, stored

from cars_hw import spaces
from cars_hw.assembly import make_space
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import network_workload
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from devices import connect
from profilers import runtimes

_RESULTS = "counting"
_CANDIDATES, _EXPORTED = 200, 8

_LARGER: dict[str, int | str] = {"deploy": "search", "channels": 16, "cells": 8, "image_size": 32}


def cpu_ms(work: Callable[[Architecture], object], architectures: Sequence[Architecture]) -> list[float]:
    """Return the milliseconds of CPU that ``work`` takes for each."""
    taken = []
    for architecture in architectures:
        before_s = time.process_time()
        work(architecture)
        taken.append((time.process_time() - before_s) * 1e3)
    return taken


def counted(space: SearchSpace) -> dict[str, Any]:
    """Return what counting took: milliseconds of each candidate, and seconds of the first ones together."""
    runtime, device = runtimes.load("onnxruntime"), connect("cpu")
    counter = runtime.counter(modules.build)
    rng = np.random.default_rng(0)

    def count(architecture: Architecture) -> None:
        counter.executed(space.deployed(architecture).nodes)

    def export(architecture: Architecture) -> None:
        runtime.executed(network_workload(space, architecture), device)

    first, fresh = ([space.sample(rng) for _ in range(_CANDIDATES)] for _ in range(2))
    return {
        "first_candidates_s": sum(cpu_ms(count, first)) / 1e3,  # lowers what all of them consist of
        "candidate_ms": cpu_ms(count, fresh),
        "exported_ms": cpu_ms(export, fresh[:_EXPORTED]),
    }


def rows(name: str, raw: dict[str, Any], source: str) -> list[Row]:
    """Return the claims for one space."""
    candidate_ms = np.array(raw["candidate_ms"])
    low, median, high = (float(np.quantile(candidate_ms, share)) for share in (0.05, 0.5, 0.95))
    return [
        Row(
            f"counting.{name}.candidate_ms",
            median,
            "ms",
            "<= 30",
            spread=(low, high),
            peer=float(np.median(raw["exported_ms"])),
            peer_name="torch export",
            n=len(candidate_ms),
            source=source,
        ),
        Row(
            f"counting.{name}.first_candidates_s",
            raw["first_candidates_s"],
            "s",
            n=len(candidate_ms),
            source=source,
        ),
    ]


def main() -> None:
    """Count in both spaces, or judge what was stored."""
    options = parse_options(__doc__ or "")
    if options.quick:
        raw, source = stored(_RESULTS), "stored"
    else:
        with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
            demo = make_space(SearchConfig.load(path, {}))
        raw = {"demo": counted(demo), "darts_c16_l8": counted(spaces.load("darts", **_LARGER))}
        store(_RESULTS, raw)
        source = "fresh"
    finish([row for name, one in raw.items() for row in rows(name, one, source)], options)


if __name__ == "__main__":
    main()
