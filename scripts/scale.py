"""Writes docs/scale.md from what ``benchmarks/scale.py`` has kept of its run.

usage: python scripts/scale.py > docs/scale.md
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from _rows import stored
from _scale_costs import EVALUATIONS, LAST, LAUNCH_S, STEPS, Ledger, Work, gpu_s

_WORKERS = (1, 8, 64)
_TFLOPS = (1.0, 5.0, 20.0)

_HEAD = """# A generation at the paper's scale

Written by `scripts/scale.py` from what `benchmarks/scale.py` has kept of a run. The search is that
of [configs/cars-cifar10.toml](../configs/cars-cifar10.toml): {population} members, {channels}
channels in {cells} cells, batches of {batch}, CIFAR-10 (from JPEG files), {share:.0%} of the
{fitness:,} fitness images, which are {judging:,}, and {recalibration:,} images that set the
statistics of batch normalisation. One process of one thread, on a virtual machine with 2 cores of
an AMD EPYC (x86-64, AVX2) that others used too: CPU seconds, not time on a clock; torch {torch}.

**What was run is generation 2**, whole: {steps:,} steps along members, {evaluations} evaluations,
and a selection. Before it came what is not counted: {warm_up_steps} steps of warm-up, one epoch,
and a generation 1 of {first_steps} steps, both judged on {first_images} fitness images, with
{first_recalibration} to set statistics. So the networks that it trains and judges are those of a
search at its beginning; what a member's error was before comes from the few images. Errors were
counted; that they are steadied by losses on the same images came later, and costs next to nothing.
Some of the last evaluations were made by a second process beside the first, of one thread as well.
All was before steps and evaluations had quick forms (`training.quick_forms`), with which they take
less ([performance.md](performance.md)).
"""

_LEDGER = """
## What it cost

| part | times | CPU seconds each | CPU minutes | share |
|---|---|---|---|---|
"""

_REST = """
Offspring are made, and not screened: this configuration, as the paper, has `screening = false`.
Writing checkpoints, reading images and starting are left out.

## What the whole search would cost

**Reckoned, not run**, from the means above: {steps:,} steps and {evaluations:,} evaluations (128
after warm-up, 384 in each of 45 generations), and the {last} members of the end judged on all fitness
images, on cores like that one, with no loss between them.
Evaluations are shared by workers; they change no result. Training has one process, unless
`torchrun` starts several, which is another search ([searching-on-a-gpu.md](searching-on-a-gpu.md)).

| cores | training by one process | training by as many |
|---|---|---|
"""

_GPUS = """
## On a GPU

**Reckoned, never run on one.** A network has {macs:.1f} million multiply-accumulates for an image,
on the mean of those that were evaluated; a step starts {step:,.0f} operations of torch, a batch of
an evaluation {batch:,.0f}, counted on a CPU. Each takes as long as its arithmetic, at what a GPU is
taken to sustain, or as the host takes to start its operations, {launch:.0f} µs each, whichever is
longer. `training.cuda_graphs` is to take the latter away from steps; it is not reckoned with.

| sustained, 10¹² operations a second | training | evaluations | together |
|---|---|---|---|
"""


def page(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page, part by part."""
    training, ledger = raw["asked"]["training"], Ledger.of(raw)
    judging = round(raw["fitness_images"] * training["fitness_share"])
    recalibration = round(training["recalibration_images"] * training.get("recalibration_share", 1.0))
    yield _HEAD.format(
        population=raw["asked"]["strategy"]["population_size"],
        channels=raw["asked"]["space"]["channels"],
        cells=raw["asked"]["space"]["cells"],
        batch=training["batch_size"],
        share=training["fitness_share"],
        fitness=raw["fitness_images"],
        judging=judging,
        recalibration=recalibration,
        torch=raw["torch"],
        steps=ledger.steps,
        evaluations=ledger.evaluations,
        **raw["not_counted"],
    )
    yield _LEDGER
    yield from _parts(ledger)
    yield _REST.format(steps=STEPS, evaluations=EVALUATIONS, last=LAST)
    for n in _WORKERS:
        hours = [ledger.search_s(n, is_training_shared=shared) / 3600 for shared in (False, True)]
        yield f"| {n} | {_hours(hours[0])} | {_hours(hours[1])} |\n"
    work, plan = (
        Work(**raw["work"]),
        {
            **training,
            "fitness_images": raw["fitness_images"],
            "recalibration_images": recalibration,
        },
    )
    yield _GPUS.format(
        macs=work.macs / 1e6, step=work.step_launches, batch=work.batch_launches, launch=LAUNCH_S * 1e6
    )
    for tflops in _TFLOPS:
        found = gpu_s(work, plan, tflops)
        cells = [_hours(seconds / 3600) for seconds in (*found, sum(found))]
        yield f"| {tflops:.0f} | {' | '.join(cells)} |\n"


def _parts(ledger: Ledger) -> Iterator[str]:
    parts = (
        ("training steps", ledger.steps, ledger.training_s),
        ("evaluations: statistics set anew", ledger.evaluations, ledger.recalibration_s),
        ("evaluations: images judged", ledger.evaluations, ledger.judging_s),
        ("offspring made", 1, ledger.offspring_s),
        ("selection, pNSGA-III", 1, ledger.selection_s),
        ("screening", 0, 0.0),
        ("**together**", 1, ledger.total_s),
    )
    for name, times, seconds in parts:
        share = seconds / ledger.total_s
        each = f"{seconds / times:.3g}" if times else ""
        yield f"| {name} | {times:,} | {each} | {seconds / 60:.3g} | {share:.1%} |\n"


def _hours(hours: float) -> str:
    return f"{hours / 24:.3g} days" if hours >= 48 else f"{hours:.3g} hours"


def main() -> None:
    """Print the page."""
    raw = stored("scale")
    if not raw["is_complete"]:
        sys.exit("the run of benchmarks/scale.py is not complete")
    sys.stdout.write("".join(page(raw)))


if __name__ == "__main__":
    main()
