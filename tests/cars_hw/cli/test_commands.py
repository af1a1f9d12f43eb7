"""Commands that messages name: every value comes back as it was."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

import cars_hw
from cars_hw.cli._commands import after_search, profile_command, validate_command
from cars_hw.config import SearchConfig, parse_override

_RUN = Path(__file__).parents[2] / "golden" / "before-the-moves" / "random_search"
_DEPLOYING: dict[str, JsonValue] = {"deploy": "nasbench201", "channels": 2, "cells": 1, "classes": 10}


@pytest.mark.parametrize("value", [3, 1.5, True, "deep", "two words", "3", "true", "a'b", [1, 2], ["x"]])
def test_a_setting_of_any_type_comes_back(value: JsonValue) -> None:
    config = SearchConfig.of({"space": {"name": "my_lab.space", "operation_kinds": ["a.b"], "flag": value}})
    words = shlex.split(profile_command(config))
    overrides = [word.removeprefix("--set=") for word in words if word.startswith("--set=")]
    assert dict(map(parse_override, overrides)) == {"space.operation_kinds": ["a.b"], "space.flag": value}
    assert words[:2] == ["cars-hw", "profile"]
    assert shlex.split(validate_command(config))[:3] == ["cars-hw", "table", "validate"]


def test_a_setting_without_value_is_left_out() -> None:
    config = SearchConfig.of({"space": {"name": "darts", "depth": None}})
    assert "depth" not in profile_command(config)


def _after_search(**sections: dict[str, JsonValue]) -> list[tuple[str, ...]]:
    """Return what to do after the stored search, had it had other sections; without the run's folder."""
    run = cars_hw.Run.open(_RUN)
    other = replace(run, config=SearchConfig.of({**run.config.to_values(), **sections}))
    commands = after_search(other, run.record().history[-1])
    return [tuple(word for word in words if word != str(_RUN)) for words in commands]


def test_after_a_search_a_member_is_retrained_and_then_exported() -> None:
    retrain, *others = _after_search()
    assert retrain == ("retrain", "--pick", "knee", "--preset", "small")
    assert others == [("export", "--pick", "knee"), ("report",)]
    retrain, *same = _after_search(retraining={"preset": "small"})
    assert retrain == ("retrain", "--pick", "knee")
    assert same == others


def test_a_larger_network_is_retrained_where_it_takes_the_images_of_the_search() -> None:
    fitting = _after_search(
        space={"name": "nasbench201", **_DEPLOYING, "image_size": 32, "image_channels": 3}
    )
    assert [words[0] for words in fitting] == ["retrain", "export", "report"]
    other = _after_search(space={"name": "nasbench201", **_DEPLOYING, "image_size": 8, "image_channels": 1})
    assert other == [("export", "--pick", "knee", "--scale=search"), ("report",)]
