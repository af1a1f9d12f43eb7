"""A configuration as a commented file: each key with what its class's docstring says of it."""

import inspect
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

import tomli_w
from pydantic import BaseModel, JsonValue

from cars_hw import data as data_sets
from cars_hw import spaces
from cars_hw.config import SearchConfig
from cars_hw.data import Check, DataSet
from cars_hw.errors import DataError
from cars_hw.resolution import resolved
from cars_hw.spaces import SearchSpace
from cars_hw.strategies import Strategy
from cars_hw.weights.retraining_plan import RetrainingPlan
from devices.foundation import ConfigError, Settings, load_plugin, settings_type

_WIDTH = 100
#: Pixels that may be added around an image until the space takes its size.
_MOST_PADDING = 64
#: Images of any size are searched on at this height and width, or at what most of them have.
_LARGEST = 64
#: Settings of a network that is searched in minutes, where the space has them.
_SMALL: Mapping[str, int | str] = {"deploy": "search", "channels": 8, "cells": 3, "stages": 2, "depth": 1}
#: Images of this height and width or more are searched on at half of it, where the space has a stride for it.
_LARGE = 64
_ENTRY = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def small_space(space: str, data: str, path: Path | None) -> dict[str, JsonValue]:
    """Return settings with which ``space`` takes the images of ``data``, as small a network as is worth it.

    Raises:
        UnknownNameError: There is no such space or data set.
        DataError: The images cannot be had.
        ConfigError: The space takes no images of their size.
    """
    images = _survey(data, path)
    classes = len(images.parts["training"])
    known = settings_type(load_plugin("cars_hw.spaces", space, SearchSpace, what="space")).model_fields
    wanted = {**_SMALL, "image_channels": images.channels, "classes": classes}
    settings = {name: value for name, value in wanted.items() if name in known}
    is_scaled = data_sets.open_set(data, path).has_any_size
    side = images.side(_LARGEST) if is_scaled else max(map(max, images.sizes))
    for size in range(side, side + _MOST_PADDING):
        for channels_of_space in (8, 16, 24, 32):
            tried = {**settings, "image_size": size}
            if "stem_stride" in known and size >= _LARGE:
                tried["stem_stride"] = 2
            if "channels" in known:
                tried["channels"] = channels_of_space
            try:
                spaces.load(space, **tried)
            except ConfigError:
                continue
            return dict(tried)
    raise ConfigError(
        f"{space} takes no images of {side} to {side + _MOST_PADDING} pixels with {images.channels} "
        "channels; choose another space"
    )


def configuration(
    space: str,
    settings: Mapping[str, JsonValue],
    *,
    data: str,
    data_path: Path | None,
    strategy: str,
    device: str,
    runtime: str,
) -> SearchConfig:
    """Return a search of a few minutes on ``data``, with every setting spelled out."""
    images = _survey(data, data_path)
    counts = images.parts["training"]
    n = sum(counts.values())
    fitness = max(len(counts), min(1000, n // 4))
    batch = max(2, min(64, (n - fitness) // 4))
    values: dict[str, JsonValue] = {
        "space.name": space,
        **{f"space.{name}": value for name, value in settings.items()},
        "strategy.name": strategy,
        "strategy.population_size": 16,
        "data.name": data,
        "data.image_size": settings.get("image_size"),
        "data.fitness_images": fitness,
        "training.batch_size": batch,
        "training.crop_padding": 1,
        "training.recalibration_images": min(256, n - fitness),
        "search.warm_up_epochs": 2,
        "search.epochs_per_generation": 1,
        "search.generations": 6,
        "latency.table": f"{device.partition(':')[0]}-{runtime}.jsonl",
        "latency.device": device,
        "latency.runtime": runtime,
    }
    if data_path is not None:
        values["data.path"] = str(data_path)
    if data_sets.open_set(data, data_path).has_any_size:
        values["data.resize"] = "crop"
        values["retraining.preset"] = "small"
        values["retraining.batch_size"] = max(2, min(128, (n - fitness) // 4))
    return resolved(SearchConfig.load(None, values))


def _survey(data: str, path: Path | None) -> Check:
    """Return how many images there are, of which size.

    Raises:
        DataError: One of them cannot be used.
    """
    found = data_sets.survey(data, path)
    if found.problems:
        raise DataError(f"{data}: {found.problems[0]}")
    return found


def to_commented_toml(config: SearchConfig) -> str:
    """Return ``config`` with, above each key, what it means."""
    plugins = {
        "space": settings_type(load_plugin("cars_hw.spaces", config.space.name, SearchSpace, what="space")),
        "strategy": settings_type(
            load_plugin("cars_hw.strategies", config.strategy.name, Strategy, what="strategy")
        ),
        "data": settings_type(load_plugin("cars_hw.data", config.data.name, DataSet, what="data set")),
    }
    blocks = ["# A search; `cars-hw search --help` names the options that override it."]
    sections = config.to_values(with_none=True)
    if config.retraining is not None:
        sections["retraining"] = _beside_preset(config.retraining)
    for name, values in sections.items():
        if not isinstance(values, dict) or not values:
            continue
        section = type(getattr(config, name))
        blocks.append(_block(name, values, (section, plugins.get(name, Settings))))
    return "\n\n".join(blocks) + "\n"


def _beside_preset(plan: RetrainingPlan) -> dict[str, JsonValue]:
    """Return the preset of ``plan`` and what differs from it: whoever changes the preset changes the rest."""
    usual = RetrainingPlan(preset=plan.preset).values()
    return {key: value for key, value in plan.values().items() if key == "preset" or value != usual[key]}


def _block(name: str, values: Mapping[str, JsonValue], models: tuple[type[BaseModel], ...]) -> str:
    meanings = {key: text for model in models for key, text in _meanings(model).items()}
    first_line = (inspect.getdoc(models[0]) or "").partition("\n")[0]
    lines = [*_comment(first_line), f"[{name}]"]
    for key, value in values.items():
        if isinstance(value, dict):
            continue  # tables within a section come empty here
        lines += _comment(meanings.get(key, ""))
        if value is None:
            lines.append(f"# {key} =")
            continue
        lines.append(tomli_w.dumps({key: value}, multiline_strings=False).strip())
    return "\n".join(lines)


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of ``model`` and of the classes above it say of each attribute."""
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if issubclass(owner, BaseModel):
            doc = inspect.getdoc(owner) or ""
            _, _, attributes = doc.partition("Attributes:\n")
            found |= {key: " ".join(text.split()) for key, text in _ENTRY.findall(attributes)}
    return found


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text.replace("``", ""), _WIDTH)]
