"""How far torch's eager mode is from a runtime that deploys networks, on the processors of this machine.

Random networks of the usual sizes of each space run under torch and under ONNX Runtime, one thread each,
block by block in turns. A figure is a ratio of seconds of the processor, which a machine that others share
leaves alone: by the 10th percentile of a network's blocks under each, then the median over the networks, with
the 95 % interval of that median by resampling the networks. Without --quick the blocks are stored.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
from _rows import Row, finish, parse_options, store, stored
from numpy.typing import NDArray

import devices
from cars_hw import spaces
from cars_hw.latency.contents import network_workload
from devices import HostDevice
from latency_tables import FAST_MODE_QUANTILE
from profilers import Runtime, Workload, runtimes
from profilers.runtimes import Sampler

#: Of each space, and of each network.
_NETWORKS, _ROUNDS = 8, 10
#: Seconds of a block.
_BLOCK_S = 0.02
_RESULTS = "torch_gap"

SPACES: Mapping[str, Mapping[str, int | str]] = {
    "darts": {"deploy": "search", "channels": 16, "cells": 8},
    "mobilenet": {"deploy": "search"},
    "nasbench201": {"deploy": "search"},
    "nse": {"deploy": "search"},
}

#: Of torch's images, each compared with ONNX Runtime.
LAYOUTS = ("channels_last", "contiguous")
_DEPLOYED = "onnxruntime"

#: By space, for each network the seconds of each block under each runtime.
Raw = dict[str, list[dict[str, list[float]]]]


class _ProcessorTime:
    """A sampler that is asked for the processor's seconds of a call."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._n = 1
        while self._block_s(self._n) < _BLOCK_S:
            self._n *= 2

    def call_s(self) -> float:
        """Run a block; return the seconds that the processor worked for each call."""
        return self._block_s(self._n) / self._n

    def _block_s(self, n: int) -> float:
        start_s = time.process_time()
        self._sampler(n)
        # Beside the calls that count, a block has one before them.
        return (time.process_time() - start_s) * n / (n + 1)


def loaded() -> dict[str, Runtime]:
    """Return every runtime by its name in the results."""
    by_torch = {layout: runtimes.load("torch", layout=layout) for layout in LAYOUTS}
    return {_DEPLOYED: runtimes.load(_DEPLOYED), **by_torch}


def measured(workload: Workload, device: HostDevice) -> dict[str, list[float]]:
    """Return the blocks of a network under every runtime, in turns."""
    blocks = defaultdict[str, list[float]](list)
    with device.quiet(1), ExitStack() as stack:
        timed = {
            name: _ProcessorTime(stack.enter_context(runtime.prepare(workload, device)))
            for name, runtime in loaded().items()
        }
        rng = np.random.default_rng(0)
        for _ in range(_ROUNDS):
            for place in rng.permutation(len(timed)).tolist():
                name = list(timed)[place]
                blocks[name].append(timed[name].call_s())
    return dict(blocks)


def of_space(name: str, device: HostDevice) -> list[dict[str, list[float]]]:
    """Return the same of random networks of the space ``name``."""
    space, rng, found = spaces.load(name, **SPACES[name]), np.random.default_rng(0), []
    for i in range(_NETWORKS):
        found.append(measured(network_workload(space, space.sample(rng)), device))
        print(f"\r{name}: network {i}    ", end="", file=sys.stderr, flush=True)
    return found


def ratios(networks: Sequence[Mapping[str, Sequence[float]]], name: str) -> NDArray[np.float64]:
    """Return how much longer each network takes by ``name`` than by the runtime that deploys it."""
    fast = [
        {key: float(np.quantile(blocks, FAST_MODE_QUANTILE)) for key, blocks in network.items()}
        for network in networks
    ]
    return np.array([network[name] / network[_DEPLOYED] for network in fast])


def rows(raw: Raw, source: str) -> list[Row]:
    """Return the median ratio of each space and way, with its interval."""
    return [_row(ratios(raw[space], name), f"{space}.{name}", source) for space in raw for name in LAYOUTS]


def _row(found: NDArray[np.float64], what: str, source: str) -> Row:
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(found, (2000, found.size)), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return Row(
        f"torch_gap.{what}",
        float(np.median(found)),
        spread=(float(low), float(high)),
        n=found.size,
        source=source,
    )


def main() -> None:
    """Measure everything, or look at the last full run's blocks again with ``--quick``."""
    options = parse_options(__doc__ or "")
    if options.quick:
        finish(rows(stored(_RESULTS), "stored"), options)
    with devices.connect("cpu") as device:
        if not isinstance(device, HostDevice):
            sys.exit("cpu is not of this machine")
        raw = {name: of_space(name, device) for name in SPACES}
    store(_RESULTS, raw)
    finish(rows(raw, "fresh"), options)


if __name__ == "__main__":
    main()
