"""Ranking the networks of a device of which nothing is known but the latencies of 10 or 20 whole networks.

NAS-Bench-201 on six devices of HELP (an independent lab's measurements; eyeriss and fpga are simulated): a
device has one latency for each of the 15 625 networks. n of them are seen; the figure is Spearman's
correlation of what is predicted with what was measured, over the networks whose latency is in the middle 80 %
and that were not seen. Networks without a path from input to output are never among the n.

Whatever is chosen is chosen by the n networks: their design by the counts of their operations alone, the
weights of the three ways to count by their latencies. The constants, here and in ``latency_tables.networks``,
were chosen by other columns of the same file, and other seeds.

Peer, in the same run: least squares of five coefficients (a constant, four operations) on n random networks,
the way to count chosen by leaving one out. Beside it, the method on those random networks.
"""

import csv
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from _rows import Row, finish, parse_options, store, stored
from numpy.typing import NDArray
from scipy.stats import spearmanr

from latency_tables.networks import design, regression

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
#: How n networks are chosen, and how all are predicted from the latencies of those.
Method = tuple[
    Callable[["Networks", int, np.random.Generator], Indices],
    Callable[["Networks", Indices, Floats], Floats],
]
#: By method and n, for each device, the correlation of each seed.
Scores = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]

DEVICES = ("titan_rtx_256", "gold_6226", "pixel2", "raspi4", "eyeriss", "fpga")
SIZES = (10, 20)
SEEDS = 20
GOALS = {10: 0.945, 20: 0.950}
PEER = "five coefficients"

#: Networks that the design chooses from.
POOL = 1000
#: Shares of the average latency: of the constant, and of each operation.
SHARES, SHARE_DEVIATIONS = np.full(5, 0.2), np.full(5, 0.3)

_RESULTS = "networks_only"
_FOLDER = Path(os.environ.get("CARS_HW_DATA", Path(__file__).parents[2] / "shared" / "data")) / "nb201"
_EDGES, _OPTIONS, _NONE = 6, 5, 0


class Networks:
    """All cells, as counts of four operations and a constant by each way to count.

    Args:
        codes: The option of each edge, 0→1, 0→2, 1→2, 0→3, 1→3, 2→3, (m, 6).

    Attributes:
        rules: For every edge, for those that the output reads, and for those that carry the image to the
            output, the features, (m, 5).
        connected: The cells with a path from input to output, (k,).
    """

    def __init__(self, codes: Indices) -> None:
        is_there = codes != _NONE
        e01, e02, e12, e03, e13, e23 = is_there.T
        into1 = e01
        into2 = e02 | (e12 & into1)
        from2 = e23
        from1 = e13 | (e12 & from2)
        read = np.column_stack([e01 & from1, e02 & from2, e12 & from2, e03, e13, e23])
        ones = np.ones(len(codes), dtype=bool)
        carried = read & np.column_stack([ones, ones, into1, ones, into1, into2])
        self.rules = tuple(_counted(codes, edges) for edges in (is_there, read, carried))
        self.connected = np.flatnonzero(carried.any(axis=1))


def designed(networks: Networks, n: int, rng: np.random.Generator) -> Indices:
    """Choose ``n`` connected networks by design from a random pool."""
    pool = rng.choice(networks.connected, size=POOL, replace=False)
    rules = [(features[pool], prior(features[pool])) for features in networks.rules]
    return pool[design.choose(rules, n, rng=rng)]


def drawn(networks: Networks, n: int, rng: np.random.Generator) -> Indices:
    """Choose ``n`` connected networks at random."""
    return rng.choice(networks.connected, size=n, replace=False)


def prior(features: Floats) -> regression.Prior:
    """Return what is believed before a network is measured: nothing of any device or operation."""
    return regression.share_prior(features, SHARES, SHARE_DEVIATIONS)


def robust(networks: Networks, chosen: Indices, latencies: Floats) -> Floats:
    """Predict all networks from those ``chosen``: robust fits, averaged over the ways to count."""
    seen = [features[chosen] for features in networks.rules]
    fits = [regression.fit(features, latencies, prior(features)) for features in seen]
    return regression.average(fits).predict(networks.rules)[0]


def five_coefficients(networks: Networks, chosen: Indices, latencies: Floats) -> Floats:
    """Predict all networks from those ``chosen``: least squares, the best way to count."""
    errors = [_left_out_error(features[chosen], latencies) for features in networks.rules]
    best = networks.rules[int(np.argmin(errors))]
    return best @ np.linalg.lstsq(best[chosen], latencies, rcond=None)[0]


METHODS: Mapping[str, Method] = {
    "designed": (designed, robust),
    "random": (drawn, robust),
    PEER: (drawn, five_coefficients),
}


def correlation(predicted: Floats, measured: Floats, chosen: Indices) -> float:
    """Return Spearman's correlation over the middle 80 % of what was measured, without those ``chosen``."""
    low, high = np.quantile(measured, [0.1, 0.9])
    is_judged = (measured >= low) & (measured <= high)
    is_judged[chosen] = False
    return float(spearmanr(predicted[is_judged], measured[is_judged]).statistic)


def _counted(codes: Indices, edges: NDArray[np.bool_]) -> Floats:
    operations = [((codes == option) & edges).sum(axis=1) for option in range(1, _OPTIONS)]
    return np.column_stack([np.ones(len(codes)), *operations]).astype(float)


def _left_out_error(features: Floats, latencies: Floats) -> float:
    """Return the mean squared error of predicting each network by the others."""
    total = 0.0
    for i in range(len(latencies)):
        others = np.arange(len(latencies)) != i
        found = np.linalg.lstsq(features[others], latencies[others], rcond=None)[0]
        total += float(features[i] @ found - latencies[i]) ** 2
    return total


def read() -> tuple[Networks, dict[str, Floats]]:
    """Return all cells, and the latencies of each device in milliseconds, in the order of the cells.

    Raises:
        SystemExit: The files are not there.
    """
    if not _FOLDER.is_dir():
        sys.exit(f"{_FOLDER} is absent; set CARS_HW_DATA to the folder of published figures")
    with (_FOLDER / "nb201_accuracy_cost.csv").open(newline="") as file:
        by_index = {int(row["idx"]): row["code"] for row in csv.DictReader(file)}
    codes = np.array([[int(digit) for digit in by_index[i]] for i in range(len(by_index))])
    with (_FOLDER / "nb201_latency_help_ms.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    table = np.array(lines, dtype=float)
    table = table[np.argsort(table[:, 0])]
    return Networks(codes), {name: table[:, i] for i, name in enumerate(header) if i}


def judge_all(networks: Networks, latencies: Mapping[str, Floats], seeds: Sequence[int]) -> Scores:
    """Return the correlations of every method."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for name, (choose, predict) in METHODS.items():
        for n in SIZES:
            own: list[list[float]] = [[] for _ in latencies]
            for seed in seeds:
                chosen = choose(networks, n, np.random.default_rng(seed))
                for scores, measured in zip(own, latencies.values(), strict=True):
                    predicted = predict(networks, chosen, measured[chosen])
                    scores.append(correlation(predicted, measured, chosen))
                print(f"\r{name}, {n} networks: seed {seed}", end="", file=sys.stderr, flush=True)
            found.setdefault(name, {})[str(n)] = own
    return found


def rows(raw: Scores, source: str) -> list[Row]:
    """Return the means over devices and seeds, those of the method beside their goals, then its devices'."""
    row = partial(_row, raw, source=source)
    base = "prediction.networks_only"
    return [
        *(row("designed", n, claim=f"{base}.spearman.{n}", goal=f">= {GOALS[n]:.3f}") for n in SIZES),
        *(row("random", n, claim=f"{base}.random.spearman.{n}") for n in SIZES),
        *(row(PEER, n, claim=f"{base}.five_coefficients.spearman.{n}") for n in SIZES),
        *(
            row("designed", n, claim=f"{base}.{device}.spearman.{n}", device=k)
            for k, device in enumerate(DEVICES)
            for n in SIZES
        ),
    ]


def _row(  # noqa: PLR0913  # one keyword for each part of a row
    raw: Scores, method: str, n: int, *, claim: str, source: str, goal: str = "", device: int | None = None
) -> Row:
    """Return the mean with its 95 % interval over the seeds, of all devices or of one, beside the peer's."""

    def by_seed(name: str) -> Floats:
        scores: Floats = np.array(raw[name][str(n)])
        found: Floats = scores.mean(axis=0) if device is None else scores[device]
        return found

    own = by_seed(method)
    margin = 1.96 * float(own.std(ddof=1)) / len(own) ** 0.5
    mean = float(own.mean())
    peer = None if method == PEER else float(by_seed(PEER).mean())
    name = "" if peer is None else PEER
    return Row(claim, mean, "", goal, (mean - margin, mean + margin), None, peer, name, own.size, source)


def main() -> None:
    """Judge everything, or check the last full run's results again with ``--quick``."""
    options = parse_options(__doc__ or "")
    if options.quick:
        finish(rows(stored(_RESULTS), "stored"), options)
    networks, latencies = read()
    raw = judge_all(networks, {device: latencies[device] for device in DEVICES}, range(SEEDS))
    store(_RESULTS, raw)
    finish(rows(raw, "fresh"), options)


if __name__ == "__main__":
    main()
