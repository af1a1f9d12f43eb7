"""Quantities: what the costs of a search are, in words, each with its one unit."""

from collections.abc import Sequence

from cars_hw.config import LATENCY
from cars_hw.results.reporting.run_model import Quantity

#: What our objectives are called, and their units; an error is a share, as limits and picks have it.
_OURS = {
    "error": ("error", "share"),
    "parameters": ("parameters", ""),
    "macs": ("multiply-accumulates", ""),
    LATENCY: ("latency", "ms"),
    "peak_memory_bytes": ("peak memory", "bytes"),
}

#: Units in which the name of an objective from outside may end, as its contract asks for.
_UNITS = frozenset(
    ("s", "ms", "us", "ns", "bytes", "kib", "mib", "j", "mj", "uj", "w", "mw", "wh", "mwh", "mhz", "percent")
)


def quantities(objectives: Sequence[str]) -> tuple[Quantity, ...]:
    """Return what the costs of these names are, in their order."""
    return tuple(map(_quantity, objectives))


def _quantity(name: str) -> Quantity:
    own, _, target = name.partition(".")
    if own in _OURS:
        label, unit = _OURS[own]
        return Quantity(name, f"{label} on {target}" if target else label, unit)
    words = name.rpartition(".")[2].split("_")
    unit = words[-1] if len(words) > 1 and words[-1].lower() in _UNITS else ""
    return Quantity(name, " ".join(words[:-1] if unit else words), unit)
