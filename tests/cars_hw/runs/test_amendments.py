"""Amendments: what a run may go on with, what it may not, and that their files do not change silently."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

import cars_hw
from cars_hw.errors import CheckpointError, InfeasibleError, PluginNotAllowedError
from cars_hw.results.run_warnings import warnings_of_run
from cars_hw.runs import Run
from devices.foundation import CarsHwError, StorageError
from latency_tables import LatencyTable, Measurement, TableHeader, TableMismatchError
from tests.fakes.owners import another_owner

_GOLDEN = Path(__file__).parents[2] / "golden" / "before-the-moves"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A random search that is complete up to generation 1 of 3, with its table, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    shutil.copytree(_GOLDEN / "random_search", tmp_path / "run")
    return Run.open("run")


@pytest.fixture(scope="module")
def amended_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a run that was extended twice, and has a checkpoint under both amendments."""
    folder = tmp_path_factory.mktemp("amended")
    shutil.copy(_GOLDEN / "table.jsonl", folder)
    shutil.copytree(_GOLDEN / "random_search", folder / "run")
    with contextlib.chdir(folder):
        next(cars_hw.open_search(_extended(_extended(Run.open("run"), 5), 7)).run())
    return folder


@pytest.fixture
def twice(amended_twice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A copy of it, in the current folder."""
    shutil.copytree(amended_twice, tmp_path / "twice")
    monkeypatch.chdir(tmp_path / "twice")
    return Run.open("run")


def _extended(run: Run, generations: int) -> Run:
    return cars_hw.amended(run, {"search": {"generations": generations}})


def _files(folder: Path) -> dict[Path, bytes]:
    """Return all files below ``folder`` but the owner's."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_an_amendment_is_in_force_in_every_reader_and_leaves_the_stored_configuration_as_it_was(
    run: Run,
) -> None:
    stored = (run.path / "config.toml").read_bytes()
    amended = _extended(run, 5)
    assert (run.path / "config.toml").read_bytes() == stored
    again = Run.open("run")
    for found in (amended, again):
        assert (found.config.search.generations, found.planned_generations) == (5, 3)
        assert str(found.amendments[0]) == "amendment 1, after generation 1: search.generations: 3 -> 5"
    assert again.record().history[-1].index == 1, "a checkpoint from before it is still this run's"
    shown = cars_hw.report_json(again)["configuration"]
    assert isinstance(shown, dict)
    assert isinstance(shown["search"], dict)
    assert shown["search"]["generations"] == 5
    assert cars_hw.open_search(again).schedule.generations == 5


def test_amendments_follow_each_other(run: Run) -> None:
    found = _extended(_extended(run, 5), 7)
    found = cars_hw.amended(found, {"latency": {"max_latency_ms": 3.0}})
    assert [amendment.number for amendment in Run.open("run").amendments] == [1, 2, 3]
    assert (found.planned_generations, found.config.search.generations) == (3, 7)
    assert found.config.all_limits() == {"latency_ms": 3.0}


def test_what_differs_in_nothing_is_no_amendment(run: Run) -> None:
    before = _files(run.path)
    assert cars_hw.amended(run, {"search": {"generations": 3, "seed": 0}}) is run
    assert cars_hw.amended(run, {"latency": {"max_latency_ms": None}, "limits": {"error": None}}) is run
    assert _files(run.path) == before


@pytest.mark.parametrize(
    ("values", "key", "before", "after"),
    [
        ({"search": {"generations": 2}}, "search.generations", "3", "2"),
        ({"search": {"seed": 3}}, "search.seed", "0", "3"),
        ({"search": {"epochs_per_generation": 1}}, "search.epochs_per_generation", "0.2", "1.0"),
        ({"search": {"objectives": ["error", "macs"]}}, "search.objectives", r"\['error'.*", r"\['error'.*"),
        ({"strategy": {"population_size": 9}}, "strategy.population_size", "4", "9"),
        ({"strategy": {"name": "evnas"}}, "strategy.name", "'random_search'", "'evnas'"),
        ({"training": {"momentum": 0.5}}, "training.momentum", "0.9", "0.5"),
        ({"data": {"seed": 1}}, "data.seed", "0", "1"),
        ({"space": {"channels": 3}}, "space.channels", "2", "3"),
        ({"latency": {"runtime": "tflite"}}, "latency.runtime", "'onnxruntime'", "'tflite'"),
        ({"latency": {"threads": 2}}, "latency.threads", "1", "2"),
        ({"latency": {"settings": {"table": "x"}}}, "latency.settings.table", "None", "'x'"),
        ({"latency": {"device": "android:A"}}, "latency.device", "'cpu'", "'android:A'"),
    ],
)
def test_what_cannot_change_is_named_with_both_values_and_leaves_the_folder_as_it_was(
    values: Mapping[str, JsonValue], key: str, before: str, after: str, run: Run
) -> None:
    files = _files(run.path)
    with pytest.raises(CheckpointError, match=rf"{key} = {before}, and {after} is asked for") as refused:
        cars_hw.amended(run, values)
    assert len(str(refused.value).splitlines()) == 1
    assert _files(run.path) == files


@pytest.mark.parametrize("strategy", ["nse", "g_evonas"])
def test_a_search_that_plans_by_its_rounds_is_not_extended_but_takes_other_limits(
    strategy: str, run: Run
) -> None:
    shutil.copytree(_GOLDEN / strategy, strategy)
    planning = Run.open(strategy)
    with pytest.raises(
        CheckpointError, match=rf"search\.generations = 3, and 5 .*: {strategy} plans by the n"
    ):
        _extended(planning, 5)
    assert not Path(strategy, "amendments").exists()
    assert cars_hw.amended(planning, {"limits": {"parameters": 1e6}}).config.limits == {"parameters": 1e6}


def test_how_members_are_retrained_may_come_change_and_go_and_the_search_goes_on(run: Run) -> None:
    section: dict[str, JsonValue] = {"preset": "small", "epochs": 5, "cutout": 3}
    plan = cars_hw.RetrainingPlan.checked("retraining", section)
    record = run.record()
    warnings = warnings_of_run(run, record)
    found = cars_hw.amended(run, {"retraining": section})
    assert found.config.retraining == plan
    came = f"after generation 1: retraining: none -> a section of {len(plan.values())} keys"
    assert str(found.amendments[0]).endswith(came)
    found = cars_hw.amended(found, {"retraining": {"epochs": 7}})
    assert str(found.amendments[1]).endswith("after generation 1: retraining.epochs: 5 -> 7")
    found = cars_hw.amended(found, {"retraining": {"preset": "evnas-imagenet"}})
    assert found.config.retraining == cars_hw.RetrainingPlan.checked("x", {"preset": "evnas-imagenet"})
    again = Run.open("run")
    assert again == found
    assert warnings_of_run(again, again.record()) == warnings
    assert again.record() == record, "its checkpoint is still this run's"
    assert cars_hw.amended(found, {"retraining": None}).config.retraining is None
    assert Run.open("run").config.retraining is None


def test_another_address_of_the_same_kind_of_device_is_taken(run: Run) -> None:
    found = cars_hw.amended(run, {"latency": {"device": "cpu:elsewhere"}})
    assert found.config.latency.device == "cpu:elsewhere"


def test_what_says_where_something_lies_here_is_taken(run: Run) -> None:
    found = cars_hw.amended(run, {"latency": {"settings": {"benchmark_binary": "here/benchmark_model"}}})
    assert found.config.latency.settings == {"benchmark_binary": "here/benchmark_model"}
    with pytest.raises(CarsHwError):
        cars_hw.amended(found, {"data": {"path": "no images"}})
    assert len(Run.open("run").amendments) == 1


def test_limits_are_added_changed_and_taken_away(run: Run) -> None:
    found = cars_hw.amended(run, {"limits": {"parameters": 5000.0}})
    found = cars_hw.amended(found, {"limits": {"parameters": 4000.0}, "latency": {"max_latency_ms": 9.0}})
    assert found.config.all_limits() == {"latency_ms": 9.0, "parameters": 4000.0}
    found = cars_hw.amended(found, {"limits": {"parameters": None}, "latency": {"max_latency_ms": None}})
    assert found.config.all_limits() == {}
    assert Run.open("run").config == found.config


def test_a_limit_that_nobody_meets_is_refused_unless_that_is_allowed(run: Run) -> None:
    before = _files(run.path)
    with pytest.raises(InfeasibleError, match="parameters <= 1"):
        cars_hw.amended(run, {"limits": {"parameters": 1.0}})
    assert _files(run.path) == before
    values: Mapping[str, JsonValue] = {"limits": {"parameters": 1.0}}
    assert cars_hw.amended(run, values, allow_infeasible=True).config.limits == {"parameters": 1.0}


def test_the_front_is_judged_anew_under_another_limit(run: Run) -> None:
    rounds = list(cars_hw.open_search(run).run())
    latencies = sorted(member.costs[2] for member in rounds[-1].front)
    assert len(latencies) > 1
    limited = cars_hw.amended(run, {"latency": {"max_latency_ms": latencies[0] * 1.001}})
    [coming] = [found for found in warnings_of_run(limited, limited.record()) if found.kind == "amended"]
    assert "latency.max_latency_ms: none -> " in coming.text
    search = cars_hw.open_search(limited)
    assert [member.costs[2] for member in search.front] == latencies[:1]
    assert list(search.run()) == []
    assert Run.open("run").front() == search.front
    assert "amended" not in {found.kind for found in warnings_of_run(limited, limited.record())}


def test_a_run_from_before_limits_were_held_against_intervals_goes_on_without_until_it_is_amended(
    run: Run,
) -> None:
    assert run.config.latency.limit_level == 0.0
    rounds = list(cars_hw.open_search(run).run())
    latencies = sorted(member.costs[2] for member in rounds[-1].front)
    limited = cars_hw.amended(run, {"latency": {"max_latency_ms": latencies[0] * 1.0001}})
    before = cars_hw.open_search(limited).front
    assert [member.bounds for member in before] == [None]
    assert [member.costs[2] for member in before] == latencies[:1]
    values: Mapping[str, JsonValue] = {"latency": {"limit_level": 0.9}}
    today = cars_hw.open_search(cars_hw.amended(limited, values, allow_infeasible=True)).front
    assert all(member.limited[2] > member.costs[2] for member in today)
    assert min(member.limited[2] for member in today) > latencies[0] * 1.0001


def _same(header: TableHeader) -> TableHeader:
    return header


def _other_table(run: Run, name: str, conditions: Callable[[TableHeader], TableHeader] = _same) -> str:
    """Write a table whose latencies are twice the run's, under its conditions but for some."""
    former = LatencyTable.open(run.config.latency.table)
    with LatencyTable.create(Path(name), conditions(former.header)) as table:
        table.add(
            *(
                Measurement(entry.spec, tuple(2 * sample_s for sample_s in entry.samples_s))
                for entry in former.measurements.values()
            )
        )
    return name


def test_another_table_of_the_same_conditions_gives_the_population_its_costs(run: Run) -> None:
    former = {member.architecture: member for member in run.record().history[-1].population}
    moved = cars_hw.amended(run, {"latency": {"table": _other_table(run, "other.jsonl")}})
    search = cars_hw.open_search(moved)
    known = search.objectives[2]
    for member in search.history[-1].population:
        before = former[member.architecture].costs
        assert member.costs == (*before[:2], known(member.architecture))
        assert member.costs[2] != before[2]
    assert all(
        member.costs[2] == known(member.architecture)
        for generation in search.run()
        for member in generation.population
    )
    assert (
        Run.open("run").record().fingerprint["latency table"]
        == moved.amendments[0].tables_after["latency table"]
    )


@pytest.mark.parametrize("evaluations", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 5))])
@pytest.mark.parametrize(
    "strategy",
    [
        "random_search",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cars", "evnas", "g_evonas")),
    ],
)
def test_a_search_that_stopped_inside_a_generation_goes_on_there_by_another_table_and_limit(
    strategy: str, evaluations: int, run: Run
) -> None:
    if strategy != "random_search":
        shutil.rmtree(run.path)
        shutil.copytree(_GOLDEN / strategy, run.path)
        run = Run.open(run.path)
    search = cars_hw.open_search(run)
    done = search.trainer.ledger.evaluations
    list(search.run(max_evaluations=done + evaluations))
    assert search.kept is not None
    assert not search.kept.is_complete
    limit = min(member.costs[2] for member in search.front) * 4
    changed: Mapping[str, JsonValue] = {"table": _other_table(run, "other.jsonl"), "max_latency_ms": limit}
    moved = cars_hw.open_search(cars_hw.amended(run, {"latency": {**changed}}))
    assert moved.trainer.ledger.steps == search.trainer.ledger.steps  # nothing is trained twice
    known, generations = moved.objectives[2], list(moved.run())
    assert [generation.index for generation in generations] == [*range(search.kept.generation, 4)]
    assert moved.trainer.ledger.steps == moved.schedule.total_steps
    assert all(
        member.costs[2] == known(member.architecture)
        for generation in generations
        for member in (*generation.population, *generation.front)
    )


@pytest.mark.parametrize(
    ("fact", "conditions"),
    [
        ("threads", lambda header: replace(header, threads=2)),
        ("runtime_version", lambda header: replace(header, runtime_version="0.0")),
        ("settings.mode", lambda header: replace(header, settings={**header.settings, "mode": "x"})),
        ("device.model", lambda header: replace(header, device=replace(header.device, model="another"))),
    ],
)
def test_a_table_of_other_conditions_is_refused_by_name(
    fact: str, conditions: Callable[[TableHeader], TableHeader], run: Run
) -> None:
    before = _files(run.path)
    with pytest.raises(TableMismatchError, match=fact):
        cars_hw.amended(run, {"latency": {"table": _other_table(run, "other.jsonl", conditions)}})
    assert _files(run.path) == before


def test_a_table_that_lacks_an_entry_is_refused(run: Run) -> None:
    with LatencyTable.create(Path("empty.jsonl"), LatencyTable.open("table.jsonl").header):
        pass
    with pytest.raises(CarsHwError, match="no latency for"):
        cars_hw.amended(run, {"latency": {"table": "empty.jsonl"}})
    assert not Path("run", "amendments").exists()


def test_the_same_table_is_found_at_another_place_though_the_former_is_gone(run: Run) -> None:
    Path("table.jsonl").rename("moved.jsonl")
    moved = cars_hw.amended(run, {"latency": {"table": "moved.jsonl"}})
    assert cars_hw.open_search(moved).history


def test_another_table_cannot_be_compared_with_one_that_is_gone(run: Run) -> None:
    other = _other_table(run, "other.jsonl")
    Path("table.jsonl").unlink()
    with pytest.raises(
        CheckpointError, match=r"table = 'table.jsonl', and 'other.jsonl' is .* cannot be told"
    ):
        cars_hw.amended(run, {"latency": {"table": other}})


def test_a_table_that_changed_after_its_amendment_is_refused(run: Run) -> None:
    moved = cars_hw.amended(run, {"latency": {"table": _other_table(run, "other.jsonl")}})
    shutil.copy("table.jsonl", "other.jsonl")
    with pytest.raises(CheckpointError, match=r"has changed since it came into use by .*0001\.toml"):
        cars_hw.open_search(moved)


def test_who_does_not_own_the_run_amends_nothing(run: Run) -> None:
    with another_owner(run.path), pytest.raises(StorageError, match="is being written by process"):
        _extended(run, 5)
    assert not (run.path / "amendments").exists()


def test_a_run_that_was_amended_meanwhile_is_opened_again(run: Run) -> None:
    _extended(Run.open("run"), 5)
    for act in (run.record, lambda: _extended(run, 9)):
        with pytest.raises(CheckpointError, match="was amended while it was in use"):
            act()


def test_a_run_that_never_began_is_begun_anew_without_its_amendments(run: Run) -> None:
    shutil.rmtree(run.path / "checkpoints")
    extended = _extended(run, 5)
    assert extended.amendments[0].generation == -1
    begun = Run.create("run", run.config)
    assert begun.amendments == ()
    assert Run.open("run").config.search.generations == 3


def _rehashed(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change an amendment, and make its hash hold again, as somebody with intent would."""
    body = change(path.read_bytes().partition(b"\n")[2])
    path.write_bytes(f'sha256 = "{hashlib.sha256(body).hexdigest()}"\n'.encode() + body)


def _edited(folder: Path) -> None:
    path = folder / "0001.toml"
    path.write_bytes(path.read_bytes().replace(b"after = 5", b"after = 6"))


def _edited_with_intent(folder: Path) -> None:
    _rehashed(folder / "0001.toml", lambda body: body.replace(b"after = 5", b"after = 6"))


def _last_edited_with_intent(folder: Path) -> None:
    _rehashed(folder / "0002.toml", lambda body: body.replace(b"after = 7", b"after = 8"))


def _renumbered(folder: Path) -> None:
    (folder / "0002.toml").rename(folder / "0003.toml")


def _exchanged(folder: Path) -> None:
    (folder / "0001.toml").rename(folder / "x")
    (folder / "0002.toml").rename(folder / "0001.toml")
    (folder / "x").rename(folder / "0002.toml")


def _as_an_editor_saves(folder: Path) -> None:
    path = folder / "0002.toml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


_DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "the first is missing": (lambda folder: (folder / "0001.toml").unlink(), "0001.toml is missing"),
    "the last is missing": (lambda folder: (folder / "0002.toml").unlink(), "0002.toml is missing"),
    "all are missing": (shutil.rmtree, "0002.toml is missing"),
    "edited": (_edited, "0001.toml was changed after it was written"),
    "edited with intent": (
        _edited_with_intent,
        "0002.toml is number 2 of a run whose .*0001.toml was another",
    ),
    "the last one so": (_last_edited_with_intent, "0002.toml .* is not the one that this run was searched"),
    "renumbered": (_renumbered, "0002.toml is missing"),
    "exchanged": (_exchanged, "0001.toml is number 2"),
    "as an editor saves it": (_as_an_editor_saves, "0002.toml was changed"),
    "a folder": (lambda folder: _a_folder(folder / "0002.toml"), "0002.toml"),
}


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


_READERS: dict[str, Callable[[Run], object]] = {
    "front": Run.front,
    "report": cars_hw.report,
    "report_json": cars_hw.report_json,
    "export": cars_hw.export,
    "open_search": cars_hw.open_search,
    "amended": lambda run: _extended(run, 9),
}


@pytest.mark.parametrize("damage", _DAMAGES)
def test_every_reader_refuses_an_amendment_that_is_not_the_runs_by_its_name(damage: str, twice: Run) -> None:
    act, message = _DAMAGES[damage]
    act(twice.path / "amendments")
    before = _files(twice.path)
    for reader in _READERS.values():
        with pytest.raises(CheckpointError, match=f"amendment .*{message}"):
            reader(Run.open("run"))
    assert _files(twice.path) == before


def test_a_configuration_that_was_changed_below_its_amendments_is_named(run: Run) -> None:
    _extended(run, 5)
    path = run.path / "config.toml"
    path.write_text(path.read_text().replace("seed = 0", "seed = 1"))
    with pytest.raises(
        CheckpointError, match=r"0001.toml is number 1 of a run whose config.toml was another"
    ):
        Run.open("run")


def test_an_amendment_runs_no_code_that_nobody_allowed(run: Run) -> None:
    cars_hw.amended(run, {"latency": {"device": "cpu:elsewhere"}})
    path = run.path / "amendments" / "0001.toml"
    _rehashed(path, lambda body: body.replace(b'"cpu:elsewhere"', b'"my_lab.board:1"'))
    with pytest.raises(PluginNotAllowedError, match=r"names the module 'my_lab\.board'"):
        Run.open("run")


@pytest.mark.parametrize("bits", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_no_flipped_bit_of_an_amendment_is_silent(bits: int, twice: Run) -> None:
    silent = []
    for path in sorted((twice.path / "amendments").iterdir())[: 1 if bits == 1 else 2]:
        sound = path.read_bytes()
        for at in range(len(sound)):
            for bit in range(at % 8, at % 8 + bits):
                damaged = bytearray(sound)
                damaged[at] ^= 1 << bit % 8
                path.write_bytes(damaged)
                with contextlib.suppress(CarsHwError):
                    Run.open("run").record()
                    silent.append((path.name, at, bit % 8))
        path.write_bytes(sound)
        assert Run.open("run").record().history
    assert silent == []
