"""What workers are worth: evaluations by two processes of one thread, and by one process of two threads.

Of the demo's network with its 16 members and images, and of networks of the published size (16 channels, 8
cells, 32x32) with 2 members a worker on 2000 images: a generation has 128 a worker, on more images, for one
sending of the weights, so that its ratio is no smaller. A ratio is of the CPU time of one process to that of
all of ours, workers and the one that asks them, in turns; a thread that waits for the other one counts as
busy, as it is on a machine with as many cores. What this machine gives at most is the same ratio of two
processes that share nothing, and send nothing: ``workers.limit``, in the same turns. With Ray installed,
also time on a clock by two of its workers over that by two processes: it needs a network of its own, `unshare
-rn sh -c 'ip link set lo up; python benchmarks/workers.py'`.

Threads that wait for one that is not on a core burn time without end, so that all is left out, with status 4,
where others are at work.
"""

import importlib.util
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from _rows import Row, finish, parse_options

from cars_hw import executors
from cars_hw.assembly import make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.data import Data, ImageSet
from cars_hw.evolution import variation
from cars_hw.executors._allocation import keep_freed_memory
from cars_hw.judges import ExecutorJudges
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces.darts import Darts
from cars_hw.weights.evaluation import Examination, HeldImages, Progress
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan

_WORKERS, _TIMES, _QUICK_TIMES = 2, 5, 2
_DEMO_MEMBERS, _LARGE_MEMBERS = 16, 4
_LARGE_IMAGES, _QUICK_IMAGES = 2000, 300
_MOST_LOAD = 0.7
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Case:
    """What is evaluated.

    Attributes:
        name: In the claim.
        trainer: Its weights and images.
        members: What is evaluated.
        goal: Of the ratio.
    """

    name: str
    trainer: SuperNetTrainer
    members: Sequence[Architecture]
    goal: str


def cases(large_images: int = _LARGE_IMAGES) -> Iterator[Case]:
    """Yield both, with weights as they are drawn: what is computed does not depend on them.

    Args:
        large_images: On how many the large networks are judged.
    """
    with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
        demo = SearchConfig.load(path)
    trainer, rng = make_trainer(demo, make_space(demo)), np.random.default_rng(0)
    members = variation.distinct(trainer.space, _DEMO_MEMBERS, rng=rng)
    yield Case("demo", trainer, members, ">= 1.5")
    large = Darts(channels=16, cells=8)
    plan = TrainingPlan(batch_size=64)
    images = Data(_noise(plan.recalibration_images), _noise(large_images))
    trainer = SuperNetTrainer(large, images, plan, total_steps=1)
    yield Case("c16_8", trainer, variation.distinct(large, _LARGE_MEMBERS, rng=rng), ">= 1.3")


def _noise(n: int) -> ImageSet:
    rng = np.random.default_rng(n)
    labels = np.arange(n) % 10
    images = rng.integers(256, size=(n, 3, 32, 32), dtype=np.uint8)
    return ImageSet("noise", images, labels, flips=False, source="drawn")


def by_threads(case: Case, members: Sequence[Architecture]) -> list[int]:
    """Evaluate some of the members in this process, on as many threads as torch has."""
    trainer, found = case.trainer, list[int]()
    examination = _examination(trainer)
    for member in members:
        progress = Progress(member, "current")
        evaluation = examination.begun(progress, trainer.supernet, soft_path=False)
        while not evaluation.is_done:
            evaluation.advance()
        evaluation.settle()
        found.append(progress.right)
    return found


def _examination(trainer: SuperNetTrainer) -> Examination:
    """Return what the trainer judges by: the share of its images that its plan says."""
    recalibration, share = trainer.recalibration_images, trainer.plan.recalibration_share
    taken = recalibration[: round(share * len(recalibration))]
    return Examination(taken, HeldImages(*trainer.judging_images), trainer.plan)


def by_workers(case: Case) -> list[int]:
    """Let the trainer's judges evaluate, weights and images sent anew."""
    trainer = case.trainer
    trainer.expect([(member, "current") for member in case.members])
    images = len(trainer.judging_images[1])
    return [round(trainer.accuracy(member) * images) for member in case.members]


class Independent:
    """Processes of one thread each, which have made the case themselves and evaluate a part of its members.

    Args:
        case: The case; the processes make it anew.
        images: As ``cases`` takes it.
    """

    def __init__(self, case: Case, images: int) -> None:
        self._ends, context = list[Connection](), multiprocessing.get_context("spawn")
        self._processes = []
        for part in range(_WORKERS):
            own, other = context.Pipe()
            process = context.Process(target=_evaluate_alone, args=(other, case.name, part, images))
            process.start()
            self._ends.append(own)
            self._processes.append(process)
        self.evaluate()

    def evaluate(self) -> None:
        """Evaluate all members once."""
        for end in self._ends:
            end.send(True)
        for end in self._ends:
            end.recv()

    def close(self) -> None:
        """End the processes."""
        for end, process in zip(self._ends, self._processes, strict=True):
            end.send(False)
            process.join()


def _evaluate_alone(end: Connection, name: str, part: int, images: int) -> None:
    keep_freed_memory()  # as workers do
    torch.set_num_threads(1)
    [case] = [case for case in cases(images) if case.name == name]
    while end.recv():
        by_threads(case, case.members[part::_WORKERS])
        end.send(True)


def worker_rows(case: Case, times: int, images: int) -> Iterator[Row]:
    """Take all sides in turns."""
    taken: dict[str, list[tuple[float, float]]] = {"threads": [], "workers": [], "independent": []}
    with ExitStack() as stack:
        executor = stack.enter_context(executors.load("processes", _WORKERS))
        independent = Independent(case, images)
        stack.callback(independent.close)
        case.trainer.judges = ExecutorJudges(executor)
        if by_workers(case) != by_threads(case, case.members):
            raise SystemExit("workers give other results than this process")
        for _ in range(times):
            taken["threads"].append(_taken(lambda: by_threads(case, case.members)))
            taken["workers"].append(_taken(lambda: by_workers(case)))
            taken["independent"].append(_taken(independent.evaluate))
        case.trainer.judges = None
    yield _row(f"workers.ratio.{case.name}", _ratios(taken, "threads", "workers", 0), case.goal)
    yield _row(f"workers.clock_ratio.{case.name}", _ratios(taken, "threads", "workers", 1), "")
    yield _row(f"workers.limit.{case.name}", _ratios(taken, "threads", "independent", 0), "")
    yield _row(f"workers.of_limit.{case.name}", _ratios(taken, "independent", "workers", 0), "")


def _ratios(
    taken: Mapping[str, Sequence[tuple[float, float]]], one: str, other: str, which: int
) -> list[float]:
    """Return the seconds of one side over those of another: of the CPU (0), or on a clock (1)."""
    return [first[which] / second[which] for first, second in zip(taken[one], taken[other], strict=True)]


def ray_rows(case: Case, times: int) -> Iterator[Row]:
    """Take two workers of Ray and two processes in turns; nothing where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        return
    ratios = []
    with executors.load("ray", _WORKERS) as far, executors.load("processes", _WORKERS) as near:
        far.connect()
        for turn in range(times + 1):
            clocks_s = []
            for executor in (far, near):
                case.trainer.judges = ExecutorJudges(executor)
                clocks_s.append(_taken(lambda: by_workers(case))[1])
            if turn:  # the first starts the workers
                ratios.append(clocks_s[0] / clocks_s[1])
        case.trainer.judges = None
    yield _row(f"ray.overhead.{case.name}", ratios, "<= 1.1")


def _row(claim: str, ratios: Sequence[float], goal: str) -> Row:
    return Row(claim, float(np.median(ratios)), "", goal, (min(ratios), max(ratios)), n=len(ratios))


def _taken(work: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU seconds of this process and its workers, and those on a clock."""
    before_s, start_s = _cpu_s(), time.perf_counter()
    work()
    return _cpu_s() - before_s, time.perf_counter() - start_s


def _cpu_s() -> float:
    """Return the CPU seconds so far of this process and of those that it started."""
    return time.process_time() + sum(map(_child_s, Path("/proc").glob("[0-9]*/stat")))


def _child_s(stat: Path) -> float:
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS if int(fields[1]) == os.getpid() else 0.0


def main() -> None:
    """Print the rows."""
    options = parse_options(__doc__ or "")
    if os.getloadavg()[0] > _MOST_LOAD:
        print(f"others are at work: the load is {os.getloadavg()[0]:.1f}", file=sys.stderr)
        sys.exit(4)
    times = _QUICK_TIMES if options.quick else _TIMES
    torch.set_num_threads(_WORKERS)
    images = _QUICK_IMAGES if options.quick else _LARGE_IMAGES
    found = list[Row]()
    for case in cases(images):
        found += [*worker_rows(case, times, images), *ray_rows(case, times)]
    finish(found, options)


if __name__ == "__main__":
    main()
