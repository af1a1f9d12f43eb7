"""On how many images members need be judged: two searches, recorded image by image, are selected from again.

From the candidates of each generation pNSGA-III chooses by all images of the set A, as the recorded search
did; by those of the disjoint set B, as many; and by a drawn fifth of A, the same for all candidates,
with both weights. Survivors: share of those by A that are chosen too. Front: share of the first front by A
that is chosen. A figure is what the fifth holds beyond what B does: the mean over generations and draws of
the fifth, with an interval over draws. ``redrawn``: A and B are drawn anew, too, from the images of both.

``error`` goes by the error on the fifth alone, ``doubt`` by its mean with what probability the true class
lacks, ``steadied`` by what the search makes of errors and losses. ``few`` is what errors with statistics of
normalisation of 64 images hold beyond those of 256, on the same images. ``previous.passes``: images that pass
with the weights of before, recalibration included, by those of a fifth over those of all.

``--quick`` analyses what is stored.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from _recording import SEARCHES, Round, Seen, record, recorded
from _rows import Row, finish, option_parser
from numpy.typing import NDArray

from cars_hw.evolution import pnsga3
from cars_hw.evolution.domination import fronts
from cars_hw.evolution.steadying import steadied
from cars_hw.networks.architecture import Architecture

_WORK = Path(__file__).parents[1] / "runs" / "passes"
_DRAWS, _QUICK_DRAWS = 60, 20
_SURVIVORS, _SHARE = 20, 5
_GOAL = ">= -0.01"
#: Fitness images and images of recalibration at the paper's scale.
_PAPER = (25_000, 1024)

Places = NDArray[np.intp]
Errors = NDArray[np.float64]
#: Errors with the weights of the moment, and with those of before, ``(n,)`` each.
Both = tuple[Errors, Errors]


@dataclass(frozen=True)
class _Table:
    """What was seen of the candidates of a round with some weights, ``(n, i)`` each.

    Attributes:
        wrong: Of the images of A and B, in this order, whether they were classified wrongly.
        loss: Of those of A.
        few_wrong: Of the first ones of A, where few images were recalibrated on.
    """

    wrong: NDArray[np.bool_]
    loss: NDArray[np.float32]
    few_wrong: NDArray[np.bool_]

    @classmethod
    def of(cls, seen: Sequence[Seen]) -> "_Table":
        """Return the table of what was seen."""
        wrong = [np.concatenate([one.right, one.right_b]) for one in seen]
        few, loss = [one.few_right for one in seen], [one.loss for one in seen]
        return cls(~np.stack(wrong), np.stack(loss), ~np.stack(few))

    def error(self, images: Places) -> Errors:
        """Return the share of wrong ones, ``(n,)``."""
        return _mean(self.wrong[:, images])

    def few_error(self, images: Places) -> Errors:
        """Return that where few images were recalibrated on, ``(n,)``."""
        return _mean(self.few_wrong[:, images])

    def doubt(self, images: Places) -> Errors:
        """Return the mean of the error and of what probability the true class lacks, ``(n,)``."""
        lacking: Errors = 1.0 - _mean(np.exp(-self.loss[:, images]))
        return (self.error(images) + lacking) / 2

    def steadied(self, images: Places) -> Errors:
        """Return errors that are steadied by losses, ``(n,)``."""
        return steadied(self.error(images), self.loss[:, images].mean(axis=1, dtype=np.float64))

    def part(self, candidates: Places) -> "_Table":
        """Return the table of some candidates alone."""
        return _Table(self.wrong[candidates], self.loss[candidates], self.few_wrong[candidates])


def _mean(values: NDArray[np.bool_] | NDArray[np.float32]) -> Errors:
    """Return the mean of each row."""
    found: Errors = values.mean(axis=1, dtype=np.float64)
    return found


@dataclass(frozen=True)
class _Tabled:
    """A recorded generation after the first, with its tables."""

    found: Round
    now: _Table
    before: _Table


@dataclass(frozen=True)
class _Images:
    """Which images judge.

    Attributes:
        full: The full set.
        second: One that is as large, and disjoint.
        fifth: Of the full set.
        few: Some that were seen with few recalibrated on too.
    """

    full: Places
    second: Places
    fifth: Places
    few: Places

    @classmethod
    def drawn(cls, table: _Table, rng: np.random.Generator, *, redrawn: bool) -> "_Images":
        """Draw a fifth of A; of both sets together a new A before, where that is wanted."""
        n_a = table.loss.shape[1]
        mixed = rng.permutation(2 * n_a) if redrawn else np.arange(2 * n_a)
        full, second = mixed[:n_a], mixed[n_a:]
        seen = rng.permutation(full[full < n_a])  # losses are those of the recorded A
        few = seen[seen < table.few_wrong.shape[1]]
        return cls(full, second, seen[: n_a // _SHARE], few[: (len(few) + 1) // 2])


def chosen(one: _Tabled, both: Both) -> set[int]:
    """Return the places of the candidates that survive by these errors."""
    costs = np.column_stack([both[0], one.found.costs])
    return set(pnsga3.select(costs, both[1] - both[0], _SURVIVORS).tolist())


def ways(rounds: Sequence[_Tabled], images: _Images) -> Iterator[Mapping[str, Both]]:
    """Yield for each round the errors of its candidates, by each way to judge them."""
    former: dict[Architecture, float] = {}
    for one in rounds:

        def by(judged: Callable[[_Table], Errors], tables: _Tabled = one) -> Both:
            return judged(tables.now), judged(tables.before)

        now, before = one.now.steadied(images.fifth), _before(one, images, former)
        yield {
            "second": by(partial(_Table.error, images=images.second)),
            "error": by(partial(_Table.error, images=images.fifth)),
            "doubt": by(partial(_Table.doubt, images=images.fifth)),
            "steadied": (now, before),
            "few": by(partial(_Table.few_error, images=images.few)),
            "many": by(partial(_Table.error, images=images.few)),
            "full": by(partial(_Table.error, images=images.full)),
        }
        former = dict(zip(one.found.architectures, now.tolist(), strict=True))


def _before(one: _Tabled, images: _Images, former: Mapping[Architecture, float]) -> Errors:
    """Return the previous errors as the search has them: members' are of the round before."""
    asked = one.found.architectures
    new = np.array([place for place, candidate in enumerate(asked) if candidate not in former])
    errors = np.array([former.get(candidate, 0.0) for candidate in asked])
    errors[new] = one.before.part(new).steadied(images.fifth)
    return errors


def held(one: _Tabled, judged: Mapping[str, Both]) -> dict[str, tuple[float, float]]:
    """Return for each way what share of survivors and of the first front by the full set it holds."""
    costs = np.column_stack([judged["full"][0], one.found.costs])
    kept, first = chosen(one, judged["full"]), set(fronts(costs)[0].tolist())
    found = {}
    for way, both in judged.items():
        survivors = chosen(one, both)
        found[way] = len(survivors & kept) / len(kept), len(survivors & first) / len(first)
    return found


def rows(name: str, draws: int, *, redrawn: bool) -> Iterator[Row]:
    """Return the claims of one search."""
    rounds = [_Tabled(one, _Table.of(one.now), _Table.of(one.before)) for one in recorded(name) if one.before]
    rng = np.random.default_rng(0)
    drawn = [_Images.drawn(rounds[0].now, rng, redrawn=redrawn) for _ in range(draws)]
    found = [[held(*pair) for pair in zip(rounds, ways(rounds, images), strict=True)] for images in drawn]
    kind = f"{name}.redrawn" if redrawn else name
    for place, what in enumerate(("survivors", "front")):
        mean = {
            way: np.array([np.mean([one[way][place] for one in draw]) for draw in found])
            for way in found[0][0]
        }
        for way in ("steadied", "error", "doubt"):
            goal = _GOAL if way == "steadied" and not redrawn else ""
            yield _row(f"ranking.passes.{kind}.{what}.{way}", mean[way], mean["second"], "B", goal)
        if not redrawn:
            yield _row(f"ranking.few.{kind}.{what}", mean["few"], mean["many"], "256 images", "")


def _row(claim: str, ours: Errors, theirs: Errors, whose: str, goal: str) -> Row:
    """Return the mean difference over draws, with its interval; the peer is what the other holds."""
    differences = ours - theirs
    mean, off = float(differences.mean()), 1.96 * float(differences.std(ddof=1)) / len(differences) ** 0.5
    spread = (mean - off, mean + off)
    return Row(
        claim,
        mean,
        goal=goal,
        spread=spread,
        peer=float(theirs.mean()),
        peer_name=f"{whose} holds",
        n=len(differences),
        source="stored",
    )


def previous_row() -> Row:
    """Return what passes with the weights of before at the paper's scale, by a fifth over by all."""
    fitness, recalibration = _PAPER
    share = (fitness / _SHARE + recalibration) / (fitness + recalibration)
    return Row("previous.passes.paper", share, goal="<= 0.3333")


def main() -> None:
    """Record what is missing, and print the rows."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--record", choices=SEARCHES, help="record this search alone")
    options = parser.parse_args()
    if options.record:
        record(options.record, _WORK)
        return
    for name in () if options.quick else SEARCHES:
        record(name, _WORK)
    draws = _QUICK_DRAWS if options.quick else _DRAWS
    found = [
        row for name in SEARCHES for redrawn in (False, True) for row in rows(name, draws, redrawn=redrawn)
    ]
    finish([*found, previous_row()], options)


if __name__ == "__main__":
    main()
