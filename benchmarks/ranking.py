"""How well a SuperNet ranks the networks of NAS-Bench-201, whose accuracies are published.

A job trains one SuperNet on CIFAR-10 by one setting and seed, and judges networks by it; it reads no
published accuracy. Figures are Kendall's tau against accuracy after 200 epochs on one's own, over all
networks, those of error up to 15 %, and the best tenth, beside two stand-ins that need no SuperNet: the
number of parameters, and validation accuracy after 12 epochs on one's own. The settings differ in one factor
each, at equal cost.

``--on pilot`` judges 200 networks, on which settings are chosen; they are among no others that are judged.
``--on judged``, the default, judges 1 000 others.

    python benchmarks/ranking.py --job paper --seed 0 --on pilot     # minutes; stopped, it goes on
    python benchmarks/ranking.py --on pilot                          # the figures of what is there
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _jobs import RAW, RUNS, Store, cpu_s, searched, timed
from _rank_settings import ARCHIVE, BATCH, SETTINGS, STEPS, Setting, drawn, examined, joined
from _rows import Row, finish, option_parser, store, stored

from cars_hw.assembly import make_space, make_trainer
from cars_hw.networks.architecture import Architecture
from cars_hw.runs import Run
from cars_hw.trainer import TrainerState
from cars_hw.weights.supernet_trainer import SuperNetTrainer

STORE = Store(RAW / "ranking")
#: The setting that is the default of ``cars``, which goes by losses joined with sizes: what has the goal.
DEFAULT = "rate4"
_CHUNK = 50


def job(  # noqa: PLR0913  (what is trained, and on what it is tried)
    name: str,
    seed: int,
    which: str,
    *,
    budget: int = STEPS,
    architectures: Sequence[Architecture] = (),
    runs: Path = RUNS,
    results: Store = STORE,
    setting: Setting | None = None,
) -> bool:
    """Train by a setting and judge by what came of it, or go on with that; keep the result.

    Args:
        name: Of the setting.
        seed: Of everything random.
        which: ``"pilot"`` or ``"judged"``.
        budget: Steps in all, of one path of 64 images of 16x16 pixels.
        architectures: What is judged; those of ``which``, if not given.
        runs: Where what is between lies.
        results: Where the result goes.
        setting: Another one than ``SETTINGS`` has under that name.

    Returns:
        Whether it ended; a signal stops it, saved.
    """
    setting = setting or SETTINGS[name]
    trained = SETTINGS[setting.trained_as] if setting.trained_as else setting
    folder = runs / "ranking" / f"{setting.trained_as or name}.{budget}.seed{seed}"
    run = searched(folder, trained.config(seed, budget=budget))
    if run is None:
        return False
    trainer = _trainer(run, setting, seed, budget)
    chosen = tuple(architectures) or drawn(which)
    views = {"judged": False} | ({"plain": True} if trainer.plan.weight_averaging else {})
    with timed(folder):
        found = {
            view: _examined(trainer, chosen, folder / f"{which}.{name}.{view}", plain=plain)
            for view, plain in views.items()
        }
    raw = {
        "setting": name,
        "seed": seed,
        "which": which,
        "budget": budget,
        "config": setting.config(seed, budget=budget, images=Path(ARCHIVE.name)).to_values(),
        "threads": torch.get_num_threads(),
        "ledger": trainer.ledger.to_json(),
        "cpu_s": cpu_s(folder),
        "views": found,
    }
    results.write(f"{which}.{name}.seed{seed}", raw)
    return True


def _trainer(run: Run, setting: Setting, seed: int, budget: int) -> SuperNetTrainer:
    """Return the weights of a run that has ended, which judge by ``setting``."""
    config = setting.config(seed, budget=budget)
    trainer = make_trainer(config, make_space(config), torch_device="cpu")
    checkpoint = run.checkpoint()
    trainer.restore(TrainerState(checkpoint.arrays, run.record().trainer))
    return trainer


def _examined(
    trainer: SuperNetTrainer, architectures: Sequence[Architecture], path: Path, *, plain: bool
) -> dict[str, Any]:
    """Judge networks, some at a time, each part of which is kept in a file that begins as ``path``."""
    parts = []
    for start in range(0, len(architectures), _CHUNK):
        part = path.with_name(f"{path.name}.{start}.json")
        if not part.exists():
            found = examined(trainer, architectures[start : start + _CHUNK], plain=plain)
            part.write_text(json.dumps(found))
            print(f"\r{path.name}: {start + len(found['loss'])} networks", end="", flush=True)
        parts.append(json.loads(part.read_text()))
    return joined(parts)


def rows(which: str, results: Store = STORE) -> Iterator[Row]:
    """Return the figures of the jobs that have ended: of stand-ins, then of each setting."""
    from _rank_figures import STAND_INS, SUBSETS, estimates, published, tau

    networks, by_setting = published(which), _by_setting(which, results)
    for setting, raws in by_setting.items():
        cpu_s = float(np.mean([raw["cpu_s"] for raw in raws]))
        yield Row(f"ranking.cpu_s.{setting}", cpu_s, "s", n=len(raws), source="stored")
    for subset in SUBSETS:
        for name in STAND_INS:
            found = tau([networks.stand_ins[name]], networks, subset)
            yield Row(f"ranking.tau.{name}.{subset}", found.mean, spread=found.interval, n=found.n)
        for setting, raws in by_setting.items():
            for view in raws[0]["views"]:
                estimated = [estimates(raw, networks, view) for raw in raws]
                for name in estimated[0]:
                    found = tau([one[name] for one in estimated], networks, subset)
                    claim = f"{setting}{'' if view == 'judged' else '.' + view}.{name}"
                    yield from _tau_rows(claim, subset, found)


def _tau_rows(claim: str, subset: str, found: Any) -> Iterator[Row]:
    row = Row(f"ranking.tau.{claim}.{subset}", found.mean, spread=found.interval, n=found.n, source="stored")
    yield row
    for name, (above, low, high) in found.above.items():
        has_goal = (claim, subset, name) == (f"{DEFAULT}.joined", "under15", "parameters")
        yield replace(
            row,
            claim=f"ranking.above_{name}.{claim}.{subset}",
            figure=low if has_goal else above,
            goal=">= 0" if has_goal else "",
            spread=(low, high),
        )


def _by_setting(which: str, results: Store) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the results of each setting, one for each seed, of those with the whole budget."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for name in results.names():
        raw = results.read(name)
        if raw["which"] == which and raw["budget"] == STEPS:
            found.setdefault(raw["setting"], []).append(raw)
    return dict(sorted(found.items(), key=lambda item: list(SETTINGS).index(item[0])))


def _options() -> argparse.Namespace:
    parser = option_parser(__doc__ or "")
    parser.add_argument(
        "--job", choices=list(SETTINGS), action="append", help="run this setting; several may be"
    )
    parser.add_argument("--seed", type=int, action="append", help="by this seed; 0 if not given")
    parser.add_argument("--on", choices=("pilot", "judged"), default="judged", help="which networks")
    return parser.parse_args()


def main() -> None:
    """Run jobs that are asked for and not there yet; else print the figures of those that are there."""
    options = _options()
    torch.set_num_threads(1)
    for name in options.job or ():
        for seed in options.seed or (0,):
            if f"{options.on}.{name}.seed{seed}" in STORE.names():
                continue
            print(f"{name}, seed {seed}: {SETTINGS[name].what}; batch of {BATCH}", flush=True)
            if not job(name, seed, options.on):
                sys.exit("stopped; the same command goes on")
    if options.job:
        return
    if not options.quick:
        if not STORE.names():
            sys.exit(f"{STORE.folder} holds no job yet; run one by --job")
        store(f"ranking_{options.on}", [asdict(row) for row in rows(options.on)])
    found = stored(f"ranking_{options.on}")
    finish([Row(**{**row, "spread": _pair(row["spread"])}) for row in found], options)


def _pair(spread: list[float] | None) -> tuple[float, float] | None:
    return None if spread is None else (spread[0], spread[1])


if __name__ == "__main__":
    main()
