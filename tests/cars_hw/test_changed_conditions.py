"""Tables from before an update: refused in one line, or gone on with, said and recorded; in every verb."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import cars_hw
from cars_hw.assembly import make_space, open_table
from cars_hw.candidate import Candidate, Front
from cars_hw.cli import app
from cars_hw.cli._commands import explained, validate_command
from cars_hw.config import SearchConfig, parse_override
from cars_hw.latency.contents import TableContents
from cars_hw.latency.model import trust
from cars_hw.results.report import report_json
from cars_hw.results.run_warnings import warnings_of
from cars_hw.saving.record import Generation
from devices.foundation import ConfigError, UnknownNameError
from latency_tables import (
    ChangedConditionsError,
    LatencyTable,
    Measurement,
    TableMismatchError,
)
from tests.fakes import updating
from tests.fakes.configurations import TINIEST

_CONFIG = f"""{TINIEST}
[search]
objectives = ["error", "parameters", "latency_ms"]
warm_up_epochs = 0.1
epochs_per_generation = 0.05
generations = 1
[strategy]
population_size = 4
[latency]
table = "table.jsonl"
device = "{updating.__name__}"
runtime = "fake"
"""
_MEMBERS = Front([Candidate((0,), (0.2, 3.0, 1.0))])
_GENERATION = Generation(1, _MEMBERS, _MEMBERS, ("error", "parameters", "latency_ms"), {"steps": 9}, 1.0)
_ARCHITECTURE = ".".join(["0"] * 6)
_OLD, _NEW = f"kernel '{updating.OLD}'", f"kernel '{updating.NEW}'"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of the configuration, measured under an old kernel."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "search.toml").write_text(_CONFIG)
    table = folder / "table.jsonl"
    cars_hw.profile(SearchConfig.load(folder / "search.toml", {"latency.table": str(table)}))
    return table.read_bytes()


@pytest.fixture(autouse=True)
def folder(measured: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration and its table."""
    monkeypatch.chdir(tmp_path)
    Path("search.toml").write_text(_CONFIG)
    Path("table.jsonl").write_bytes(measured)
    return tmp_path


@pytest.fixture
def updated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is a newer one than when the table was measured."""
    monkeypatch.setattr(updating.Updating, "kernel", updating.NEW)


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], catch_exceptions=False)


def _rewrite(path: Path, *, runtime_version: str = "", model: str = "") -> None:
    """Let a table say that it is of another version of the runtime, or of another model of device."""
    content = LatencyTable.open(path)
    header = content.header
    device = replace(header.device, model=model or header.device.model)
    other = LatencyTable.in_memory(
        replace(header, device=device, runtime_version=runtime_version or header.runtime_version)
    )
    other.add(*content.measurements.values())
    other.save(path)


@pytest.mark.usefixtures("updated")
@pytest.mark.parametrize(
    "verb",
    [
        ("profile", "--spread-s=0"),
        ("table", "validate", "--spread-s=0"),
        ("bench", "--spread-s=0", "--architecture", _ARCHITECTURE),
        ("search", "--run", "run"),
    ],
    ids=lambda verb: " ".join(verb[:2]),
)
def test_every_verb_refuses_a_table_from_before_an_update_in_one_line_that_names_the_remedy(
    verb: tuple[str, ...],
) -> None:
    before = Path("table.jsonl").read_bytes()
    with pytest.raises(ChangedConditionsError) as refused:
        _invoke(*verb, "--config", "search.toml")
    line = explained(refused.value)
    assert f"the table was measured under {_OLD}, but is used under {_NEW}, " in line
    assert line.endswith("to have changed: --allow-changed kernel")
    assert "\n" not in line
    assert Path("table.jsonl").read_bytes() == before


def test_a_run_goes_on_after_an_update_and_says_so_from_then_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = cars_hw.Run.create("run", SearchConfig.load("search.toml"))
    before = next(cars_hw.open_search(run, allow_changed=["kernel"]).run())
    assert before.changed == ()
    assert [found.kind for found in warnings_of(run.config, before)] == ["table"]
    monkeypatch.setattr(updating.Updating, "kernel", updating.NEW)
    allowing = ("--allow-plugin", updating.__name__, "--resume")
    with pytest.raises(ChangedConditionsError):
        _invoke("search", "--run", "run", *allowing)
    with caplog.at_level(logging.WARNING):
        shown = _invoke("search", "--run", "run", *allowing, "--allow-changed", "kernel", "--json")
    assert len([line for line in caplog.messages if f"but is used under {_NEW}" in line]) == 1
    [changed] = run.record().history[-1].changed
    assert f"table.jsonl was measured under {_OLD}, but is used under {_NEW}" in changed
    assert changed in [found["text"] for found in json.loads(shown.stdout)["warnings"]]
    assert changed in json.dumps(report_json(run)["warnings"], ensure_ascii=False)
    monkeypatch.setattr(updating.Updating, "kernel", updating.OLD)
    again = cars_hw.open_search(run)
    assert again.history[-1].changed == (changed,), "what was found under it stays so"


@pytest.mark.usefixtures("updated")
def test_a_configuration_may_allow_it_for_good_and_a_commands_words_add_to_it() -> None:
    config = SearchConfig.load("search.toml", {"latency.allow_changed": ["kernel"]})
    table = open_table(config.latency)
    assert table.changes().keys() == {"kernel"}
    both = config.allowing(["build"])
    assert both.latency.allow_changed == ("kernel", "build")
    assert "--allow-changed=kernel,build" in validate_command(both)
    cars_hw.open_search(cars_hw.Run.create("run", config))
    assert "allow_changed = [" in Path("run/config.toml").read_text()


@pytest.mark.usefixtures("updated")
def test_what_a_validation_measures_after_an_update_is_told_by_the_table_and_by_the_run() -> None:
    config, before = SearchConfig.load("search.toml"), LatencyTable.open("table.jsonl")
    with pytest.raises(ChangedConditionsError):
        cars_hw.validate(config)
    cars_hw.validate(config, allow_changed=["kernel"])
    table = LatencyTable.open("table.jsonl")
    assert table.header == before.header
    text = f"{len(before)} entries were measured under {_OLD}, 24 under '{updating.NEW}'"
    assert text in _invoke("table", "show", "table.jsonl").stdout
    assert f"latency table table.jsonl: {text}" in [found.text for found in warnings_of(config, _GENERATION)]


def test_a_validation_measures_some_of_the_tables_own_networks_once_more_to_tell_its_speed() -> None:
    config = SearchConfig.load("search.toml")
    references = TableContents(make_space(config)).references()
    report = cars_hw.validate(config)
    assert report is not None
    assert report.session is not None
    assert (report.session.n, report.session.ratio, report.session.is_another) == (4, 1.0, False)
    assert "session" not in {found.kind for found in warnings_of(config, _GENERATION)}
    table, before = LatencyTable.open("table.jsonl"), Path("table.jsonl").read_bytes()
    assert str(cars_hw.validate(config)) == str(report)
    assert Path("table.jsonl").read_bytes() == before
    with LatencyTable.open_for_writing("table.jsonl", table.header) as slower:
        for workload in references:
            samples_s = table[workload.spec].samples_s
            slower.add(Measurement(workload.spec, tuple(1.2 * s for s in samples_s)))
    [found] = [found for found in warnings_of(config, _GENERATION) if found.kind == "session"]
    assert "when it was validated, 4 of its own networks were 20% slower" in found.text
    assert found.text.partition(" was ")[2] in str(trust(LatencyTable.open("table.jsonl")))
    cars_hw.validate(config, networks=21)  # one is missing: the others of this session are measured with it
    assert "session" not in {found.kind for found in warnings_of(config, _GENERATION)}


def test_another_version_of_the_runtime_is_a_condition_where_the_runtime_is_at_hand(folder: Path) -> None:
    config = SearchConfig.load("search.toml")
    _rewrite(folder / "table.jsonl", runtime_version="1.0")
    with pytest.raises(ChangedConditionsError, match=r"runtime version '1\.0'") as refused:
        open_table(config.latency)
    assert explained(refused.value).endswith(": --allow-changed runtime_version")
    assert open_table(config.allowing(["runtime_version"]).latency).changes().keys() == {"runtime_version"}


def test_a_table_of_another_device_is_read_where_that_is_allowed_but_never_added_to(folder: Path) -> None:
    config = SearchConfig.load("search.toml")
    _rewrite(folder / "table.jsonl", model="another processor")
    with pytest.raises(TableMismatchError, match=r"device\.model 'another processor', but ") as refused:
        open_table(config.latency)
    assert explained(refused.value).endswith(": --allow-changed device")
    assert open_table(config.allowing(["device"]).latency).changes() == {}
    for word in ("measured_elsewhere=true", 'allow_changed=["device"]'):
        key, value = parse_override(f"latency.{word}")
        with pytest.raises(TableMismatchError) as refused:
            cars_hw.profile(SearchConfig.load("search.toml", {key: value}))
        assert "--allow-changed" not in explained(refused.value)


@pytest.mark.parametrize(("elsewhere", "words"), [(True, ("device",)), (False, ())])
def test_the_earlier_key_means_what_it_meant(elsewhere: bool, words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for section in ("latency", "targets.phone"):
        path.write_text(f"[{section}]\nmeasured_elsewhere = {str(elsewhere).lower()}\n")
        for config in (SearchConfig.load(path), SearchConfig.load_stored(path)):
            assert config.for_target().latency.allow_changed == words
    joined = SearchConfig.load(path, {"targets.phone.allow_changed": ["kernel"]}).for_target().latency
    assert joined.allow_changed == ("kernel", *words)


def test_the_earlier_key_is_checked_and_contradicts_nothing() -> None:
    with pytest.raises(ConfigError, match="measured_elsewhere is 'yes'; it should be true or false"):
        SearchConfig.load(None, {"latency.measured_elsewhere": "yes"})
    with pytest.raises(ConfigError, match="contradicts device in allow_changed"):
        SearchConfig.load(None, {"latency.measured_elsewhere": False, "latency.allow_changed": ["device"]})


@pytest.mark.parametrize(
    "verb",
    [
        ("profile", "--space=darts", "--table=t.jsonl"),
        ("search", "--run=run", "--space=darts", "--data=digits"),
        ("demo", "--run=run"),
    ],
)
def test_a_word_that_there_is_not_is_refused_before_anything_is_made(verb: tuple[str, ...]) -> None:
    with pytest.raises(UnknownNameError, match=r"'kernal'; did you mean 'kernel'.*known: kernel, build"):
        _invoke(*verb, "--allow-changed", "build,kernal")
    assert not Path("run").exists()
    with pytest.raises(
        ConfigError, match=r"latency\.allow_changed\.0 is 'kernal'; it should be 'kernel', 'b"
    ):
        SearchConfig.load(None, {"latency.allow_changed": ["kernal"]})
