"""Search spaces: one file each, without torch."""

from typing import Any

from cars_hw.spaces._space import BranchSet, Scale, SearchSpace
from devices.foundation import load_plugin, plugin_names

__all__ = ["BranchSet", "Scale", "SearchSpace", "load", "names"]


def load(name: str, **settings: Any) -> SearchSpace:
    """Return the space ``name`` with its ``settings``.

    Raises:
        UnknownNameError: No such space.
        ConfigError: A setting that the space does not take, or out of range.
    """
    return load_plugin("cars_hw.spaces", name, SearchSpace, what="space").create(**settings)


def names() -> tuple[str, ...]:
    """List the spaces of this project."""
    return plugin_names("cars_hw.spaces")
