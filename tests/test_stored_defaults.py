"""A stored configuration that lacks a key means the value from before the key existed, never a later default.

``tests/golden/before-the-moves/defaults.json`` has every key of commit 50ebdf2, with what it meant where a
configuration left it out. A key that came later says with ``added(default, before=...)`` what programs did
without it; so does an old one whose default changes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel, JsonValue

from cars_hw.config import SearchConfig
from cars_hw.data import DataSet
from cars_hw.spaces import SearchSpace
from cars_hw.strategies import Strategy
from devices.foundation import Settings, added, before, load_plugin, settings_type
from profilers import Runtime

_GOLDEN = Path(__file__).parent / "golden" / "before-the-moves" / "defaults.json"
_OLD: dict[str, dict[str, dict[str, JsonValue]]] = json.loads(_GOLDEN.read_bytes())
_CONFIGURATION = _OLD.pop("configuration")
_CONTRACTS: Mapping[str, tuple[str, type]] = {
    "spaces": ("cars_hw.spaces", SearchSpace),
    "strategies": ("cars_hw.strategies", Strategy),
    "data": ("cars_hw.data", DataSet),
    "runtimes": ("profilers.runtimes", Runtime),
}


def _undeclared(model: type[BaseModel], old: Mapping[str, object]) -> set[str]:
    """Return the keys that came later and do not say what was in force before."""
    return model.model_fields.keys() - old.keys() - before(model).keys()


def _changed(settings: type[Settings], old: Mapping[str, object]) -> set[str]:
    """Return the old keys that mean something else now, where a stored file lacks them."""
    now, then = settings.stored("now", {}).values(), settings.stored("then", old).values()
    return {key for key in old if now[key] != then[key]}


def _section(name: str) -> type[BaseModel]:
    section = SearchConfig.model_fields[name].annotation
    assert isinstance(section, type)
    assert issubclass(section, BaseModel)
    return section


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, found in _OLD.items() for name in found])
def test_a_plug_ins_settings_mean_in_a_stored_file_what_they_meant_then(kind: str, name: str) -> None:
    package, contract = _CONTRACTS[kind]
    settings, old = settings_type(load_plugin(package, name, contract, what=kind)), _OLD[kind][name]
    assert _undeclared(settings, old) == set()
    assert _changed(settings, old) == set()


def test_a_later_key_of_a_configuration_says_what_was_in_force_before() -> None:
    assert _undeclared(SearchConfig, _CONFIGURATION) == set()
    for name, old in _CONFIGURATION.items():
        assert _undeclared(_section(name), old) == set(), name


def test_a_stored_configuration_that_lacks_a_key_means_what_it_meant_then(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("".join(f"[{name}]\n" for name in _CONFIGURATION))
    stored = SearchConfig.load_stored(path).model_dump(mode="json")
    for name, old in _CONFIGURATION.items():
        section = _section(name)
        then = section.model_validate({**before(section), **old})  # reads keys by words that are others now
        assert stored[name] == then.model_dump(mode="json"), name


class _Later(Settings):
    kept: int = 1
    moved: int = 3
    told: int = added(3, before=2)
    fresh: int = 1


def test_a_key_that_came_or_changed_untold_would_be_found() -> None:
    old = {"kept": 1, "moved": 2, "told": 2}
    assert _undeclared(_Later, old) == {"fresh"}
    assert _changed(_Later, old) == {"moved"}
