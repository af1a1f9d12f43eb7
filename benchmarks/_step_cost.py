"""What a step on shared weights costs, beside the same network in plain torch, and as DARTS computes it.

DARTS C16 with 8 cells on images of 3x32x32. Every side runs forwards, backwards, and clips; ours also draws
and augments its batch. The dense peer runs all operations on all edges; the stand-alone peer has the chosen
ones alone. Architectures are drawn by a seed.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _plain_darts import PlainDarts
from _rows import Row
from _timing import median_row, taken_s
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

from cars_hw.data import Data, ImageSet
from cars_hw.networks.architecture import Architecture
from cars_hw.retraining.trainer import NetworkTrainer
from cars_hw.spaces.darts import Darts
from cars_hw.weights.network import run
from cars_hw.weights.quick import quicken
from cars_hw.weights.retraining_plan import RetrainingPlan
from cars_hw.weights.stepping.sgd import Sgd
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan

_TIMES = 5
_BATCHES = (16, 64)
_TIMES_HOST, _BATCH_HOST = 101, 2
#: Batch, and the largest share of the dense network's memory.
_MEMORY = ((16, 1 / 5), (64, 1 / 6))
_PLAN = TrainingPlan(weight_decay=3e-4)
Step = Callable[[], object]


def images(n: int) -> Data:
    """Return drawn images for training and fitness, ``n`` each."""
    rng = np.random.default_rng(0)
    parts = [
        ImageSet("drawn", rng.integers(0, 256, (n, 3, 32, 32), np.uint8), np.arange(n) % 10, True, "drawn")
        for _ in range(2)
    ]
    return Data(*parts)


def our_trainer(batch: int, *, quick_forms: bool = True) -> SuperNetTrainer:
    """Return shared weights that take steps of ``batch`` images."""
    plan = _PLAN.model_copy(update={"batch_size": batch, "quick_forms": quick_forms})
    return SuperNetTrainer(Darts(), images(256), plan, total_steps=1000)


def plain_step(architecture: Architecture, batch: int, *, dense: bool, last: bool = False) -> Step:
    """Return what takes a step of a plain network.

    Args:
        architecture: Which network.
        batch: Images of the step.
        dense: Whether all operations run.
        last: Whether channels come last in memory.
    """
    genotype = Darts().to_genotype(architecture)
    network = PlainDarts(genotype.normal, genotype.reduce, dense=dense).train()
    layout = torch.channels_last if last else torch.contiguous_format
    convert_conv2d_weight_memory_format(network, layout)
    shown = torch.randn(batch, 3, 32, 32).contiguous(memory_format=layout)
    labels = torch.arange(batch) % 10
    optimizer = torch.optim.SGD(network.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)

    def step() -> None:
        functional.cross_entropy(network(shown), labels).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def our_step(trainer: SuperNetTrainer, architecture: Architecture) -> Step:
    """Return what takes a step of ours, and waits for it."""
    return lambda: float(trainer.step([architecture]))


def _architectures(n: int) -> list[Architecture]:
    rng = np.random.default_rng(1)
    return [Darts().sample(rng) for _ in range(n)]


def dense_rows(quick: bool) -> Iterator[Row]:
    """Hold a step against the dense one, with one-hot weights."""
    for batch in _BATCHES[: 1 if quick else None]:
        trainer = our_trainer(batch)
        ratios = []
        for architecture in _architectures(1 if quick else _TIMES):
            dense, ours = plain_step(architecture, batch, dense=True), our_step(trainer, architecture)
            ours()
            ours_s = [taken_s(ours) for _ in range(3)]
            ratios.append(taken_s(dense) / float(np.median(ours_s)))
        yield _beside("step.dense_ratio", batch, ratios, ">= 16", "all operations")


def plain_rows(quick: bool) -> Iterator[Row]:
    """Hold a step against that of a network that stands alone, as it is written and with channels last."""
    for batch in _BATCHES[: 1 if quick else None]:
        trainer = our_trainer(batch)
        ratios: dict[str, list[float]] = {"plain": [], "channels_last": []}
        for architecture in _architectures(2 if quick else 9):
            ours = our_step(trainer, architecture)
            theirs = {
                name: plain_step(architecture, batch, dense=False, last=name == "channels_last")
                for name in ratios
            }
            steps = {"ours": ours, **theirs}
            taken: dict[str, list[float]] = {name: [] for name in steps}
            for again in range(4):
                for name, step in steps.items():
                    seconds = taken_s(step)
                    if again:  # the first finds memory and chooses algorithms
                        taken[name].append(seconds)
            for name in ratios:
                ratios[name].append(float(np.median(taken["ours"]) / np.median(taken[name])))
        yield _beside("step.plain_ratio", batch, ratios["plain"], "<= 0.65", "stand-alone network")
        goal, peer = "<= 0.90", "stand-alone network, channels last"
        yield _beside("step.channels_last_ratio", batch, ratios["channels_last"], goal, peer)


def quick_rows(quick: bool) -> Iterator[Row]:
    """Hold a step in quick forms against one in torch's: of shared weights, and of a retraining."""
    for batch in _BATCHES[: 1 if quick else None]:
        ours, theirs = our_trainer(batch), our_trainer(batch, quick_forms=False)
        pairs = [(our_step(ours, one), our_step(theirs, one)) for one in _architectures(2 if quick else 9)]
        yield _beside("step.quick_ratio", batch, [_ratio(*pair) for pair in pairs], "", "torch's forms")
    batch = _BATCHES[-1]
    plan, ratios = RetrainingPlan(batch_size=batch, epochs=1), list[float]()
    space = Darts(deploy="search")
    for architecture in _architectures(1 if quick else _TIMES):
        graph = space.deployed(architecture)
        trainer, plain = NetworkTrainer(graph, images(256), plan), NetworkTrainer(graph, images(256), plan)
        quicken(plain.kept(), is_quick=False)
        ratios.append(_ratio(trainer.step, plain.step))
    yield _beside("step.quick_ratio.retraining", batch, ratios, "", "torch's forms")


def _ratio(ours: Step, theirs: Step) -> float:
    """Return the time of one step over that of another, each the median of three."""
    taken = [(taken_s(ours), taken_s(theirs)) for _ in range(4)][1:]
    ours_s, theirs_s = np.median(taken, axis=0)
    return float(ours_s / theirs_s)


def _beside(claim: str, batch: int, ratios: Sequence[float], goal: str, peer: str) -> Row:
    return replace(median_row(f"{claim}.{batch}", ratios, goal), peer=1.0, peer_name=peer)


def host_rows(quick: bool) -> Iterator[Row]:
    """Look at what a step does beside forward, backward, clipping and the optimiser, on a new path each time.

    Of two images, so that little else is measured: the difference to a step of other weights that does
    nothing else.
    """
    trainer, bare = our_trainer(_BATCH_HOST), our_trainer(_BATCH_HOST)
    for architecture in _architectures(12):
        trainer.step([architecture])
    values = []
    rng = np.random.default_rng(2)
    for number in range(5 if quick else _TIMES_HOST):
        architecture = trainer.space.sample(rng)
        pair = [our_step(trainer, architecture), _bare_step(bare, architecture)]
        order = 1 if number % 2 else -1
        first_s, second_s = (taken_s(step) for step in pair[::order])
        values.append(1e3 * order * (first_s - second_s))
    yield median_row("step.host_ms", values, "<= 2", unit="ms")


def _bare_step(trainer: SuperNetTrainer, architecture: Architecture) -> Step:
    """Return what does the same work as a step, of which everything is known beforehand."""
    path = trainer.supernet.path(architecture)
    shown, labels = torch.randn(_BATCH_HOST, 3, 32, 32), torch.arange(_BATCH_HOST)
    optimizer = Sgd(momentum=_PLAN.momentum, weight_decay=_PLAN.weight_decay)
    optimizer.momenta = {parameter: torch.zeros_like(parameter) for parameter in path.parameters}
    rate, is_taken = torch.tensor(0.0), torch.tensor(True)

    def step() -> None:
        logits: Tensor = run(path.graph, path.units, shown)
        functional.cross_entropy(logits, labels).backward()
        nn.utils.clip_grad_norm_(path.parameters, _PLAN.clip_norm)
        optimizer.step(path.parameters, rate, is_taken)
        for parameter in path.parameters:
            parameter.grad = None

    return step


def peak_rows(quick: bool) -> Iterator[Row]:
    """Hold what a step adds to the memory of a process against what the dense one adds."""
    for batch, share in _MEMORY[: 1 if quick else None]:
        ours, dense = _peak_mib("ours", batch), _peak_mib("dense", batch)
        row = Row(f"step.memory_ratio.{batch}", ours / dense, "", f"<= {share:.4g}")
        yield replace(row, peer=1.0, peer_name=f"all operations ({dense:.0f} MiB, ours {ours:.0f})")


def _peak_mib(which: str, batch: int) -> float:
    command = [sys.executable, __file__, which, str(batch)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


def _print_peak(which: str, batch: int) -> None:
    """Print by how many MiB this process grows, at most, in its first step."""
    [architecture] = _architectures(1)
    if which == "dense":
        step = plain_step(architecture, batch, dense=True)
    else:
        step = our_step(our_trainer(batch), architecture)
    before = _status_kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    step()
    print((_status_kib("VmHWM") - before) / 1024)


def _status_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


if __name__ == "__main__":
    _print_peak(sys.argv[1], int(sys.argv[2]))
