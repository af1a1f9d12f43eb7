"""A run folder: what is stored, what binds it, and whose code it may run."""

import contextlib
import hashlib
import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError, PluginNotAllowedError
from cars_hw.runs import Run
from devices.foundation import ConfigError, UnknownNameError

_OLD = Path(__file__).parents[1] / "golden" / "before-the-moves"


def _config(**values: JsonValue) -> SearchConfig:
    return SearchConfig.load(None, {key.replace("__", "."): value for key, value in values.items()})


def test_every_setting_of_every_plug_in_is_stored(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", _config(strategy__population_size=4))
    stored = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert stored["strategy"]["population_size"] == 4
    assert stored["strategy"]["mutation_share"] == 0.25
    assert stored["space"]["stem_stride"] == 1
    assert Run.open(tmp_path / "run").config == Run(tmp_path, Run.open(tmp_path / "run").config).config


def test_each_stored_value_is_in_both_hashes(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", _config())
    before = run.configuration_hashes()
    path = tmp_path / "run" / "config.toml"
    text = path.read_text()
    lines = [i for i, line in enumerate(text.splitlines()) if " = " in line and not line.startswith(" ")]
    assert len(lines) > 30
    for number in lines:
        changed = text.splitlines()
        key, _, value = changed[number].partition(" = ")
        changed[number] = f"{key} = 7654321" if value != "7654321" else f"{key} = 1"
        if value == "[":
            continue
        path.write_text("\n".join(changed))
        assert not set(run.configuration_hashes()) & set(before), changed[number]


def test_a_key_that_is_newer_than_a_run_has_the_value_from_before_it(tmp_path: Path) -> None:
    run = Run.open(_OLD / "cars")
    assert run.config.targets == {}
    assert run.config.limits == {}
    assert run.config.space.operation_kinds == ()
    assert run.config.strategy.settings["selection"] == "pnsga3"
    text = (_OLD / "cars" / "config.toml").read_bytes()
    checkpoint = json.loads((_OLD / "cars" / "checkpoints" / "0001" / "state.json").read_bytes())
    recorded = checkpoint["values"]["fingerprint"]["configuration"]
    assert recorded in run.configuration_hashes()
    assert b"targets" not in text


def test_another_configuration_is_refused_by_key_and_both_values(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", _config(strategy__population_size=4))
    other = _config(strategy__population_size=8)
    with pytest.raises(CheckpointError, match=r"strategy\.population_size = 4, and 8 is asked for"):
        run.require(Run.create(tmp_path / "other", other).config)
    run.require(Run.create(tmp_path / "same", _config(strategy__population_size=4)).config)


@pytest.mark.parametrize(
    ("key", "closest"),
    [
        ("space.chanels", "space.channels"),
        ("data.fitness_image", "data.fitness_images"),
        ("strategy.population", "strategy.population_size"),
        ("search.objectives", "parameters"),
    ],
)
def test_a_setting_that_no_plug_in_has_leaves_no_folder(key: str, closest: str, tmp_path: Path) -> None:
    value: JsonValue = ["error", "parameter"] if key == "search.objectives" else 3
    config = SearchConfig.load(None, {key: value})
    with pytest.raises(UnknownNameError, match=f"did you mean '{closest}'"):
        Run.create(tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("space", 'name = "my_lab.space"'),
        ("space", 'operation_kinds = ["my_lab.space"]'),
        ("strategy", 'name = "my_lab.space"'),
        ("data", 'name = "my_lab.space"'),
        ("search", 'objectives = ["error", "my_lab.space"]'),
        ("latency", 'runtime = "my_lab.space"'),
        ("latency", 'device = "my_lab.space:5555"'),
    ],
)
def test_a_run_folder_imports_nothing_that_the_user_did_not_name(
    section: str, line: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").write_text(f"[{section}]\n{line}\n")
    with pytest.raises(PluginNotAllowedError, match=r"names the module 'my_lab\.space'") as refused:
        Run.open(folder)
    assert refused.value.name == "my_lab.space"
    with contextlib.suppress(UnknownNameError):  # there is no such module; devices load when they are used
        Run.open(folder, allow_plugins=["my_lab.space"])


def test_going_on_keeps_what_was_stored_where_nothing_is_asked_for(tmp_path: Path) -> None:
    shutil.copytree(_OLD / "cars", tmp_path / "cars")
    asked = SearchConfig.load(_OLD / "cars" / "config.toml")
    assert Run.create(tmp_path / "cars", asked).config == Run.open(tmp_path / "cars").config
    run = Run.open(tmp_path / "cars")
    run.require(run.with_values({}))
    with pytest.raises(CheckpointError, match=r"search\.seed = 0, and 3 is asked for"):
        run.require(run.with_values({"search": {"seed": 3}}))


def test_another_plug_in_is_another_configuration_whatever_its_settings(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", _config())
    for section, name in (("strategy", "evnas"), ("space", "nasbench201")):
        with pytest.raises(CheckpointError, match=f"{section}.name = '.*', and '{name}' is asked for"):
            run.require(run.with_values({section: {"name": name}}))


def test_checkpoints_without_their_configuration_are_not_taken_over(tmp_path: Path) -> None:
    shutil.copytree(_OLD / "cars", tmp_path / "cars")
    (tmp_path / "cars" / "config.toml").unlink()
    with pytest.raises(CheckpointError, match="checkpoints without their config"):
        Run.create(tmp_path / "cars", _config())


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/full", "."])
def test_a_configuration_that_is_no_file_is_not_read_without_end(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").symlink_to(target)
    with pytest.raises(ConfigError, match="config"):
        Run.open(folder)


def _tampered(folder: Path, change: Callable[[dict[str, Any]], None]) -> Run:
    """Change an old run's checkpoint, and make its hashes hold again, as somebody with intent would."""
    shutil.copytree(_OLD / "random_search", folder)
    checkpoint = folder / "checkpoints" / "0001"
    state = json.loads((checkpoint / "state.json").read_bytes())
    change(state)
    files = {
        "arrays.safetensors": (checkpoint / "arrays.safetensors").read_bytes(),
        "state.json": _json(state),
    }
    manifest: dict[str, Any] = {
        "schema": 1,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    manifest["self"] = hashlib.sha256(_json(manifest)).hexdigest()
    (checkpoint / "state.json").write_bytes(files["state.json"])
    (checkpoint / "manifest.json").write_bytes(_json(manifest))
    return Run.open(folder)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _last(state: dict[str, Any]) -> dict[str, Any]:
    last: dict[str, Any] = state["values"]["history"][-1]
    return last


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["values"].update(history=[]),
        lambda state: _last(state).update(population=[]),
        lambda state: _last(state).update(front=[]),
        lambda state: _last(state)["front"][0].update(costs=[0.5]),
        lambda state: _last(state)["population"][0].update(costs=[0.5, float("nan"), 1.0]),
        lambda state: _last(state)["ledger"].update(steps="many"),
        lambda state: state.update(generation="x"),
        lambda state: state.update(values=3),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused_in_one_line(
    change: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    run = _tampered(tmp_path / "run", change)
    with pytest.raises(CheckpointError) as refused:
        run.record()
    assert len(str(refused.value).splitlines()) == 1


def test_an_untouched_checkpoint_passes_the_same_way(tmp_path: Path) -> None:
    assert _tampered(tmp_path / "run", lambda state: None).record().history
