"""On how many images members need be judged: two searches, recorded image by image, are selected from again.

Of all recorded images that judge, a random half counts as the full set, the other half as a second one. From
the candidates of each generation pNSGA-III chooses by the full set, as the search does; by the second one;
and by a fifth of the first, the same for all candidates and for both weights. Survivors: share of those by
the full set that are chosen too. Front: share of its first front that survives. The fifth is to hold as many
as the second full set does. Figures are means over generations and draws of the images, intervals are over
draws.

``--quick`` analyses what is stored.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _recording import SEARCHES, Round, Seen, record, recorded
from _rows import Row, finish, option_parser
from numpy.typing import NDArray

from cars_hw.evolution import pnsga3
from cars_hw.evolution.domination import fronts

_WORK = Path(__file__).parents[1] / "runs" / "passes"
_DRAWS, _QUICK_DRAWS = 60, 20
_SURVIVORS = 20
_SHARE = 5
#: What the fifth may fall short of a second full set.
_GOAL = ">= -0.01"

Errors = NDArray[np.float64]
#: Errors with the weights of the moment, and with those of before, ``(n,)`` each.
Both = tuple[Errors, Errors]
#: Errors by which images are wrong, and their losses, ``(n, i)`` each.
Estimator = Callable[[NDArray[np.bool_], NDArray[np.float32]], Errors]


def error(wrong: NDArray[np.bool_], loss: NDArray[np.float32]) -> Errors:
    """Return the share of wrong images."""
    return wrong.mean(axis=1, dtype=np.float64)


def error_and_doubt(wrong: NDArray[np.bool_], loss: NDArray[np.float32]) -> Errors:
    """Return the mean of the error and of what probability the true class lacks."""
    return (error(wrong, loss) + (1.0 - np.exp(-loss)).mean(axis=1, dtype=np.float64)) / 2


def error_and_loss(wrong: NDArray[np.bool_], loss: NDArray[np.float32]) -> Errors:
    """Return the mean of the error and of a line through all candidates' errors over their losses."""
    errors, losses = error(wrong, loss), loss.mean(axis=1, dtype=np.float64)
    return (errors + np.polyval(np.polyfit(losses, errors, 1), losses)) / 2


_ESTIMATORS: dict[str, Estimator] = {
    "error": error,
    "error_and_doubt": error_and_doubt,
    "error_and_loss": error_and_loss,
}


@dataclass(frozen=True)
class _Table:
    """What was seen of a round's candidates, ``(n, i)`` each.

    Attributes:
        wrong: Of the images of A and B, in this order.
        loss: Of those of A.
        few_wrong: Of the first ones of A, where few images were recalibrated on.
    """

    wrong: NDArray[np.bool_]
    loss: NDArray[np.float32]
    few_wrong: NDArray[np.bool_]

    @classmethod
    def of(cls, seen: Sequence[Seen]) -> "_Table":
        """Return the table of a round with one of its weights."""
        wrong = ~np.stack([np.concatenate([one.right, one.right_b]) for one in seen])
        few = ~np.stack([one.few_right for one in seen])
        return cls(wrong, np.stack([one.loss for one in seen]), few)


@dataclass(frozen=True)
class _Choice:
    """What a selection came to, beside that by the full set: shares of survivors and of the first front."""

    survivors: float
    front: float


def choices(found: Round, rng: np.random.Generator) -> Mapping[str, _Choice]:
    """Return how each way to judge chooses from a round's candidates, for one draw of the images."""
    tables = (_Table.of(found.now), _Table.of(found.before))
    n_a, n_few = tables[0].loss.shape[1], tables[0].few_wrong.shape[1]
    drawn = rng.permutation(2 * n_a)
    full, second = drawn[:n_a], drawn[n_a:]
    of_a = full[full < n_a]
    fifth, few = of_a[: n_a // _SHARE], of_a[of_a < n_few]

    def errors(images: NDArray[np.intp]) -> Both:
        now, before = (table.wrong[:, images].mean(axis=1) for table in tables)
        return now, before

    def estimates(estimator: Estimator) -> Both:
        now, before = (estimator(table.wrong[:, fifth], table.loss[:, fifth]) for table in tables)
        return now, before

    few_now, few_before = (table.few_wrong[:, few].mean(axis=1) for table in tables)
    ways = {
        "second": errors(second),
        **{name: estimates(estimator) for name, estimator in _ESTIMATORS.items()},
        "part": errors(few),
        "few": (few_now, few_before),
    }
    now, before = errors(full)
    kept = _survivors(found, now, before)
    first = set(fronts(np.column_stack([now, found.costs]))[0].tolist())
    chosen = {name: _survivors(found, *both) for name, both in ways.items()}
    return {
        name: _Choice(len(some & kept) / len(kept), len(some & first) / len(first))
        for name, some in chosen.items()
    }


def _survivors(found: Round, now: Errors, before: Errors) -> set[int]:
    costs = np.column_stack([now, found.costs])
    return set(pnsga3.select(costs, before - now, _SURVIVORS).tolist())


def rows(name: str, draws: int) -> Iterator[Row]:
    """Return the claims of one search."""
    rounds = [one for one in recorded(name) if one.before]
    rng = np.random.default_rng(0)
    found = [[choices(one, rng) for one in rounds] for _ in range(draws)]
    for what in ("survivors", "front"):

        def means(way: str, of: str = what) -> Errors:
            return np.array([np.mean([getattr(one[way], of) for one in draw]) for draw in found])

        for way in _ESTIMATORS:
            claim = f"ranking.passes.{name}.{what}.{way}"
            yield _row(
                claim, means(way), means("second"), "a second full set", _GOAL if way == _CHOSEN else ""
            )
        yield _row(f"recalibration.few.{name}.{what}", means("few"), means("part"), "256 images", "")


_CHOSEN = "error"


def _row(claim: str, ours: Errors, theirs: Errors, whose: str, goal: str) -> Row:
    """Return the mean difference over draws, with its interval, and the other's mean."""
    differences = ours - theirs
    mean, off = float(differences.mean()), 1.96 * float(differences.std(ddof=1)) / len(differences) ** 0.5
    return Row(
        claim,
        mean,
        goal=goal,
        spread=(mean - off, mean + off),
        peer=float(theirs.mean()),
        peer_name=whose,
        n=len(differences),
        source="stored",
    )


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
    finish([row for name in SEARCHES for row in rows(name, draws)], options)


if __name__ == "__main__":
    main()
