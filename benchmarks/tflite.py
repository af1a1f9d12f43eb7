"""How long the lowering to TFLite takes for whole networks, and how much of them the delegate runs.

Peer: litert-torch, on one of the networks, in the environment whose interpreter CARS_HW_LITERT_TORCH names
(it does not fit beside our packages); without it, and with --quick, there is no peer.
"""

import argparse
import os
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _rows import Row, finish, parse_options

from cars_hw import spaces
from cars_hw.weights.network import Network
from profilers import TfLiteModel, formats

_NETWORKS = 8
_CONVERSIONS = 3

_CONVERT = """
import sys, time
import litert_torch, torch
program = torch.export.load(sys.argv[1])
start_s = time.perf_counter()
litert_torch.convert(program.module(), program.example_inputs[0])
print(time.perf_counter() - start_s)
"""


def networks() -> list[Network]:
    """Return random networks of the paper's size: 20 cells, 36 channels."""
    space, rng = spaces.load("darts"), np.random.default_rng(0)
    return [
        Network.untrained(space.graph(space.sample(rng), "deploy"), seed=seed).eval()
        for seed in range(_NETWORKS)
    ]


def seconds(network: Network, shape: tuple[int, ...]) -> float:
    """Return how long the lowering takes, the best of several times."""
    taken_s, made_by = [], formats.load("tflite")
    for _ in range(_CONVERSIONS):
        start_s = time.perf_counter()
        made_by.lower(network, [shape])
        taken_s.append(time.perf_counter() - start_s)
    return min(taken_s)


def peer_seconds(network: Network, shape: tuple[int, ...]) -> float | None:
    """Return how long litert-torch takes, once; ``None`` where it is not installed."""
    python = os.environ.get("CARS_HW_LITERT_TORCH")
    if not python:
        return None
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.export's own
        program = Path(folder) / "network.pt2"
        torch.export.save(torch.export.export(network, (torch.zeros(shape),)), program)
        done = subprocess.run(
            [python, "-c", _CONVERT, str(program)], check=True, capture_output=True, text=True
        )
    return float(done.stdout.strip().splitlines()[-1])


def main(options: argparse.Namespace) -> None:
    """Lower the networks; ask the delegate what it runs of them."""
    found, shape = networks(), (1, *spaces.load("darts").image_shape)
    taken_s = [seconds(network, shape) for network in found]
    peer_s = None if options.quick else peer_seconds(found[0], shape)
    outside = []
    for network in found:
        model = TfLiteModel(formats.load("tflite").lower(network, [shape]))
        model.allocate()
        outside.append(model.nodes_outside())
    low_s, high_s = np.quantile(taken_s, [0.025, 0.975])
    rows = [
        Row(
            "tflite.convert_s",
            float(np.median(taken_s)),
            "s",
            spread=(float(low_s), float(high_s)),
            peer=peer_s,
            peer_name="litert-torch",
            n=_NETWORKS,
        ),
        Row("tflite.operations_outside_delegate", float(max(outside)), "", "<= 0", n=_NETWORKS),
    ]
    finish(rows, options)


if __name__ == "__main__":
    main(parse_options(__doc__ or ""))
