"""Writes docs/performance.md from the rows that benchmarks of speed left with ``--json``.

Rows are kept in benchmarks/results/performance.json; new ones take the places of those of the same claims.

usage: python scripts/performance.py [FILE.json ...] > docs/performance.md
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_HEAD = """# How fast it is

Written by `scripts/performance.py` from what full runs of scripts in `benchmarks/` left with `--json`. One
machine: a virtual machine with 2 cores of an AMD EPYC (x86-64, AVX2) under Linux, shared with others. All
times are CPU time, not time on a clock, so that others on the machine matter less; linear algebra has one
thread. A ratio is taken in one run, both sides in turns, and is the median over its repetitions (n) with a
95 % interval of that median, or their range where they are fewer than nine. Quote ratios; seconds are this
machine's. A goal that is **missed** is in bold.
"""

#: The name under which rows are kept.
_KEPT = "performance"


class _Section(NamedTuple):
    """Rows that belong together.

    Attributes:
        title: Heading.
        starts: What their claims begin with.
        text: What they mean.
    """

    title: str
    starts: tuple[str, ...]
    text: str


_SECTIONS = (
    _Section(
        "Selection",
        ("selection.",),
        "CPU time of pNSGA-III over that of pymoo's NSGA-III (`ReferenceDirectionSurvival`), for so many\n"
        "candidates and survivors of three costs: `spread` uniformly, in many fronts; on one `front`, where\n"
        "all of them are associated with reference points. pNSGA-III sorts twice, by costs and by the speed\n"
        "of learning, and chooses the same in every unit. `python benchmarks/speed.py`.",
    ),
    _Section(
        "A training step",
        ("step.",),
        "On shared weights of `darts` (16 channels, 8 cells, images of 3x32x32), with 16 or 64 images:\n"
        "the time of the dense step (eight operations on all fourteen edges of each cell, with one-hot\n"
        "weights, as the code released with CARS has them; written anew) over ours, and ours over that\n"
        "of the chosen network alone in plain torch. Ours draws and augments its batch, theirs\n"
        "have it. Pools, concatenations and factorized convolutions have quick forms in ours\n"
        "(`training.quick_forms`, `cars_hw/weights/quick.py`), torch's in theirs; `quick_ratio` is a step\n"
        "with them over one with torch's, on shared weights and where such a network is retrained. Memory:\n"
        "what a process grows by in its first step. `host_ms`: what a step on a path that is new to it\n"
        "takes beside forward, backward, clipping and SGD.\n"
        "`python benchmarks/speed.py`.",
    ),
    _Section(
        "An evaluation",
        ("evaluation.", "recalibration."),
        "The time of an evaluation of commit dfa3b7b (256 images at once, copied weights) over that of\n"
        "today, for `darts` with 16 channels and 8 cells, and for the demo's networks. `share`: of an\n"
        "evaluation of either, what recomputes the statistics of batch normalisation. `tau`: Kendall's\n"
        "tau-b of errors with statistics of so many images with those of many (2 048), 40 networks after\n"
        "the demo's warm-up, a seed each; `error off by` is the deviation of their difference.\n"
        "`python benchmarks/evaluation.py`.",
    ),
    _Section(
        "Images that judge",
        ("ranking.", "previous."),
        "Two searches were recorded image by image: the demo's, and one of 5 cells with 8 channels on\n"
        "CIFAR-10. From the candidates of each generation pNSGA-III chooses by a full set of images, by a\n"
        "second one that is as large and disjoint, and by a fifth of the first. The figure is how much more\n"
        "of the survivors, or of the first front, by the first set is among the survivors by the fifth than\n"
        "among those by the second set.\n"
        "`python benchmarks/passes.py`.",
    ),
    _Section(
        "The loop",
        ("loop.",),
        "What a generation of the demo's search (20 members, 20 offspring screened by a table of units)\n"
        "takes beside steps and evaluations. `python benchmarks/evaluation.py`.",
    ),
    _Section(
        "Screening",
        ("screening.darts.",),
        "A generation, of which 128 are chosen from a pool of 2 000, on `darts` deployed with 20 cells, by\n"
        "parameters and by the estimates of a table of units. Counting what ONNX Runtime executes of the\n"
        "chosen stands apart (`counting.` in [figures.md](figures.md)). `growth_mb` is what 15 further\n"
        "generations add to the memory. `python benchmarks/speed.py`.",
    ),
    _Section(
        "Workers",
        ("workers.", "ray."),
        "Evaluations by one process of two threads over those by two processes of one thread, in CPU time\n"
        "of all of them, and on a clock (`clock_ratio`): of the demo's 16 members, and of four networks of\n"
        "16 channels and 8 cells; weights and images are sent anew each time. `limit` is the same ratio of\n"
        "two processes that share and send nothing, in the same turns: all that this machine can give,\n"
        "whose two threads scale well on these networks since batches are small; `of_limit`: what the\n"
        "workers reach of it. `ray.overhead` is time on a clock by two workers of Ray over that by two\n"
        "processes. The machine was idle.\n"
        "`python benchmarks/workers.py`.",
    ),
    _Section(
        "The demo's search, before and now",
        ("demo_before.",),
        "The search step alone, on two cores, beside that of commit dfa3b7b, in turns, for each of three\n"
        "seeds: time on a clock (`search_ratio`) and CPU time of all processes (`search_cpu_ratio`), each\n"
        "by its own configuration of the demo. `error`: of the last front's most accurate member, on 1,000\n"
        "images that neither search saw; the difference is to be half a point at most. Spread: the range of\n"
        "seeds. `python benchmarks/demo_before.py`.",
    ),
    _Section(
        "What cheaper searches cost in quality",
        ("quality.",),
        "Searches of the demo's size, equal steps, paired by seeds: as few images as judge in the demo,\n"
        "and screening with estimated latencies (`fewer`), against all images and no screening (`plain`).\n"
        "Hypervolume of the last front by errors on images that no search saw, as a share of the box up to\n"
        "an error of 20 % and between the cheapest and dearest of 500 random networks. `difference`: the\n"
        "one-sided 95 % bound of the mean difference. `images`: those of evaluations. `python\n"
        "benchmarks/quality.py`.",
    ),
    _Section(
        "Preparing to measure",
        ("prepare.",),
        "What `cars-hw profile` computes for `darts` at CIFAR size before it measures: networks are lowered\n"
        "and what ONNX Runtime executes of them is counted; with an empty folder of caches, and with one\n"
        "that a process before has filled. Loading the libraries does not count.\n"
        "`python benchmarks/speed.py`.",
    ),
    _Section(
        "Starting",
        ("startup.",),
        "A process that prints the help of `cars-hw`, and one that imports `cars_hw.search`.\n"
        "`python benchmarks/speed.py`.",
    ),
)


def main(paths: Sequence[str]) -> None:
    """Take in the rows of files, keep them, and print the page."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    from _rows import store, stored

    by_claim = {row["claim"]: row for row in stored(_KEPT)}
    by_claim |= {row["claim"]: row for path in paths for row in json.loads(Path(path).read_text())["rows"]}
    rows = list(by_claim.values())
    if paths:
        store(_KEPT, rows)
    sections = (_shown(section, rows) for section in _SECTIONS)
    sys.stdout.write("\n".join(filter(None, [_HEAD, *sections])))


def _shown(section: _Section, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a section with its table; nothing where no benchmark told of it."""
    lines = [_line(row) for row in rows if row["claim"].startswith(section.starts)]
    if not lines:
        return ""
    head = "| claim | figure | unit | spread | peer | goal | n |\n|---|---|---|---|---|---|---|\n"
    return f"## {section.title}\n\n{section.text}\n\n{head}{''.join(lines)}"


def _line(row: Mapping[str, Any]) -> str:
    figure = _number(row["figure"])
    spread = " .. ".join(map(_number, row["spread"] or ()))
    peer = "" if row["peer"] is None else f"{row['peer_name']}: {_number(row['peer'])}"
    shown = figure if _is_met(row) else f"**{figure}**"
    cells = (f"`{row['claim']}`", shown, row["unit"], spread, peer, row["goal"], str(row["n"]))
    return f"| {' | '.join(cells)} |\n"


def _is_met(row: Mapping[str, Any]) -> bool:
    from _rows import Row

    return Row(**row).is_met()


def _number(value: float) -> str:
    return f"{value:.3g}"


if __name__ == "__main__":
    main(sys.argv[1:])
