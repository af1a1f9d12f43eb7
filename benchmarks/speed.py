"""How fast the parts of a search are: selection, screening, and what it takes to start.

Times are CPU time of this process, or of the one that is started; ratios are the median over repetitions in
which both sides take turns in one process, with a 95 % interval of that median. Linear algebra has one
thread: others count as CPU seconds while they wait in a busy loop. ``--quick`` repeats the screening once.
"""

import os
import resource
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import numpy as np
from _rows import Row, finish, option_parser
from _step_cost import dense_rows, host_rows, peak_rows, plain_rows, quick_rows
from _timing import TIMES, median_row, taken_s
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population
from screening_cost import TimedCounts, evaluated, predictor, screen

from cars_hw.candidate import Candidate
from cars_hw.evolution import nsga3, pnsga3, variation
from cars_hw.evolution.domination import Costs
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Part
from cars_hw.objectives import Latency, Macs, Parameters
from cars_hw.spaces._space import SearchSpace
from cars_hw.spaces.darts import Darts
from cars_hw.weights import modules
from latency_tables import ExecutedGraph
from profilers import runtimes

_POPULATION, _POOL = 128, 2000
_SCREENINGS = 5
#: Cold ones; each is followed by two warm ones.
_PREPARATIONS = 5
#: Generations before and between two looks at the memory; a screen remembers eight pools, and its dictionary
#: takes some more to reach its last size.
_GENERATIONS_BEFORE, _GENERATIONS_BETWEEN = 15, 15

#: Candidates, survivors, and the largest ratio that is aimed at.
_SELECTIONS = ((1000, 128, 1.0), (256, 128, 1.3), (4000, 1000, 1.5))


def selection_rows(quick: bool) -> Iterator[Row]:
    """Hold pNSGA-III against pymoo's survival of NSGA-III, which sorts once where pNSGA-III sorts twice.

    Of three costs, uniform (many fronts), and on a plane (all in one front, the most to associate).
    """
    for n, n_survivors, goal in _SELECTIONS:
        rng = np.random.default_rng(n)
        kinds = {"spread": rng.random((n, 3)), "front": rng.dirichlet(np.ones(3), n)}
        for kind, costs in kinds.items():
            ratios = _selection_ratios(costs, rng.normal(size=n), n_survivors)
            row = median_row(f"selection.ratio.{n}_{n_survivors}.{kind}", ratios, f"<= {goal:g}")
            yield replace(row, peer=1.0, peer_name="pymoo's NSGA-III")


def _selection_ratios(costs: Costs, speeds: NDArray[np.float64], n_survivors: int) -> list[float]:
    """Return the ratios of CPU time, ours to theirs, of costs ``(n, m)`` with speeds ``(n,)``."""
    lines = nsga3.reference_points(costs.shape[1], n_survivors)
    population, rng = Population.new(F=costs), np.random.default_rng(0)

    def theirs() -> None:
        # Anew each time: it keeps ideal and extreme points.
        ReferenceDirectionSurvival(lines)._do(None, population, n_survivors, random_state=rng)

    def ours() -> None:
        pnsga3.select(costs, speeds, n_survivors)

    theirs()
    ours()
    return [taken_s(ours) / taken_s(theirs) for _ in range(TIMES)]


class _Whole(Darts):
    """The same space, each network of which is spelled out."""

    def parts(self, architecture: Architecture) -> tuple[Part, ...]:
        return ()


@dataclass(frozen=True)
class KeptCounts(TimedCounts):
    """Counts, each network once for all that ask."""

    kept: dict[Architecture, ExecutedGraph] = field(default_factory=dict)

    def graphs(self, architectures: Sequence[Architecture]) -> list[ExecutedGraph]:
        """Count those that were not counted before."""
        unknown = [one for one in architectures if one not in self.kept]
        self.kept.update(zip(unknown, super().graphs(unknown), strict=True))
        return [self.kept[one] for one in architectures]


def screening_rows(quick: bool) -> Iterator[Row]:
    """Screen a generation of darts, deployed with 20 cells, by parameters and a table of units.

    Counting the chosen stands apart. Peer: where each network of the pool is spelled out.
    """
    source = KeptCounts(Darts(), runtimes.load("onnxruntime").counter(modules.build))
    whole = KeptCounts(_Whole(), source.counter, source.taken_s, source.kept)
    sides = [(one, Latency(predictor(one.space, one))) for one in (source, whole)]
    known = evaluated(source.space, sides[0][1])
    times_s = [
        [_screened_s(one, latency_ms, known, seed) for one, latency_ms in sides]
        for seed in range(1 if quick else _SCREENINGS)
    ]
    ours_s, theirs_s = zip(*times_s, strict=True)
    row = median_row("screening.darts.seconds", ours_s, "<= 1.0", unit="s")
    yield replace(row, peer=float(np.median(theirs_s)), peer_name="each network spelled out")


def _screened_s(source: KeptCounts, latency_ms: Latency, known: Sequence[Candidate], seed: int) -> float:
    """Return the CPU seconds of screening a generation, but for counting."""
    members, rng = [one.architecture for one in known], np.random.default_rng(seed)
    chooser = screen([Parameters(source.space), latency_ms], known, _POOL)

    def draw(n: int) -> list[Architecture]:
        return variation.offspring(members, source.space, n=n, rng=rng)

    source.taken_s.clear()
    return taken_s(lambda: chooser(draw, _POPULATION)) - sum(source.taken_s)


def memory_rows(quick: bool) -> Iterator[Row]:
    """Look at what later generations of screening add to the memory, where all costs are known exactly."""
    space: SearchSpace = Darts()
    costs, rng = [Parameters(space), Macs(space)], np.random.default_rng(0)
    members = variation.distinct(space, _POPULATION, rng=rng)
    known = [Candidate(one, (0.5 - sum(one) / 512, *(cost(one) for cost in costs))) for one in members]
    chooser = screen(costs, known, 200 if quick else _POOL)

    def generations(n: int) -> int:
        for _ in range(n):
            chooser(lambda n: variation.offspring(members, space, n=n, rng=rng), _POPULATION)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before, after = generations(_GENERATIONS_BEFORE), generations(_GENERATIONS_BETWEEN)
    tracemalloc.stop()
    yield Row("screening.darts.growth_mb", (after - before) / 2**20, "MB", "<= 1.0", n=_GENERATIONS_BETWEEN)


def startup_rows(quick: bool) -> Iterator[Row]:
    """Start processes in turns: to list the verbs, to import the search, and to do nothing."""
    commands = {
        "startup.help_s": (["-m", "cars_hw", "--help"], "<= 0.5"),
        "startup.import_search_s": (["-c", "import cars_hw.search"], "<= 0.6"),
        "": (["-c", "pass"], ""),
    }
    times_s: dict[str, list[float]] = {claim: [] for claim in commands}
    for _ in range(TIMES + 1):
        for claim, (words, _) in commands.items():
            times_s[claim].append(_started_s(words))
    bare_s = float(np.median(times_s.pop("")[1:]))
    for claim, found_s in times_s.items():  # the first finds the files on the disk
        row = median_row(claim, found_s[1:], commands[claim][1], unit="s")
        yield replace(row, peer=bare_s, peer_name="Python alone")


def _started_s(words: Sequence[str]) -> float:
    """Return the CPU seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def prepare_rows(quick: bool) -> Iterator[Row]:
    """Prepare a table of darts for CIFAR, with an empty folder of caches and with a full one.

    Peer: the empty one. Before anything was kept, each process lowered every network twice.
    """
    colds_s, warms_s = list[float](), list[float]()
    for _ in range(1 if quick else _PREPARATIONS):
        with tempfile.TemporaryDirectory() as cache:
            colds_s.append(_prepared_s(cache))
            warms_s += [_prepared_s(cache) for _ in range(2)]
    cold = median_row("prepare.cold_s", colds_s, "<= 25", unit="s")
    yield cold
    warm = median_row("prepare.warm_s", warms_s, "<= 2", unit="s")
    yield replace(warm, peer=cold.figure, peer_name="an empty folder of caches")


def _prepared_s(cache: str) -> float:
    """Return the CPU seconds that a process takes, but for loading its libraries."""
    script = Path(__file__).with_name("_preparing.py")
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    ended = subprocess.run(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(ended.stdout)


#: Each is independent of the others.
_CLAIMS: Mapping[str, Callable[[bool], Iterable[Row]]] = {
    "selection": selection_rows,
    "startup": startup_rows,
    "memory": memory_rows,
    "screening": screening_rows,
    "prepare": prepare_rows,
    "host": host_rows,
    "plain": plain_rows,
    "quick": quick_rows,
    "dense": dense_rows,
    "peak": peak_rows,
}


def main() -> None:
    """Print the rows."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--only", choices=list(_CLAIMS), action="append", help="these; all if not given")
    options = parser.parse_args()
    finish([row for name in options.only or _CLAIMS for row in _CLAIMS[name](options.quick)], options)


if __name__ == "__main__":
    main()
