"""The demo's search step alone, in a process of its own; of this commit, or of an earlier one on the path.

usage: python _demo_search.py FOLDER SEED [KEY=VALUE ...]

FOLDER/latency.jsonl is profiled where it is missing. One line of JSON tells the seconds of the search on a
clock, those of the CPU by all its processes, and the front with errors on images that it never saw.
"""

import json
import os
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path
from typing import TypedDict

from cars_hw.assembly import make_test_images, open_search
from cars_hw.cli import _demo_steps as steps
from cars_hw.config import SearchConfig, parse_override
from cars_hw.data import Data, ImageSet
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.runs import Run
from cars_hw.weights.supernet_trainer import SuperNetTrainer

TEST_IMAGES = 1000


class Member(TypedDict):
    """A member of the front, with its error on images that judge the search, and on others."""

    architecture: str
    error: float
    test_error: float


class Outcome(TypedDict):
    """What a search came to."""

    seconds: float
    cpu_s: float
    front: list[Member]


def held_out_errors(
    trainer: SuperNetTrainer, test: ImageSet, architectures: list[Architecture]
) -> list[float]:
    """Return the errors that architectures have, with the weights of ``trainer``, on all of ``test``."""
    shares = {"fitness_share", "recalibration_share"} & type(trainer.plan).model_fields.keys()
    plan = trainer.plan.model_copy(update=dict.fromkeys(shares, 1.0))
    data = Data(trainer.data.training, test)
    judge = SuperNetTrainer(trainer.space, data, plan, total_steps=1, seed=trainer.seed)
    judge.restore(trainer.state())
    return [1 - judge.accuracy(one) for one in architectures]


def demo(folder: Path, seed: int, overrides: list[str]) -> SearchConfig:
    """Return the demo's configuration, which keeps images from search and training."""
    values = {
        "latency.table": str(folder / "latency.jsonl"),
        "data.test_images": TEST_IMAGES,
        "search.seed": seed,
        **dict(parse_override(text) for text in overrides),
    }
    with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
        return SearchConfig.load(path, values)


def search(config: SearchConfig) -> Outcome:
    """Search, and judge the front."""
    test = make_test_images(config)
    if test is None:
        raise SystemExit("the demo's images have none to be kept apart")
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", config)
        before_s, start_s = _cpu_s(), time.perf_counter()
        found = open_search(run)
        for _ in found.run():
            pass
        seconds, cpu_s = time.perf_counter() - start_s, _cpu_s() - before_s
    trainer = found.trainer
    if not isinstance(trainer, SuperNetTrainer):
        raise SystemExit("the demo has shared weights")
    errors = held_out_errors(trainer, test, [member.architecture for member in found.front])
    front: list[Member] = [
        Member(architecture=to_text(member.architecture), error=member.costs[0], test_error=error)
        for member, error in zip(found.front, errors, strict=True)
    ]
    return Outcome(seconds=seconds, cpu_s=cpu_s, front=front)


def _cpu_s() -> float:
    return sum(os.times()[:4])


def main() -> None:
    """Profile what is missing, search, and tell."""
    folder, seed, overrides = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    config = demo(folder, seed, overrides)
    if not (folder / "latency.jsonl").exists():
        steps.profile(config)
    print(json.dumps(search(config)))


if __name__ == "__main__":
    main()
