"""Search algorithms: one file each, which reads like its paper. They know neither torch nor profilers."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import Strategy, Violation, unconstrained
from devices.foundation import ConfigError, check_settings, load_plugin, plugin_names

__all__ = ["Strategy", "Violation", "check", "load", "names", "unconstrained"]


def load(
    name: str,
    space: SearchSpace,
    rng: np.random.Generator,
    /,
    *,
    violation: Violation = unconstrained,
    **settings: Any,
) -> Strategy:
    """Return the strategy ``name`` on ``space``, with its ``settings``.

    Settings from a configuration first go through ``check``: a ``violation`` among them would be taken for
    the argument.

    Raises:
        UnknownNameError: No such strategy, or a setting that it does not take.
        ConfigError: A value that it does not take.
    """
    check(name, settings)
    strategy = load_plugin("cars_hw.strategies", name, Strategy, what="strategy")
    try:
        return strategy(space, rng, violation=violation, **settings)
    except TypeError as error:
        raise ConfigError(f"strategy {name}: {error}") from error


def check(name: str, settings: Iterable[str]) -> None:
    """Refuse names that are no settings of the strategy ``name``; ``violation`` never is one.

    Raises:
        UnknownNameError: No such strategy, or a setting that it does not take.
    """
    strategy = load_plugin("cars_hw.strategies", name, Strategy, what="strategy")
    check_settings(strategy, settings, except_for=("space", "rng", "violation"))


def names() -> tuple[str, ...]:
    """List the strategies of this project."""
    return plugin_names("cars_hw.strategies")
