"""Objectives: named costs of an architecture, one file each, all minimised."""

from dataclasses import replace

from cars_hw.objectives._feasibility import require_feasible
from cars_hw.objectives._limits import Limits
from cars_hw.objectives._objective import LIMIT_LEVEL, GraphObjective, Ingredients, Objective
from cars_hw.objectives.error import Error
from cars_hw.objectives.latency_ms import Latency, bound_text
from cars_hw.objectives.macs import Macs
from cars_hw.objectives.parameters import Parameters
from cars_hw.objectives.peak_memory_bytes import PeakMemoryBytes
from devices.foundation import UnknownNameError, load_plugin, plugin_names

__all__ = [
    "LIMIT_LEVEL",
    "Error",
    "GraphObjective",
    "Ingredients",
    "Latency",
    "Limits",
    "Macs",
    "Objective",
    "Parameters",
    "PeakMemoryBytes",
    "bound_text",
    "find",
    "load",
    "names",
    "picks",
    "require_feasible",
]


def names() -> tuple[str, ...]:
    """List the objectives of this project."""
    return plugin_names(__name__)


def find(name: str) -> tuple[type[Objective], str]:
    """Return the objective that ``name`` means, and the target that it names, or "".

    Args:
        name: One of ``names()``; one of them, a dot and a target; or a module from outside, with a dot.

    Raises:
        UnknownNameError: No such objective.
        CarsHwError: The module does not define exactly one.
    """
    own, _, target = name.partition(".")
    if own not in names():
        return load_plugin(__name__, name, Objective, what="objective"), ""
    found = load_plugin(__name__, own, Objective, what="objective")
    if target and not found.has_targets:
        raise UnknownNameError("objective", name, names())
    return found, target


def load(name: str, ingredients: Ingredients) -> Objective:
    """Return the objective ``name``, made for a search.

    Args:
        name: A name that ``find`` takes.
        ingredients: The parts that the search has.

    Raises:
        UnknownNameError: No such objective, or no such target.
        ConfigError: The search lacks what the objective is made of.
    """
    found, target = find(name)
    return found.make(replace(ingredients, target=target))


def picks() -> dict[str, str]:
    """Return for each word that picks a member of a front the name of the objective it has least of."""
    found = (find(name)[0] for name in names())
    return {objective.pick: objective.name for objective in found if objective.pick}
