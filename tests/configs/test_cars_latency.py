"""The configuration for a phone: a search by its table, in small."""

from pathlib import Path

import pytest
from pydantic import JsonValue

from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.runs import Run
from cars_hw.testing._tables import write_table
from latency_tables.errors import TableMismatchError

_PATH = Path(__file__).parents[2] / "configs" / "cars-latency.toml"

#: The same search, of small images and few steps, on this machine.
_SMALL: dict[str, JsonValue] = {
    "space.channels": 2,
    "space.cells": 3,
    "space.image_size": 8,
    "space.image_channels": 1,
    "data.name": "digits",
    "data.path": None,
    "data.fitness_images": 60,
    "training.batch_size": 16,
    "training.crop_padding": 1,
    "training.recalibration_images": 16,
    "strategy.population_size": 4,
    "search.warm_up_epochs": 0.05,
    "search.epochs_per_generation": 0.05,
    "search.generations": 1,
    "search.torch_device": "cpu",
}


def small(folder: Path) -> SearchConfig:
    return SearchConfig.load(_PATH, {**_SMALL, "latency.table": str(folder / "phone.jsonl")})


def test_it_selects_imagenet_networks_by_error_parameters_and_a_phones_latency() -> None:
    config = SearchConfig.load(_PATH)
    assert config.search.objectives == ("error", "parameters", "latency_ms")
    assert (config.latency.device, config.latency.runtime, config.latency.threads) == ("android", "tflite", 1)
    assert config.space.settings["deploy"] == "imagenet"
    assert config.search.generations == 45


def test_a_search_by_a_phones_table_runs_where_no_phone_is_plugged_in(tmp_path: Path) -> None:
    config = small(tmp_path)
    space = make_space(config)
    write_table(tmp_path / "phone.jsonl", space, kind="android", runtime="tflite")
    run = Run.create(tmp_path / "run", config)
    *_, last = make_search(run, make_trainer(config, space)).run()
    for member in last.front:
        assert member.costs[1] == space.graph(member.architecture, "deploy").parameters()
        assert member.costs[2] > 0


def test_a_table_of_this_processor_is_refused(tmp_path: Path) -> None:
    config = small(tmp_path)
    space = make_space(config)
    write_table(tmp_path / "phone.jsonl", space, kind="cpu", runtime="tflite")
    with pytest.raises(TableMismatchError, match="device"):
        make_search(Run.create(tmp_path / "run", config), make_trainer(config, space))
