"""Configurations: resolved, checked, saved."""

import math
from pathlib import Path

import pytest
from pydantic import JsonValue

from cars_hw import data, spaces, strategies
from cars_hw.config import LatencySection, SearchConfig, parse_override
from cars_hw.data import DataSet
from cars_hw.spaces import SearchSpace
from devices.foundation import load_plugin, section_type, settings_type
from devices.foundation.errors import ConfigError, UnknownNameError


def _load(*overrides: str) -> SearchConfig:
    return SearchConfig.load(None, dict(map(parse_override, overrides)))


def test_overrides_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[search]\nseed = 3\ngenerations = 7\n[space]\nname = 'darts'\nchannels = 4\n")
    config = SearchConfig.load(path, {"search.seed": 5})
    assert (config.search.seed, config.search.generations, config.search.warm_up_epochs) == (5, 7, 50)
    assert config.space.settings == {"channels": 4}


def test_the_resolved_configuration_reads_back_equal(tmp_path: Path) -> None:
    config = _load("latency.max_latency_ms=1.5", "space.channels=8", "strategy.name=cars")
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml())
    assert SearchConfig.load(path) == config


@pytest.mark.parametrize(
    ("override", "closest"),
    [
        ("training.batchsize=3", "training.batch_size"),
        ("trainin.batch_size=3", "training"),
        ("search.generation=3", "search.generations"),
        ("latency.thread=3", "latency.threads"),
    ],
)
def test_an_unknown_key_is_refused_with_the_closest(override: str, closest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown configuration key .* did you mean '{closest}'"):
        _load(override)


def test_training_takes_numbers_as_configurations_write_them() -> None:
    config = _load("training.learning_rate=1", "training.batch_size=64.0", "training.cutout='8'")
    assert (config.training.learning_rate, config.training.batch_size, config.training.cutout) == (1.0, 64, 8)


@pytest.mark.parametrize(
    "override",
    [
        "training.batch_size=1",
        "training.recalibration_images=1",
        "search.seed=9223372036854775808",
        "data.seed=9223372036854775808",
        "training.learning_rate=nan",
        "search.generations=many",
        "search.generations=1e9",
        "data=3",
        "latency.threads=-1",
        "latency.max_latency_ms=0",
        'search.objectives=["parameters", "error"]',
        'search.objectives=["error"]',
        'search.objectives=["error", "error"]',
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_key(override: str) -> None:
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        _load(override)


def test_a_latency_limit_needs_the_latency_objective() -> None:
    with pytest.raises(ConfigError, match="max_latency_ms = 1 needs latency_ms"):
        _load("latency.max_latency_ms=1", 'search.objectives=["error", "macs"]')


def test_a_value_out_of_bounds_is_explained_as_a_plug_ins_setting_is() -> None:
    with pytest.raises(ConfigError, match=r"^configuration key latency\.threads is -1; it should be greater"):
        _load("latency.threads=-1")


def test_settings_of_a_runtime_keep_their_types() -> None:
    config = _load("latency.settings.a=true", "latency.settings.b=1", "latency.settings.c=on")
    assert [(value, type(value)) for value in config.latency.settings.values()] == [
        (True, bool),
        (1, int),
        ("on", str),
    ]


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("a.b=3", 3),
        ("a.b=cars", "cars"),
        ('a.b=["x"]', ["x"]),
        ("a.b=1.5", 1.5),
        ("a.b=x=y", "x=y"),
        ("a.b=", ""),
    ],
)
def test_an_override_is_toml_where_it_can_be_and_text_otherwise(override: str, value: object) -> None:
    assert parse_override(override) == ("a.b", value)


@pytest.mark.parametrize("text", ["seed", "=3"])
def test_an_override_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        parse_override(text)


@pytest.mark.parametrize("content", [b"[search", b"\xff\xfe", b"x = " + b"[" * 5000])
def test_a_file_that_is_no_toml_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not TOML"):
        SearchConfig.load(path)


def test_a_missing_or_huge_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read configuration"):
        SearchConfig.load(tmp_path / "none.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="it is larger than 1048576 bytes"):
        SearchConfig.load(tmp_path / "huge.toml")


def _keys() -> dict[str, dict[str, JsonValue]]:
    """Return every key of a configuration, of every plug-in's settings too, with what it needs beside it."""
    plugins: dict[str, list[tuple[str, type]]] = {
        "space": [
            (name, load_plugin("cars_hw.spaces", name, SearchSpace, what="x")) for name in spaces.names()
        ],
        "strategy": [(name, strategies.find(name)) for name in strategies.names()],
        "data": [(name, load_plugin("cars_hw.data", name, DataSet, what="x")) for name in data.names()],
    }
    found: dict[str, dict[str, JsonValue]] = {"limits.parameters": {}, "latency.settings.own": {}}
    for section in SearchConfig.model_fields:
        found[section] = {}
        kind = section_type(SearchConfig, section)
        prefix = "targets.phone" if section == "targets" else section
        found |= {f"{prefix}.{key}": {} for key in (kind.model_fields if kind else {})}
        for name, plugin in plugins.get(section, []):
            keys = settings_type(plugin).model_fields
            found |= {f"{section}.{key}": {f"{section}.name": name} for key in keys}
    return found


def test_the_keys_that_are_tried_are_those_of_all_sections_and_plug_ins() -> None:
    assert {
        "training.momentum",
        "strategy.tournament_size",
        "space.cells",
        "search.seed",
        "data.seed",
        "targets.phone.max_latency_ms",
        "limits",
    } <= _keys().keys()


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("nested", ["", "in a list", "in a table", "in the list of a table"])
def test_a_number_that_is_none_is_refused_by_its_key_wherever_it_stands(number: float, nested: str) -> None:
    forms: dict[str, JsonValue] = {
        "": number,
        "in a list": [1, number],
        "in a table": {"a": number},
        "in the list of a table": {"a": [[number]]},
    }
    for key, beside in _keys().items():
        if key in beside:
            continue
        with pytest.raises(ConfigError) as refused:
            SearchConfig.load(None, {**beside, key: forms[nested]})
        assert f"configuration key {key}" in str(refused.value)
        assert f"is {number}; it should be a finite number" in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["inf", "-inf", "+inf", "nan", "1e999"])
def test_files_and_options_write_such_numbers_in_many_ways(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f"[strategy]\npopulation_size = {text}\n")
    with pytest.raises(ConfigError, match=r"configuration key strategy\.population_size is"):
        SearchConfig.load(path)
    with pytest.raises(ConfigError, match=r"configuration key limits\.my_lab\.depth is"):
        _load(f"limits.my_lab.depth={text}")


def test_another_latency_section_is_checked_as_any_is() -> None:
    assert SearchConfig().with_latency(threads=2).latency == LatencySection(threads=2)
    with pytest.raises(ConfigError, match=r"latency\.max_latency_ms is inf"):
        SearchConfig().with_latency(max_latency_ms=math.inf)
    with pytest.raises(UnknownNameError, match="thread"):
        SearchConfig().with_latency(thread=2)


def test_a_limit_on_a_cost_from_outside_is_set_by_its_name() -> None:
    config = _load("limits.my_lab.depth=5", 'search.objectives=["error", "my_lab.depth"]')
    assert config.limits == {"my_lab.depth": 5.0}
