"""Searches of NAS-Bench-201 that look losses up, by which defaults of ``cars`` were chosen; seconds each.

What the SuperNets of ``ranking.py`` found of 1 000 networks is fitted by their options and pairs of these,
and what the fit leaves is drawn anew for each other network: so all have a loss, as noisy as it is. A search
is judged as in ``end_to_end.py``, but by accuracies on other images and by latencies of other devices.

Factors: the share of the losses where they are joined with sizes, and whether what is evaluated is screened.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import combinations, product
from pathlib import Path
from unittest import mock

import numpy as np
from _nb201 import Truth, elsewhere, load
from _rank_figures import estimates, published
from _rows import Row, finish, parse_options, store, stored
from _truth_figures import interval
from _truth_judge import looped
from end_to_end import make_extract
from numpy.typing import NDArray
from ranking import STORE

from cars_hw.evolution import estimating
from cars_hw.ledger import Weights
from cars_hw.networks.architecture import Architecture
from cars_hw.tabular_trainer import TabularTrainer

Floats = NDArray[np.float64]

RESULTS = "emulated"
RECORDED = ("judged.rate4.seed0", "judged.rate4.seed1", "judged.fair-triple.seed0")
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0)
SEEDS = range(100, 102)
#: Of the fit, in numbers of networks that have a pair of options.
_RIDGE = 3.0
#: A loss that stands for no accuracy at all.
_WORST_LOSS = 5.0


class LookedUpLosses(TabularTrainer):
    """A trainer that looks losses up, too, and whose weights seem to move.

    Args:
        losses: Of all networks.
    """

    def __init__(self, losses: Mapping[Architecture, float]) -> None:
        accuracies = {one: (1.0 - min(loss / _WORST_LOSS, 1.0),) for one, loss in losses.items()}
        super().__init__(accuracies)
        self._losses, self.last_loss = losses, 0.0

    @property
    def has_fixed_errors(self) -> bool:
        """As of weights that train."""
        return False

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        """Look accuracy and loss up."""
        self.last_loss = self._losses[architecture]
        return super().accuracy(architecture, weights)


def losses_of(truth: Truth, recorded: str, seed: int) -> Floats:
    """Return a loss for each network, (networks,): the recorded ones, and what is as likely of the others."""
    networks = published("judged")
    told = np.log(estimates(STORE.read(recorded), networks, "judged")["loss"])
    told = np.minimum(told, np.quantile(told, 0.995))
    known = np.array([truth.index[one] for one in networks.architectures])
    features = _pairs(np.array(truth.architectures))
    rng = np.random.default_rng(seed)
    folds = rng.permutation(len(known)) % 10
    left = np.empty_like(told)
    for fold in range(10):
        is_in = folds != fold
        weights, mean = _fitted(features[known[is_in]], told[is_in])
        left[~is_in] = told[~is_in] - features[known[~is_in]] @ weights - mean
    weights, mean = _fitted(features[known], told)
    found = features @ weights + mean + rng.choice(left, len(features))
    found[known] = told
    losses: Floats = np.exp(found)
    return losses


def _fitted(features: Floats, targets: Floats) -> tuple[Floats, float]:
    """Return the weights and the constant of a ridge regression."""
    centre, mean = features.mean(axis=0), float(targets.mean())
    own = features - centre
    weights: Floats = np.linalg.solve(own.T @ own + _RIDGE * np.eye(own.shape[1]), own.T @ (targets - mean))
    return weights, mean - float(centre @ weights)


def _pairs(options: NDArray[np.int64]) -> Floats:
    """Return which options, and which pairs of them, each network has, (networks, features)."""
    one_hot = (options[:, :, None] == np.arange(options.max() + 1)).astype(np.float64)
    edges = [one_hot[:, edge] for edge in range(options.shape[1])]
    pairs = [(a[:, :, None] * b[:, None, :]).reshape(len(options), -1) for a, b in combinations(edges, 2)]
    found: Floats = np.hstack([*edges, *pairs])
    return found


def rows() -> Iterator[Row]:
    """Search by each share, screened and not, for each recorded SuperNet and seed."""
    truth = load()
    devices = elsewhere(truth)
    emulated = [
        dict(zip(truth.architectures, losses_of(truth, name, number).tolist(), strict=True))
        for number, name in enumerate(RECORDED)
    ]
    with tempfile.TemporaryDirectory() as folder:
        table = make_extract(Path(folder)) / "pixel3.jsonl"
        for share, is_screened in product(SHARES, (False, True)):
            with (
                mock.patch.object(estimating, "_LOSS_SHARE", share),
                mock.patch.object(estimating, "_SIZE_SHARE", 1.0 - share),
            ):
                chosen = [
                    looped(LookedUpLosses(losses), seed, table, is_screened=is_screened)
                    for losses, seed in product(emulated, SEEDS)
                ]
            places = [np.array([truth.index[one] for one in own]) for own in chosen]
            found = np.array([np.mean([device.judge(own)[0] for device in devices]) for own in places])
            name = f"emulated.hypervolume.share{share * 100:.0f}{'.screened' if is_screened else ''}"
            yield Row(name, float(found.mean()), spread=interval(found), n=len(found))
            print(f"{name}: {found.mean():.4f}", flush=True)


def main() -> None:
    """Search, or show what searches found."""
    options = parse_options(__doc__ or "")
    if not options.quick:
        store(RESULTS, json.loads(json.dumps([asdict(row) for row in rows()])))
    found = stored(RESULTS)
    finish([Row(**{**row, "spread": tuple(row["spread"]), "source": "stored"}) for row in found], options)


if __name__ == "__main__":
    main()
