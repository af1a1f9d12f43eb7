"""What retraining by the preset ``small`` comes to, beside the same network in a plain loop of torch.

CIFAR-10 as JPEG of ../shared/data, all 50 000 images to train on and all 10 000 to judge. The network is one
of NAS-Bench-201 at its deployed size; its published test error after 12 epochs is 13.5 %. Three seeds, each
with both trainings from the same initial weights. A seed that is done is kept in benchmarks/results with its
hash, and is not trained again; what is interrupted goes on: ours from its newest checkpoint, the loop from
its beginning. With ``--short``, a few steps of each show that it runs, and nothing is kept. With ``--quick``,
what the last full run left is judged again.
"""

import io
import math
import os
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _rows import Row, finish, option_parser, store, stored
from PIL import Image
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from cars_hw import RetrainingPlan, spaces
from cars_hw.data import Data, ImageSet
from cars_hw.networks.graph import Graph
from cars_hw.retraining.monitor import Monitor, Progress
from cars_hw.retraining.session import Session
from cars_hw.retraining.trainer import NetworkTrainer
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.weights.network import Network

_ROOT = Path(__file__).parents[1]
_CODE = "301111"
_SEEDS = (0, 1, 2)
_MINUTES, _CORES = 60, 2
_SHORT_IMAGES, _SHORT_BATCH = 320, 32


@dataclass(frozen=True)
class Trained:
    """What one training came to.

    Attributes:
        error: Share of the test images that are classified wrongly.
        cpu_s: Seconds of a core that it took.
    """

    error: float
    cpu_s: float


def main() -> None:
    """Train what is missing, and print the rows."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--short", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--folder", type=Path, default=_ROOT / "runs" / "benchmark_retrain", help="of runs")
    options = parser.parse_args()
    torch.set_num_threads(_CORES)
    if options.quick:
        finish(rows([stored(_name(seed)) for seed in _SEEDS], source="stored"), options)
    data = images()
    if options.short:
        data = Data(shortened(data.training), shortened(data.fitness))
    digest = data.digest()
    found = [one_seed(seed, data, digest, options.folder, is_short=options.short) for seed in _SEEDS]
    finish(rows(found, source="fresh"), options)


def rows(found: list[dict[str, Any]], source: str) -> list[Row]:
    """Return the claims, of what each seed came to."""
    gaps = np.array([100 * (one["ours"]["error"] - one["plain"]["error"]) for one in found])
    half = float(stats.t.ppf(0.975, len(gaps) - 1) * stats.sem(gaps)) if len(gaps) > 1 else math.nan
    mean, n = float(gaps.mean()), len(found)
    errors = [100 * one["ours"]["error"] for one in found]
    minutes = [one["ours"]["cpu_s"] / _CORES / 60 for one in found]
    plain = [100 * one["plain"]["error"] for one in found]
    figures = [
        Row("retrain.gap", mean, "points", "<= 1", (mean - half, mean + half)),
        Row("retrain.error", max(errors), "%", "<= 25", (min(errors), max(errors)), peer=max(plain)),
        Row(
            "retrain.minutes_of_two_cores",
            max(minutes),
            "min",
            f"<= {_MINUTES}",
            (min(minutes), max(minutes)),
            peer=max(one["plain"]["cpu_s"] / _CORES / 60 for one in found),
        ),
    ]
    return [replace(row, peer_name="plain loop", n=n, source=source) for row in figures]


def one_seed(seed: int, data: Data, digest: str, folder: Path, *, is_short: bool) -> dict[str, Any]:
    """Return what both trainings of a seed came to; train what was not trained."""
    values: dict[str, object] = {"preset": "small", "seed": seed}
    if is_short:
        values |= {"epochs": 2, "batch_size": _SHORT_BATCH, "warm_up_epochs": 0.5}
    plan = RetrainingPlan.checked("retraining", values)
    asked = {"code": _CODE, "images": digest, "plan": plan.values(), "torch": torch.__version__}
    if not is_short and (there := _stored(seed)) is not None and there["asked"] == asked:
        return there
    space = spaces.load("nasbench201")
    graph = space.deployed(space.from_description({"code": _CODE}))
    print(f"seed {seed}: ours", flush=True)
    ours = by_us(graph, data, plan, folder / ("short" if is_short else "full") / str(seed))
    print(f"seed {seed}: {ours}; the plain loop", flush=True)
    plain = by_plain_loop(graph, data, plan)
    print(f"seed {seed}: {plain}", flush=True)
    found = {"asked": asked, "ours": vars(ours), "plain": vars(plain)}
    if not is_short:
        store(_name(seed), found)
    return found


def by_us(graph: Graph, data: Data, plan: RetrainingPlan, folder: Path) -> Trained:
    """Retrain in ``folder``, from its newest checkpoint on."""
    folder.mkdir(parents=True, exist_ok=True)
    spent = folder / "cpu_s"
    before_s = float(spent.read_text()) if spent.exists() else 0.0

    def tell(now: Progress) -> None:
        if now.loss is not None:
            spent.write_text(str(before_s + time.process_time() - start_s))
            print(f"{now}: loss {now.loss:.3f}, error {now.error}", flush=True)

    start_s = time.process_time()
    trainer, checkpoints = NetworkTrainer(graph, data, plan), CheckpointFolder(folder / "checkpoints")
    identity = f"{data.digest()} {plan.values()}"
    with checkpoints.owned():
        outcome = Session("ours", trainer, checkpoints, identity=identity, monitor=Monitor(tell)).run()
    return Trained(outcome.judgement.error, float(spent.read_text()))


def by_plain_loop(graph: Graph, data: Data, plan: RetrainingPlan) -> Trained:
    """Train the same initial weights as anybody would in torch, by the same hyper-parameters."""
    start_s = time.process_time()
    random = torch.Generator().manual_seed(1000 + plan.seed)
    pixels, labels = _tensors(data, data.training)
    network = Network.untrained(graph, seed=plan.seed)
    optimizer = torch.optim.SGD(
        network.parameters(), plan.learning_rate, plan.momentum, nesterov=True, weight_decay=plan.weight_decay
    )
    rate = _rate(plan, steps=math.ceil(len(labels) / plan.batch_size))
    step = 0
    for _ in range(plan.epochs):
        network.train()
        for rows_of in torch.randperm(len(labels), generator=random).split(plan.batch_size):
            if len(rows_of) == 1:
                continue
            batch = torch.stack([_augmented(pixels[i], plan.crop_padding, random) for i in rows_of])
            optimizer.param_groups[0]["lr"] = rate(step)
            loss = functional.cross_entropy(network(batch), labels[rows_of])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), plan.clip_norm)
            optimizer.step()
            step += 1
    wrong = 0
    network.eval()
    pixels, labels = _tensors(data, data.fitness)
    with torch.no_grad():
        for start in range(0, len(labels), plan.evaluation_batch_size):
            part = slice(start, start + plan.evaluation_batch_size)
            wrong += int((network(pixels[part]).argmax(1) != labels[part]).sum())
    return Trained(wrong / len(labels), time.process_time() - start_s)


def images() -> Data:
    """Return the images to train on, and as ``fitness`` those that judge."""
    folder = Path(os.environ.get("CARS_HW_DATA", _ROOT.parent / "shared" / "data"))
    parts: dict[str, list[tuple[str, bytes]]] = {"train": [], "test": []}
    with tarfile.open(folder / "cifar10-jpeg.tar.xz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name.lower().endswith(".jpg") else None
            if content is not None:
                part = next(name for name in parts if f"{name}/" in member.name)
                parts[part].append((member.name, content.read()))
    classes = sorted({name.split("/")[-2] for name, _ in parts["train"]})
    found = []
    for files in parts.values():
        files.sort()
        decoded = [np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for _, content in files]
        numbers = np.array([classes.index(name.split("/")[-2]) for name, _ in files])
        stacked = np.ascontiguousarray(np.stack(decoded).transpose(0, 3, 1, 2))
        found.append(ImageSet("cifar10", stacked, numbers, flips=True, source="CIFAR-10 as JPEG"))
    return Data(*found)


def shortened(whole: ImageSet) -> ImageSet:
    """Return some of the images, as many of each class."""
    chosen = np.argsort(np.arange(len(whole.labels)) % (len(whole.labels) // _SHORT_IMAGES), kind="stable")
    rows_of = chosen[:_SHORT_IMAGES]
    return ImageSet(
        whole.name, whole.images[rows_of], whole.labels[rows_of], flips=whole.flips, source=whole.source
    )


def _tensors(data: Data, images_of: ImageSet) -> tuple[Tensor, Tensor]:
    mean, std = (torch.from_numpy(one)[:, None, None] for one in (data.channel_mean, data.channel_std))
    pixels = (torch.from_numpy(images_of.images).float() / 255 - mean) / std
    return pixels, torch.from_numpy(images_of.labels)


def _augmented(image: Tensor, padding: int, random: torch.Generator) -> Tensor:
    """Return a crop of the padded image (c, h, w), or its mirror image."""
    top, left = torch.randint(2 * padding + 1, (2,), generator=random).tolist()
    height, width = image.shape[1:]
    cropped = functional.pad(image, (padding,) * 4)[:, top : top + height, left : left + width]
    return cropped.flip(2) if torch.rand(1, generator=random).item() < 0.5 else cropped


def _rate(plan: RetrainingPlan, steps: int) -> Callable[[int], float]:
    """Return the rate of each step: a line up, half a cosine down."""
    warm_up, total = round(plan.warm_up_epochs * steps), plan.epochs * steps

    def rate(step: int) -> float:
        if step < warm_up:
            return plan.learning_rate * (step + 1) / warm_up
        return plan.learning_rate / 2 * (1 + math.cos(math.pi * (step - warm_up) / (total - warm_up)))

    return rate


def _name(seed: int) -> str:
    return f"retrain_seed{seed}"


def _stored(seed: int) -> dict[str, Any] | None:
    if not (Path(__file__).parent / "results" / f"{_name(seed)}.json").exists():
        return None
    found: dict[str, Any] = stored(_name(seed))
    return found


if __name__ == "__main__":
    main()
