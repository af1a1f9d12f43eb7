"""One whole generation of CARS at the paper's scale, run: what it costs, and what the rest would by that.

The search of ``configs/cars-cifar10.toml`` on CIFAR-10 from JPEG files, in one process of one thread on the
CPU. After one epoch of warm-up and a generation 1 of 20 steps, neither counted and both judged on few images,
comes generation 2 as configured: its steps, and 128 members and 128 offspring judged. It takes about two
hours, may be interrupted at any time, and goes on where it was: from its checkpoints, or else from
``benchmarks/results/raw/scale``, where ``--keep`` puts what a repository can hold.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import signal
import sys
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from _rows import Row, finish, option_parser, store, stored
from _scale_costs import Ledger, work_of
from _scale_run import COUNTED, Plan, Spent, begin, count, evaluate_beside, is_begun, keep, kept, spent_of

from cars_hw.config import SearchConfig
from cars_hw.ledger import Json
from cars_hw.ledger import Ledger as Spending
from cars_hw.saving.checkpoint import Checkpoint, CheckpointFolder
from cars_hw.search import Search

_ROOT = Path(__file__).parents[1]
_IMAGES = Path(os.environ.get("CARS_HW_DATA", _ROOT.parent / "shared" / "data")) / "cifar10-jpeg.tar.xz"
_KEPT = _ROOT / "benchmarks" / "results" / "raw" / "scale"
_RESULTS = "scale"
_WARM_UP_STEPS, _SHARE = 196, 0.2
_TOLD_EVERY = 20


def plan(images: Path) -> Plan:
    """Return what is run, on the images that lie at a path."""
    overrides: dict[str, Json] = {
        "data.path": str(images),
        "search.torch_device": "cpu",
        "training.fitness_share": _SHARE,
    }
    return Plan(SearchConfig.load(_ROOT / "configs" / "cars-cifar10.toml", overrides), _WARM_UP_STEPS)


def rows(raw: Mapping[str, Any], source: str) -> list[Row]:
    """Return what the generation cost, and what the search would cost by that."""
    ledger = Ledger.of(raw)
    claims = [
        Row("scale.cpu_hours", ledger.total_s / 3600, "h", "<= 6"),
        Row("scale.training_hours", ledger.training_s / 3600, "h", n=ledger.steps),
        Row("scale.evaluation_hours", ledger.evaluation_s / 3600, "h", n=ledger.evaluations),
        Row("scale.recalibration_share", ledger.recalibration_s / ledger.evaluation_s, n=ledger.evaluations),
        Row("scale.selection_s", ledger.selection_s, "s"),
        Row("scale.search_days", ledger.search_s(1) / 86400, "days, computed"),
    ]
    return [Row(**{**asdict(row), "source": source}) for row in claims]


def results(planned: Plan, checkpoint: Checkpoint, extra: Mapping[str, float] | None) -> dict[str, Any]:
    """Return what is kept of a run: plain figures of each step and evaluation.

    Args:
        planned: What is run.
        checkpoint: How far it is.
        extra: What ``count`` returned; ``None`` where it is not done.
    """
    spent = spent_of(checkpoint) if checkpoint.generation >= COUNTED else Spent()
    asked = planned.config.to_values()
    done = [asdict(one) for one in spent.evaluations if one.error is not None]
    work = (
        asdict(work_of(planned.config.space.settings, [one["architecture"] for one in done])) if extra else {}
    )
    return {
        "asked": {name: asked[name] for name in ("space", "strategy", "training", "search")},
        "fitness_images": planned.config.data.fitness_images,
        "not_counted": {name: value for name, value in vars(planned).items() if name != "config"},
        "torch": torch.__version__,
        "is_complete": extra is not None,
        "step_s": spent.step_s,
        "evaluations": done,
        "offspring_s": 0.0,
        "selection_s": 0.0,
        "work": work,
        **(extra or {}),
    }


def tell(search: Search) -> None:
    """Print how far it is, now and then, and let a signal end it where it is saved."""
    n = 0

    def entered(ledger: Spending) -> None:
        nonlocal n
        n += 1
        if n % _TOLD_EVERY == 1:
            print(
                f"{ledger.tried_steps} steps, {ledger.training_s:.0f} s; "
                f"{ledger.evaluations} evaluations, {ledger.evaluation_s:.0f} s",
                flush=True,
            )

    def asked_to_end(number: int, frame: FrameType | None) -> None:
        search.request_end()

    search.trainer.ledger.listener = entered
    signal.signal(signal.SIGTERM, asked_to_end)
    signal.signal(signal.SIGINT, asked_to_end)


def run(options: Namespace) -> bool:
    """Run what is left, and keep the figures; tell whether it is done."""
    torch.set_num_threads(1)
    folder, planned = CheckpointFolder(options.folder), plan(_IMAGES)
    if not folder.holds_any() and (found := kept(_KEPT)) is not None:
        folder.save(found)
    if not is_begun(folder):
        begin(planned, folder, on_search=tell)
    extra = count(planned, folder, on_search=tell) if is_begun(folder) else None
    checkpoint = folder.load_latest()
    if checkpoint is not None:
        store(_RESULTS, results(planned, checkpoint, extra))
    return extra is not None


def keep_all(options: Namespace) -> None:
    """Put what was done so far where it can be committed, beside a run that goes on."""
    checkpoint = CheckpointFolder(options.folder).load_latest()
    if checkpoint is None:
        sys.exit(f"{options.folder} has no checkpoint; run without --keep first")
    keep(checkpoint, _KEPT)
    store(_RESULTS, results(plan(_IMAGES), checkpoint, None))


def main() -> None:
    """Run what is left, and print the rows; with ``--quick`` those of what was run."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--folder", type=Path, default=_ROOT / "runs" / "scale", help="of checkpoints")
    parser.add_argument("--keep", action="store_true", help="only write what was done into files to commit")
    parser.add_argument("--beside", type=float, metavar="SECONDS", help="evaluate beside a run, from the end")
    options = parser.parse_args()
    if options.beside:
        torch.set_num_threads(1)
        n = evaluate_beside(plan(_IMAGES), CheckpointFolder(options.folder), options.beside)
        print(f"{n} evaluated")
        return
    if options.keep:
        keep_all(options)
        return
    is_fresh = not options.quick and run(options)
    raw = stored(_RESULTS)
    if not raw["is_complete"]:
        sys.exit(f"{len(raw['step_s'])} steps and {len(raw['evaluations'])} evaluations are done; go on")
    finish(rows(raw, "fresh" if is_fresh else "stored"), options)


if __name__ == "__main__":
    main()
