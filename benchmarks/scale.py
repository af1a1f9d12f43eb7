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
from argparse import Namespace
from pathlib import Path
from types import FrameType

import torch
from _rows import option_parser
from _scale_run import Plan, begin, count, is_begun, kept

from cars_hw.config import SearchConfig
from cars_hw.ledger import Ledger
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.search import Search

_ROOT = Path(__file__).parents[1]
_IMAGES = Path(os.environ.get("CARS_HW_DATA", _ROOT.parent / "shared" / "data")) / "cifar10-jpeg.tar.xz"
_KEPT = _ROOT / "benchmarks" / "results" / "raw" / "scale"
_WARM_UP_STEPS = 196


def plan(images: Path) -> Plan:
    """Return what is run, on the images that lie at a path."""
    overrides = {"data.path": str(images), "search.torch_device": "cpu"}
    return Plan(SearchConfig.load(_ROOT / "configs" / "cars-cifar10.toml", overrides), _WARM_UP_STEPS)


def tell(search: Search) -> None:
    """Print how far it is, now and then, and let a signal end it where it is saved."""
    n = 0

    def entered(ledger: Ledger) -> None:
        nonlocal n
        n += 1
        if n % 20 == 1:
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


def run(options: Namespace) -> None:
    """Run what is left."""
    torch.set_num_threads(1)
    folder, planned = CheckpointFolder(options.folder), plan(_IMAGES)
    if not folder.holds_any() and (found := kept(_KEPT)) is not None:
        folder.save(found)
    if not is_begun(folder):
        begin(planned, folder, on_search=tell)
    if is_begun(folder):
        print(count(planned, folder, on_search=tell, ends_when_trained=options.until_trained), flush=True)


def main() -> None:
    """Run what is left, and print the rows; with ``--quick`` those of what was run."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--folder", type=Path, default=_ROOT / "runs" / "scale", help="of checkpoints")
    parser.add_argument("--until-trained", action="store_true", help="end where evaluations begin")
    options = parser.parse_args()
    run(options)


if __name__ == "__main__":
    main()
