"""Commands that messages name: every value comes back as it was."""

import shlex

import pytest
from pydantic import JsonValue

from cars_hw.cli._commands import profile_command, validate_command
from cars_hw.config import SearchConfig, parse_override


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
