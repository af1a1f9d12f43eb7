"""Judges members of fronts by published accuracy, parameters and measured latency; and what bounds a search.

A front's gain is where its hypervolume lies between two others, of as many networks: that of the *blind*, the
better of random networks and of a search that takes the number of parameters for accuracy; and that of the
*truth*, a search of the same budget driven by published accuracy.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _nb201 import FOLDER, Device, Truth
from _rank_settings import drawn
from _truth_arms import ARMS, GENERATIONS, POPULATION, K, chosen_of, config, greedy
from numpy.typing import NDArray
from scipy.stats import kendalltau

from cars_hw import strategies
from cars_hw.assembly import make_objectives, make_space, open_table
from cars_hw.networks.architecture import Architecture, from_text, to_text
from cars_hw.search import Schedule, Search
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.tabular_trainer import TabularTrainer, read_figures

Indices = NDArray[np.intp]
#: What bounds a search: loops driven by such numbers, and random networks.
REFERENCES = ("truth", "early", "parameters", "random", "live")


def judged(truth: Truth, raw: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of what a search chose, or a reference.

    Args:
        truth: All networks.
        raw: Has ``chosen`` and, of a search, ``knee``, texts of architectures; and perhaps ``members``, its
            last population, of which is told how well their errors on shared weights rank them.
    """
    device, choices = _pixel3(truth), Nasbench201().choices
    chosen = np.array([truth.index[from_text(text, choices)] for text in raw["chosen"]])
    ratio, recall, distance = device.judge(chosen)
    figures = {"hypervolume": ratio, "recall": recall, "igd_plus": distance, "n": float(len(chosen))}
    figures["error"] = float(device.costs[chosen, 0].min())
    if "knee" in raw:
        figures["regret"] = regret(device, truth.index[from_text(raw["knee"], choices)])
    if "members" in raw:
        places = [truth.index[from_text(member["architecture"], choices)] for member in raw["members"]]
        errors = [member["costs"][0] for member in raw["members"]]
        tau = float(kendalltau(errors, device.costs[places, 0]).statistic)
        figures |= {"tau": tau} if np.isfinite(tau) else {}  # equal errors rank nothing
    return figures


def costs_of(truth: Truth, raw: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return published errors, parameters and measured latencies of what was chosen, (n, 3)."""
    choices = Nasbench201().choices
    found: NDArray[np.float64] = _pixel3(truth).costs[
        [truth.index[from_text(text, choices)] for text in raw["chosen"]]
    ]
    return found


def regret(device: Device, network: int) -> float:
    """Return by how many points the error is above the least of networks that cost no more, admitted ones."""
    own = device.costs[network]
    rivals = device.is_admitted & (device.costs[:, 1:] <= own[1:]).all(axis=1)
    return float(own[0] - min(device.costs[rivals, 0].min(initial=np.inf), own[0]))


def saved_ms(ours: NDArray[np.float64], theirs: NDArray[np.float64], errors: Sequence[float]) -> float:
    """Return by how many milliseconds the fastest of ours are ahead of theirs, at equal errors.

    Args:
        ours: Costs as of ``costs_of``, (n, 3).
        theirs: The same, (m, 3).
        errors: At which they are compared, in %; one that either does not reach is left out.

    Returns:
        The mean; NaN where there is no error that both reach.
    """
    found = []
    for error in errors:
        fastest = [costs[costs[:, 0] <= error, 2].min(initial=np.inf) for costs in (theirs, ours)]
        if np.isfinite(fastest).all():
            found.append(float(fastest[0] - fastest[1]))
    return float(np.mean(found)) if found else float("nan")


def reference(truth: Truth, kind: str, seed: int, table: Path) -> dict[str, Any]:
    """Run what bounds a search: K random networks, or the loop of the default on known numbers."""
    rng = np.random.default_rng([seed, REFERENCES.index(kind)])
    hidden = set(drawn("pilot"))
    if kind == "random":
        order = (truth.architectures[place] for place in rng.permutation(len(truth.architectures)))
        chosen = [one for _, one in zip(range(K), (one for one in order if one not in hidden), strict=False)]
    else:
        accuracies = (1.0 - _numbers(truth)[kind]()).tolist()
        known = zip(truth.architectures, accuracies, strict=True)
        chosen = looped(TabularTrainer({one: (accuracy,) for one, accuracy in known}), seed, table)
    return {"kind": kind, "seed": seed, "chosen": [to_text(one) for one in chosen]}


def whole(truth: Truth) -> dict[str, Any]:
    """Return the best that as many networks can be: they are chosen of the true front."""
    device = _pixel3(truth)
    chosen = greedy(device.costs[device.front].tolist())
    return {"chosen": [to_text(truth.architectures[device.front[place]]) for place in chosen]}


def looped(
    trainer: TabularTrainer, seed: int, table: Path, *, is_screened: bool = False
) -> list[Architecture]:
    """Run the default's search on what ``trainer`` looks up; return what its front gives."""
    wanted = config(ARMS["default"], seed, 1.0, table=table, images=table)
    space = make_space(wanted)
    costs = make_objectives(wanted, space, trainer, {"latency_ms": open_table(wanted.latency)})
    strategy = strategies.load("cars", space, np.random.default_rng(seed), population_size=POPULATION)
    search = Search(trainer, strategy, costs, Schedule(1, 1, GENERATIONS), screening=is_screened)
    for _ in search.run():
        pass
    return chosen_of(search.front)


def _numbers(truth: Truth) -> Mapping[str, Callable[[], NDArray[np.float64]]]:
    """Return what stands for the errors of all networks, in [0, 1], (networks,), by its name."""
    costs = _pixel3(truth).costs
    return {
        "truth": lambda: costs[:, 0] / 100.0,
        "early": lambda: _early(truth) / 100.0,
        "parameters": lambda: _smallness(costs[:, 1]),
        "live": lambda: _smallness(np.array([*map(Nasbench201().live_parameters, truth.architectures)])),
    }


def _smallness(sizes: NDArray[Any]) -> NDArray[np.float64]:
    """Return by how much sizes, (networks,), are below the largest, as a share of it."""
    smallness: NDArray[np.float64] = 1.0 - sizes / sizes.max()
    return smallness


def _early(truth: Truth) -> NDArray[np.float64]:
    """Return validation errors after 12 epochs, in %, (networks,)."""
    path = FOLDER / "nb201_accuracy_cost.csv"
    rows = read_figures(path, ("c10_val_12",), key="code", parse=Nasbench201().from_code)
    return np.array([100.0 - rows[one][0] for one in truth.architectures], dtype=np.float64)


def _pixel3(truth: Truth) -> Device:
    return next(device for device in truth.devices if device.name == "pixel3")
