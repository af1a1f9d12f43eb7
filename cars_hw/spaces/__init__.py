"""Search spaces: one file each, without torch."""

from cars_hw.spaces._space import BranchSet, ImageSettings, Scale, SearchSpace
from devices.foundation import load_plugin, plugin_names

__all__ = ["BranchSet", "ImageSettings", "Scale", "SearchSpace", "load", "names"]


def load(name: str, /, **settings: object) -> SearchSpace:
    """Return the space ``name`` with its ``settings``.

    Raises:
        UnknownNameError: No such space, or a setting that it does not have.
        ConfigError: A value of a setting that the space does not take.
    """
    return load_plugin("cars_hw.spaces", name, SearchSpace, what="space")(**settings)


def names() -> tuple[str, ...]:
    """List the spaces of this project."""
    return plugin_names("cars_hw.spaces")
