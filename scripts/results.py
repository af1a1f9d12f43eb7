"""Writes docs/results.md from what ranking.py and end_to_end.py of benchmarks found and stored.

usage: python scripts/results.py > docs/results.md
"""

import hashlib
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
_SUBSETS = {"all": "all", "under15": "error up to 15 %", "best_tenth": "best tenth"}

_HEAD = """# Does it work?

Written by `scripts/results.py` from what `ranking.py` and `end_to_end.py` of `benchmarks` stored, with
hashes, in `benchmarks/results`.

A search on shared weights is judged here by a truth that others made: all networks of NAS-Bench-201, each
with its accuracy on CIFAR-10 after 200 epochs on its own, its parameters, and its latency measured on a
Pixel 3. The search trains that space's SuperNet (16 channels, one cell in each stage) on CIFAR-10, and
never sees those accuracies; nothing is retrained afterwards.
"""

_RANKING = """
## How well shared weights rank networks

Kendall's tau between the error on shared weights and the published one, with the middle 95 % over
resamplings of the networks (and of seeds, where there are several). Settings differ in one factor each from
the first, at equal cost of training. *Parameters*, *live parameters* and *12 epochs* need no
SuperNet: the number of parameters, that of operations that reach the output alone, and validation accuracy
after 12 epochs on one's own. *Error* is that of the SuperNet, *loss* the
mean loss on the same images; *joined*, losses with sizes, is what `cars` goes by (`errors = "joined"`), and
*modelled* its `errors = "modelled"`. The shares of losses and sizes in *joined*, one and four fifths, were
chosen by `emulated.py`: by the losses of the 1 000 networks and accuracies on other data sets. CPU seconds
are those of training and of judging the networks, on one thread; they are more where the machine did other
things meanwhile.
"""

_JUDGED = """
## What searches find

Each search gives 20 members of its last front, chosen by what it knows; they were stored with a hash before
another process judged them by published error, parameters and measured latency, by the definition of
`nb201_hv_definition.json`. The *gain* is 0 where a front is as good as blind choice (the better of 20
random networks and of the same loop with parameters in place of accuracy), and 1 where it is as good as the
same loop driven by published accuracy. All arms have the CPU seconds of the default. Intervals are 95 %, by
Student's t over seeds.
"""
_BOUNDS = {
    "whole": "all networks are known",
    "truth": "published accuracy in the same loop",
    "early": "accuracy after 12 epochs on one's own in the same loop",
    "live": "live parameters in the same loop",
    "parameters": "parameters in the same loop",
    "random": "20 random networks",
}

_CLAIMS = """
## What the papers claim, and what was reproduced

Not reproduced is what takes days of a GPU or ImageNet: no GPU was used. What published networks cost is
recomputed in the tests of spaces. Searches of three seeds describe: where intervals overlap, nothing is told
apart. How many members they end with, in many few, `end_to_end.py` prints (`n`).

"""
_PAPERS = (
    (
        "CARS",
        "error of 2.62 to 3.00 % on CIFAR-10 in 0.4 days of a GPU",
        "not reproduced; parameters recomputed",
    ),
    ("CARS", "small networks push out large ones; sorting by speed protects these", "{trap}"),
    ("EvNAS", "error of 2.47 % on CIFAR-10", "not reproduced; parameters recomputed"),
    ("EvNAS", "7.82 ± 1.11 % on CIFAR-10 in NAS-Bench-201, 5.6 hours of a GPU", "{evnas}"),
    ("EvNAS", "weights of decoding train and judge better than 1 and 0", "{decoding}"),
    (
        "NSE",
        "77.3 % on ImageNet with 333 M multiply-accumulates",
        "not reproduced; these and latencies recomputed",
    ),
    ("NSE", "a space that evolves over rounds holds better networks", "{rounds}"),
    ("G-EvoNAS", "pruning by elites weakens the coupling of weights", "{pruning}"),
    ("G-EvoNAS", "0.2 days of a GPU", "not reproduced; neither code nor full text was available to us"),
)


def main() -> None:
    """Print the page."""
    parts = [_HEAD, *_ranking("judged", "1 000 networks"), *_ranking("pilot", "200 networks of the pilot")]
    sys.stdout.write("".join([*parts, *_judged(), *_claims()]))


def _ranking(which: str, what: str) -> Iterator[str]:
    rows = _stored(f"ranking_{which}")
    if which == "judged":
        yield _RANKING
    if rows is None:
        yield f"\n**On {what} nothing has been run yet.**\n"
        return
    by_claim = {row["claim"]: row for row in rows}
    yield f"\n### On {what}\n\n"
    yield _line(["", *_SUBSETS.values(), "CPU seconds, seeds"])
    yield "|---" * 5 + "|\n"
    names = {"parameters": "parameters", "live": "live parameters", "early": "12 epochs"}
    for claim in _rankers(by_claim):
        cells = [by_claim[f"ranking.tau.{claim}.{subset}"] for subset in _SUBSETS]
        spent = by_claim.get(f"ranking.cpu_s.{claim.partition('.')[0]}")
        cost = "" if spent is None else f"{spent['figure']:.0f}, {spent['n']}"
        yield _line([names.get(claim, claim.replace(".", ", ")), *map(_cell, cells), cost])
    goal = next((row for row in rows if row["goal"]), None)
    if goal is not None:
        verdict = "is above" if goal["figure"] >= 0 else "is **not** shown to be above"
        beside = by_claim[goal["claim"].replace("above_parameters", "above_live")]
        low, high = beside["spread"]
        told = "is not told apart from" if low <= 0 <= high else "differs from"
        text = (
            f"Over networks of error up to 15 %, the default {verdict} parameters: with 95 % confidence "
            f"the difference is at least {goal['figure']:+.3f} (goal: above 0). "
            f"It {told} counting live parameters: {beside['figure']:+.3f} [{low:+.3f}, {high:+.3f}]."
        )
        yield f"\n{textwrap.fill(text, 118)}\n"


def _rankers(by_claim: Mapping[str, Any]) -> list[str]:
    """Return what ranks, in the order of the rows."""
    prefix, suffix = "ranking.tau.", ".all"
    return [
        claim.removeprefix(prefix).removesuffix(suffix)
        for claim in by_claim
        if claim.startswith(prefix) and claim.endswith(suffix)
    ]


def _judged() -> Iterator[str]:
    yield _JUDGED
    rows = _figures()
    if rows is None:
        yield "\n**No search has been judged yet.**\n"
        return
    by_claim = {row.claim: row for row in rows}
    for rival in ("random_search", "macs"):
        base = f"end_to_end.gain.above_{rival}"
        if base in by_claim:
            difference = _told_apart(by_claim[base], by_claim[f"{base}.detectable"])
            yield _point(f"against {rival.replace('_', ' ')}: {difference}")
    above = by_claim.get("end_to_end.gain.above_live")
    if above is not None:
        low, high = above.spread
        added = "adds" if low > 0 else "takes away" if high < 0 else "is **not shown** to add anything"
        yield _point(
            "against the same loop by live parameters alone, with no SuperNet: the difference in gain is "
            f"{above.figure:+.3f} [{low:+.3f}, {high:+.3f}]; training on shared weights {added}"
        )
    yield "\n\n" + _line(["", "gain", "hypervolume", "IGD+", "regret of the knee, %", "CPU seconds", "seeds"])
    yield "|---" * 7 + "|\n"
    arms = [row.claim.removesuffix(".gain") for row in rows if row.claim.endswith(".gain")]
    for base in arms:
        columns = ("gain", "hypervolume", "igd_plus", "regret", "cpu_s")
        found = [by_claim.get(f"{base}.{name}") for name in columns]
        cells = ["—" if row is None else _text(row.figure, row.spread) for row in found]
        yield _line([_named(base), *cells, str(by_claim[f"{base}.gain"].n)])
    saved = by_claim.get("end_to_end.saved_against_macs")
    if saved is not None:
        won = _text(saved.figure, saved.spread)
        yield f"\nLatency in place of multiply-accumulates wins {won} ms at equal error.\n"


def _point(text: str) -> str:
    return f"\n{textwrap.fill(text, 118, initial_indent='* ', subsequent_indent='  ')}"


def _named(base: str) -> str:
    """Return in words what a row's figures are of."""
    from _truth_arms import ARMS

    name = base.removeprefix("end_to_end").removeprefix(".") or "default"
    if name.startswith("bound."):
        return f"bound: {_BOUNDS[name.removeprefix('bound.')]}"
    return f"`{name}`: {ARMS[name].what}"


def _told_apart(difference: Any, detectable: Any) -> str:
    low, high = difference.spread
    verdict = "**not told apart**" if low <= 0 <= high else "told apart"
    return (
        f"{detectable.figure:.3f} could be detected over {difference.n} seeds; the difference in gain is "
        f"{difference.figure:+.3f} [{low:+.3f}, {high:+.3f}]: {verdict}"
    )


def _claims() -> Iterator[str]:
    rows = {row.claim: row for row in _figures() or ()}

    def shown(claim: str) -> str:
        row = rows.get(f"end_to_end.{claim}")
        return "not run yet" if row is None else _text(row.figure, row.spread)

    found = {
        "{trap}": f"gain with speeds: {shown('plain.gain')}; without: {shown('nsga3.gain')}",
        "{decoding}": f"gain with them: {shown('evnas.gain')}; with 1 and 0: {shown('evnas_hard.gain')}",
        "{rounds}": f"gain by rounds: {shown('nse.gain')}; by one: {shown('nse_one_round.gain')}",
        "{pruning}": (
            f"tau of its last population with it: {shown('g_evonas.tau')}; without: "
            f"{shown('g_evonas_unpruned.tau')}; gain with it: {shown('g_evonas.gain')}; without: "
            f"{shown('g_evonas_unpruned.gain')}"
        ),
        "{evnas}": f"least error of 20 members, %: {shown('evnas.error')}",
    }
    yield _CLAIMS
    yield _line(["paper", "claim", "here"]) + "|---" * 3 + "|\n"
    for paper, claim, here in _PAPERS:
        yield _line([paper, claim, found.get(here, here)])


def _figures() -> Sequence[Any] | None:
    """Return the rows of the searches that were judged; ``None`` where there are none."""
    raw = _stored("end_to_end")
    if raw is None:
        return None
    sys.path.insert(0, str(_RESULTS.parent))
    from _truth_figures import rows

    found: Sequence[Any] = rows(raw, "stored")
    return found


def _stored(name: str) -> Any:
    path = _RESULTS / f"{name}.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    if content["sha256"] != hashlib.sha256(json.dumps(content["raw"], sort_keys=True).encode()).hexdigest():
        sys.exit(f"{path} was changed by hand: its hash does not hold")
    return content["raw"]


def _cell(row: Mapping[str, Any]) -> str:
    return _text(row["figure"], row["spread"])


def _text(figure: float, spread: Sequence[float] | None) -> str:
    shown = f"{figure:.0f}" if abs(figure) >= 100 else f"{figure:.3f}"
    if spread is None:
        return shown
    low, high = (f"{end:.0f}" if abs(figure) >= 100 else f"{end:.3f}" for end in spread)
    return f"{shown} [{low}, {high}]"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    main()
