"""How well something ranks networks: Kendall's tau against published accuracy, with intervals.

Intervals are the middle 95 % over resamplings of the networks, and of the seeds where there are several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from _nb201 import FOLDER
from _rank_settings import Bools, Floats, drawn, unpacked
from scipy.stats import kendalltau

from cars_hw.evolution.error_model import smoothed
from cars_hw.evolution.estimating import joined
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.tabular_trainer import read_figures

#: Which networks are ranked: all, those worth finding, and the best tenth of all.
SUBSETS = ("all", "under15", "best_tenth")
#: What ranks: errors and losses of the SuperNet, losses joined with sizes, modelled errors, fewer images.
IMAGES_USED = (100, 250, 500)
ESTIMATORS = ("error", "loss", "joined", "modelled", *(f"images{n}" for n in IMAGES_USED))
STAND_INS = ("parameters", "live", "early")
#: Those that count parameters, against which rankings are held.
COUNTED = ("parameters", "live")
_WORST_ERROR = 15.0
#: Networks whose errors are modelled together: what a round of a small search evaluates.
_ROUND = 48
_RESAMPLINGS = 200


@dataclass(frozen=True)
class Networks:
    """Published figures of networks.

    Attributes:
        architectures: n of them.
        errors: After 200 epochs, in %, (n,).
        stand_ins: Lower is better, by name, (n,) each.
        subsets: Which belong to it, by name, (n,) each.
    """

    architectures: tuple[Architecture, ...]
    errors: Floats
    stand_ins: Mapping[str, Floats]
    subsets: Mapping[str, Bools]


@dataclass(frozen=True)
class Tau:
    """A correlation.

    Attributes:
        mean: Over the seeds.
        interval: The middle 95 % of what resampling gives.
        above: By how much it is above that of each of ``COUNTED``, and the middle 95 % of that.
        n: Networks.
    """

    mean: float
    interval: tuple[float, float]
    above: Mapping[str, tuple[float, float, float]]
    n: int


@cache
def published(which: str) -> Networks:
    """Read the figures of the networks that ``drawn`` returns."""
    columns = ("c10_test_200", "params_c10_M", "c10_val_12")
    path = FOLDER / "nb201_accuracy_cost.csv"
    rows = read_figures(path, columns, key="code", parse=Nasbench201().from_code)
    chosen = drawn(which)
    own = np.array([rows[one] for one in chosen])
    errors = 100.0 - own[:, 0]
    space = Nasbench201()
    stand_ins = {
        "parameters": -own[:, 1],
        "live": np.array([-float(space.live_parameters(one)) for one in chosen]),
        "early": -own[:, 2],
    }
    subsets = {
        "all": np.ones(len(chosen), np.bool_),
        "under15": errors <= _WORST_ERROR,
        "best_tenth": errors <= np.quantile(errors, 0.1),
    }
    return Networks(chosen, errors, stand_ins, subsets)


def estimates(raw: Mapping[str, Any], networks: Networks, view: str) -> dict[str, Floats]:
    """Return what ranks the networks by a job's result, lower is better, by name, (n,) each."""
    found = raw["views"][view]
    right = unpacked(found)
    errors: Floats = 1.0 - right.mean(axis=1)
    sizes = -networks.stand_ins["live"]
    held = right.shape[1]  # images are sorted by class: each nth is of all classes alike
    by_images = {
        f"images{n}": 1.0 - right[:, np.arange(n) * held // n].mean(axis=1) for n in IMAGES_USED if n < held
    }
    return {
        "error": errors,
        "loss": np.array(found["loss"]),
        "joined": joined(np.array(found["loss"]), sizes, sizes),
        "modelled": _modelled(networks, errors),
        **by_images,
    }


def tau(estimated: Sequence[Floats], networks: Networks, subset: str) -> Tau:
    """Judge a ranking, of each seed, beside that by parameters.

    Args:
        estimated: Of each seed, lower is better, (n,) each.
        networks: Published figures.
        subset: One of ``SUBSETS``.
    """
    chosen = np.flatnonzero(networks.subsets[subset])
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(_RESAMPLINGS):
        rows = rng.choice(chosen, len(chosen))
        seeds = rng.integers(len(estimated), size=len(estimated))
        own = float(np.mean([_tau(estimated[seed], networks, rows) for seed in seeds]))
        resampled.append([own, *(own - _tau(networks.stand_ins[name], networks, rows) for name in COUNTED)])
    lows, highs = np.quantile(np.array(resampled), [0.025, 0.975], axis=0).tolist()
    mean = float(np.mean([_tau(one, networks, chosen) for one in estimated]))
    above = {
        name: (mean - _tau(networks.stand_ins[name], networks, chosen), low, high)
        for name, low, high in zip(COUNTED, lows[1:], highs[1:], strict=True)
    }
    return Tau(mean, (lows[0], highs[0]), above, len(chosen))


def _tau(estimated: Floats, networks: Networks, rows: Any) -> float:
    return float(kendalltau(estimated[rows], networks.errors[rows]).statistic)


def _modelled(networks: Networks, errors: Floats) -> Floats:
    """Return errors by the model of those of a round each, with parameters as the known cost, (n,)."""
    options = np.array(networks.architectures, dtype=np.intp)
    parameters = -networks.stand_ins["parameters"]
    parts = np.array_split(np.arange(len(errors)), max(1, round(len(errors) / _ROUND)))
    return np.concatenate(
        [smoothed(options[part], np.column_stack([errors[part], parameters[part]])) for part in parts]
    )
