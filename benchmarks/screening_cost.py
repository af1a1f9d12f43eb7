"""What screening costs by a table of units, and how far its choice is that of counting everything.

The demo's space, and DARTS with 16 channels in 8 cells without ``--quick``; 128 evaluated networks, of whose
pool of 2000 another 128 are chosen by error, parameters and latency. Units are counted by ONNX Runtime; what
they take is made up from what they multiply, read and write, so that no measuring stands between the choices.
Linear algebra has one thread: others count as CPU seconds while they wait in a busy loop.
Peer: the same screening where each network of the pool is counted.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import numpy as np
from _rows import Row, finish, parse_options

from cars_hw import spaces
from cars_hw.assembly import make_space
from cars_hw.candidate import Candidate
from cars_hw.config import SearchConfig
from cars_hw.evolution.screening import Screen
from cars_hw.latency.counting import CountedHere, NetworkCounts
from cars_hw.latency.prediction import UnitPredictor
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Latency, Parameters
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from devices import connect
from latency_tables import CALL_OVERHEAD, ExecutedGraph, LatencyTable, Measurement, OpSpec, unit_work
from profilers import Profiler, UnitCounter, runtimes

_POPULATION, _CALIBRATION, _POOL, _QUICK_POOL = 128, 16, 2000, 400

#: What is chosen takes as long to count as random networks do, up to chance.
_CHANCE = 1.2

_LARGER: dict[str, int | str] = {"deploy": "search", "channels": 16, "cells": 8, "image_size": 32}


@dataclass(frozen=True)
class TimedCounts(CountedHere):
    """Counts, and keeps the CPU seconds that each network took."""

    taken_s: list[float] = field(default_factory=list)

    def graphs(self, architectures: Sequence[Architecture]) -> list[ExecutedGraph]:
        """Count each."""
        return [self._timed(one) for one in architectures]

    def _timed(self, architecture: Architecture) -> ExecutedGraph:
        graph, before_s = self.space.deployed(architecture), time.process_time()
        found = self.counter.executed(graph.nodes)
        self.taken_s.append(time.process_time() - before_s)
        return found


def unit_s(unit: OpSpec) -> float:
    """Return the seconds that a unit takes here: those of a call, its dispatch and its work."""
    work = unit_work(unit)
    return 1e-6 + 5e-7 + work.macs / 2e10 + work.elements / 4e9


def predictor(space: SearchSpace, source: TimedCounts) -> UnitPredictor:
    """Return the predictor by a table of the made-up seconds."""
    runtime = runtimes.load("onnxruntime")
    table = LatencyTable.in_memory(Profiler(connect("cpu"), runtime).header("units"))
    networks = drawn(space, _CALIBRATION, seed=0)
    counted = [graph.counts for graph in source.graphs(networks)]
    units = dict.fromkeys(unit for counts in counted for unit in counts)
    table.add(Measurement(CALL_OVERHEAD, (1e-6,)), *(Measurement(unit, (unit_s(unit),)) for unit in units))
    latencies_s = [
        1e-6 + sum(0.9 * n * (unit_s(unit) - 1e-6) for unit, n in counts.items()) for counts in counted
    ]
    return UnitPredictor(table, NetworkCounts(source), list(zip(networks, latencies_s, strict=True)))


def drawn(space: SearchSpace, n: int, seed: int) -> list[Architecture]:
    """Return up to ``n`` random architectures."""
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(space.sample(rng) for _ in range(n)))


def screen(
    costs: Sequence[Callable[[Architecture], float]], known: Sequence[Candidate], pool_size: int
) -> Screen:
    """Return a screen that has seen ``known``."""
    found = Screen(costs, violation=lambda _: 0.0, pool_size=pool_size)
    found.learn(known)
    return found


def evaluated(space: SearchSpace, latency_ms: Latency) -> list[Candidate]:
    """Return candidates whose errors fall with their parameters, but for chance."""
    rng, parameters = np.random.default_rng(1), Parameters(space)
    return [
        Candidate(
            one,
            (0.3 - 0.02 * np.log(parameters(one)) + 0.01 * rng.random(), parameters(one), latency_ms(one)),
        )
        for one in drawn(space, _POPULATION, seed=1)
    ]


def rows(name: str, space: SearchSpace, compared: int) -> list[Row]:
    """Return the claims for one space; choices are compared on a pool of ``compared``."""
    counter: UnitCounter = runtimes.load("onnxruntime").counter(modules.build)
    source = TimedCounts(space, counter)
    latency_ms, parameters = Latency(predictor(space, source)), Parameters(space)
    known = evaluated(space, latency_ms)
    estimate = latency_ms.estimator({one.architecture: one.costs[2] for one in known})
    candidate_s = float(np.median(source.taken_s))  # of random ones
    source.taken_s.clear()
    before_s = time.process_time()
    chosen = screen([parameters, latency_ms], known, _POOL)(lambda n: drawn(space, n, seed=2), _POPULATION)
    total_s, counting_s = time.process_time() - before_s, sum(source.taken_s)
    n_counted = len(source.taken_s)
    off = np.array([estimate(one) / latency_ms(one) - 1 for one in chosen])

    def exact_ms(architecture: Architecture) -> float:
        return latency_ms(architecture)

    by_estimates, by_counts = (
        set(screen([parameters, cost], known, compared)(lambda n: drawn(space, n, seed=3), _POPULATION // 2))
        for cost in (latency_ms, exact_ms)
    )
    shared = len(by_estimates & by_counts) / len(by_counts)
    return [
        Row(f"screening.{name}seconds", total_s - counting_s, "s", "<= 1.0", n=_POOL),
        Row(
            f"counting.{name}seconds",
            counting_s,
            "s",
            f"<= {_CHANCE * _POPULATION * candidate_s:.3g}",
            peer=_POOL * candidate_s,
            peer_name="the whole pool",
            n=n_counted,
        ),
        Row(f"screening.{name}estimate_rmspe", 100 * float(np.sqrt(np.mean(off**2))), "%", n=len(off)),
        Row(f"screening.{name}same_choice", 100 * shared, "%", n=len(by_counts)),
    ]


def main() -> None:
    """Print the rows."""
    options = parse_options(__doc__ or "")
    with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
        demo = make_space(SearchConfig.load(path, {}))
    found = rows("", demo, _QUICK_POOL if options.quick else _POOL)
    if not options.quick:
        found += rows("darts_c16_l8.", spaces.load("darts", **_LARGER), _POOL)
    finish(found, options)


if __name__ == "__main__":
    main()
