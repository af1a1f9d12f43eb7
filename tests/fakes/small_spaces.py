"""The smallest form of any space, found by the names of its settings: what a test searches in seconds."""

import itertools

from cars_hw import spaces
from cars_hw.spaces._space import SearchSpace
from devices.foundation import ConfigError, load_plugin, settings_type

#: Values to try for the settings that spaces commonly have, the smallest first.
_TRIED: dict[str, tuple[int | str, ...]] = {
    "deploy": ("search",),
    "image_size": (8, 16, 32),
    "image_channels": (1,),
    "classes": (10,),
    "channels": (2, 4, 8, 16),
    "cells": (1, 2, 3),
    "layers": (2,),
    "stages": (2,),
    "depth": (1,),
}


def small(name: str) -> SearchSpace:
    """Return the space ``name`` for images of one channel and ten classes, searched as it is deployed."""
    known = settings_type(load_plugin("cars_hw.spaces", name, SearchSpace, what="space")).model_fields
    settings = [setting for setting in _TRIED if setting in known]
    for values in itertools.product(*(_TRIED[setting] for setting in settings)):
        try:
            space = spaces.load(name, **dict(zip(settings, values, strict=True)))
        except ConfigError:
            continue
        if space.deploys_search_graph and space.image_shape[0] == 1:
            return space
    raise AssertionError(f"no small form of {name}: add its settings to this file")
