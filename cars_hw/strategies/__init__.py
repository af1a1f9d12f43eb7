"""Search algorithms: one file each, which reads like its paper. They know neither torch nor profilers."""

from collections.abc import Mapping

import numpy as np

from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import SearchFacts, Strategy, Violation, unconstrained
from devices.foundation import load_plugin, plugin_names, settings_type

__all__ = ["SearchFacts", "Strategy", "Violation", "check", "find", "load", "names", "unconstrained"]


def find(name: str) -> type[Strategy]:
    """Return the strategy ``name``, not made for a space yet.

    Raises:
        UnknownNameError: No such strategy.
    """
    return load_plugin("cars_hw.strategies", name, Strategy, what="strategy")


def load(
    name: str,
    space: SearchSpace,
    rng: np.random.Generator,
    /,
    *,
    violation: Violation = unconstrained,
    **settings: object,
) -> Strategy:
    """Return the strategy ``name`` on ``space``, with its ``settings``.

    Settings from a configuration first go through ``check``: a ``violation`` among them would be taken for
    the argument.

    Raises:
        UnknownNameError: No such strategy, or a setting that it does not have.
        ConfigError: A setting of another type or out of bounds, or settings that do not go together.
    """
    return find(name)(space, rng, violation=violation, **settings)


def check(name: str, settings: Mapping[str, object]) -> None:
    """Refuse what are no settings of the strategy ``name``; ``violation`` never is one.

    Raises:
        UnknownNameError: No such strategy, or a setting that it does not have.
        ConfigError: A setting of another type or out of bounds, or settings that do not go together.
    """
    settings_type(find(name)).checked(name, settings)


def names() -> tuple[str, ...]:
    """List the strategies of this project."""
    return plugin_names("cars_hw.strategies")
