"""What an evaluation costs, how its recalibration ranks networks, and what a search does beside.

Times are CPU time of this process; ratios are the median over repetitions in which both sides take turns.
Linear algebra has one thread.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _rows import Row, finish, option_parser
from _step_cost import images
from _timing import TIMES, median_row, taken_s
from scipy.stats import kendalltau
from screening_cost import TimedCounts, predictor

from cars_hw.assembly import make_images, make_schedule, make_space
from cars_hw.config import SearchConfig
from cars_hw.ledger import Weights
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Latency, Parameters
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.search import Search
from cars_hw.spaces.darts import Darts
from cars_hw.strategies.cars import Cars
from cars_hw.weights import modules
from cars_hw.weights.batch_norm import Recalibration, recalibration_batches
from cars_hw.weights.stepping.readings import Reading
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan
from profilers import runtimes

#: No image is spared.
_ALL = {"fitness_share": 1.0, "recalibration_share": 1.0}
#: Images of a batch in commit dfa3b7b, whatever its tensors take.
_BEFORE_BATCH = 256
_SHARES = 9
_RANKED, _SEEDS, _RANKED_IMAGES, _MANY_IMAGES = 40, (0, 1, 2, 3, 4), (64, 96, 128, 256), 2048


def demo_config() -> SearchConfig:
    """Return the demo's configuration."""
    with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
        return SearchConfig.load(path, {})


class TimedTrainer(SuperNetTrainer):
    """The demo's trainer, which keeps the CPU seconds of its steps and evaluations.

    Args:
        seed: Of everything that is drawn.
        plan: What else than in the demo holds of training.
    """

    def __init__(self, seed: int = 0, /, **plan: float) -> None:
        config, self.inside_s = demo_config(), 0.0
        found = make_images(config)
        self.schedule = make_schedule(config, len(found.training.labels))
        super().__init__(
            make_space(config),
            found,
            config.training.model_copy(update=plan),
            total_steps=self.schedule.total_steps,
            seed=seed,
        )

    def step(self, architectures: Sequence[Architecture]) -> Reading:
        """Take a step."""
        before_s = time.process_time()
        loss = super().step(architectures)
        self.inside_s += time.process_time() - before_s
        return loss

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        """Evaluate."""
        before_s = time.process_time()
        found = super().accuracy(architecture, weights)
        self.inside_s += time.process_time() - before_s
        return found


@torch.inference_mode()
def pass_before(trainer: SuperNetTrainer, architecture: Architecture) -> int:
    """Return how many fitness images are classified rightly, counted as commit dfa3b7b did."""
    network, right = trainer.supernet.extract(architecture), 0
    recalibration = Recalibration(network)
    for number, batch in enumerate(recalibration_batches(trainer.recalibration_images, _BEFORE_BATCH)):
        recalibration.take(batch, number)
    shown, labels = trainer.fitness
    for start in range(0, len(labels), _BEFORE_BATCH):
        recalibration.end()
        rows = slice(start, start + _BEFORE_BATCH)
        logits = network(shown[rows])
        right += int(((logits.argmax(1) == labels[rows]) & logits.isfinite().all(1)).sum())
    return right


def ratio_rows(quick: bool) -> Iterator[Row]:
    """Hold an evaluation against the same one before: of DARTS C16 with 8 cells, and of the demo."""
    plan = TrainingPlan(recalibration_images=256)
    large = SuperNetTrainer(Darts(), images(512 if quick else 1024), plan, total_steps=1)
    yield _ratio("evaluation.ratio.c16", large, 1 if quick else 5, ">= 1.6")
    yield _ratio("evaluation.ratio.demo", TimedTrainer(**_ALL), 3 if quick else 2 * TIMES, ">= 1.0")


def _ratio(claim: str, trainer: SuperNetTrainer, n: int, goal: str) -> Row:
    ratios = []
    for architecture in _drawn(trainer, n + 1):

        def before(one: Architecture = architecture) -> object:
            return pass_before(trainer, one)

        def now(one: Architecture = architecture) -> object:
            return trainer.accuracy(one)

        ratios.append(taken_s(before) / taken_s(now))
    return replace(median_row(claim, ratios[1:], goal), peer=1.0, peer_name="commit dfa3b7b")


def _drawn(trainer: SuperNetTrainer, n: int) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [trainer.space.sample(rng) for _ in range(n)]


def share_rows(quick: bool) -> Iterator[Row]:
    """Look at what of an evaluation is recalibration: in the demo, and of DARTS C16 with 8 cells.

    There, a quarter of the 1 024 images that it has at the paper's scale, and of a fifth of the 25 000 that
    judge.
    """
    yield median_row("recalibration.share.demo", _shares(TimedTrainer(), 3 if quick else _SHARES), "<= 0.25")
    if not quick:
        plan = TrainingPlan(recalibration_images=256)
        large = SuperNetTrainer(Darts(), images(1250), plan, total_steps=1)
        yield median_row("recalibration.share.c16", _shares(large, 5), "<= 0.25")


def _shares(trainer: SuperNetTrainer, n: int) -> list[float]:
    """Return what share of an evaluation is recalibration, of ``n`` networks."""
    shares = []
    recalibration = trainer.recalibration_images
    recalibration = recalibration[: round(trainer.plan.recalibration_share * len(recalibration))]
    batches = len(recalibration_batches(recalibration, trainer.plan.recalibration_batch_size))
    for architecture in _drawn(trainer, n + 1):
        stamps = [time.process_time()]

        def pause(found: list[float] = stamps) -> None:
            found.append(time.process_time())

        trainer.between_batches = pause
        trainer.accuracy(architecture)
        stamps.append(time.process_time())
        shares.append((stamps[batches] - stamps[0]) / (stamps[-1] - stamps[0]))
    return shares[1:]


def ranking_rows(quick: bool) -> Iterator[Row]:
    """Look at how networks of the demo's space rank with statistics of fewer images, after its warm-up.

    Kendall's tau-b of their errors with those where many images are recalibrated on; the same fitness images
    judge. Peer: the standard deviation of the difference of errors.
    """
    taus: dict[int, list[float]] = {n: [] for n in _RANKED_IMAGES}
    off: dict[int, list[float]] = {n: [] for n in _RANKED_IMAGES}
    for seed in _SEEDS[: 1 if quick else None]:
        trainer, rng = TimedTrainer(seed, **_ALL), np.random.default_rng(seed)
        for _ in range(30 if quick else trainer.schedule.warm_up_steps):
            trainer.step([trainer.space.sample(rng)])
        ranked = _drawn(trainer, 8 if quick else _RANKED)
        true = _errors(trainer, seed, _MANY_IMAGES, ranked)
        for n in _RANKED_IMAGES:
            seen = _errors(trainer, seed, n, ranked)
            taus[n].append(float(kendalltau(true, seen).statistic))
            off[n].append(float(np.std(np.subtract(true, seen))))
    for n, found in taus.items():
        row = median_row(f"recalibration.tau.{n}", found, "")
        yield replace(row, peer=float(np.median(off[n])), peer_name="error off by")


def _errors(trainer: TimedTrainer, seed: int, n: int, ranked: Sequence[Architecture]) -> list[float]:
    """Return the errors that networks have, recalibrated on ``n`` images."""
    other = TimedTrainer(seed, recalibration_images=n, **_ALL)
    other.restore(trainer.state())
    return [1 - other.accuracy(one) for one in ranked]


def loop_rows(quick: bool) -> Iterator[Row]:
    """Look at what generations of the demo's search do beside steps and evaluations."""
    trainer = TimedTrainer()
    counts = TimedCounts(trainer.space, runtimes.load("onnxruntime").counter(modules.build))
    latency_ms = Latency(predictor(trainer.space, counts))
    costs = [Error(trainer), Parameters(trainer.space), latency_ms]
    settings: dict[str, Any] = dict(demo_config().strategy.settings)
    strategy = Cars(trainer.space, np.random.default_rng(0), **settings)
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = CheckpointFolder(Path(folder))
        search = Search(trainer, strategy, costs, trainer.schedule, checkpoints=checkpoints)
        inside_s, before_s = 0.0, time.process_time()
        for generation in search.run():
            after_s = time.process_time()
            shares.append(1 - (trainer.inside_s - inside_s) / (after_s - before_s))
            inside_s, before_s = trainer.inside_s, after_s
            if quick and generation.index:
                break
    yield median_row("loop.overhead", shares[1:], "<= 0.05")


#: Each is independent of the others.
_CLAIMS: Mapping[str, Callable[[bool], Iterable[Row]]] = {
    "ratio": ratio_rows,
    "share": share_rows,
    "loop": loop_rows,
    "ranking": ranking_rows,
}


def main() -> None:
    """Print the rows."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--only", choices=list(_CLAIMS), action="append", help="these; all if not given")
    options = parser.parse_args()
    finish([row for name in options.only or _CLAIMS for row in _CLAIMS[name](options.quick)], options)


if __name__ == "__main__":
    main()
