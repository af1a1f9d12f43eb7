"""Search algorithms: one file each, which reads like its paper. They know neither torch nor profilers."""

from typing import Any

import numpy as np

from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import Strategy
from devices._errors import ConfigError
from devices._plugins import check_settings, load_plugin, plugin_names


def load(name: str, space: SearchSpace, rng: np.random.Generator, **settings: Any) -> Strategy:
    """Return the strategy ``name`` on ``space``, with its ``settings``.

    Raises:
        UnknownNameError: No such strategy, or a setting that it does not take.
        ConfigError: A value that it does not take.
    """
    strategy = load_plugin("cars_hw.strategies", name, Strategy)
    check_settings(strategy, settings)
    try:
        return strategy(space, rng, **settings)
    except TypeError as error:
        raise ConfigError(f"strategy {name}: {error}") from error


def names() -> tuple[str, ...]:
    """List the strategies of this project."""
    return plugin_names("cars_hw.strategies")
