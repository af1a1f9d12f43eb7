"""Pages of runs: what is read of their folders, which runs compare, and which are refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from pydantic import JsonValue

import cars_hw
from cars_hw.candidate import Candidate, Front
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.networks.architecture import to_text
from cars_hw.results.reporting.model import Page
from cars_hw.results.reporting.reading.pages import page_of
from cars_hw.results.reporting.reading.pooling import configuration
from cars_hw.runs import Run
from cars_hw.saving.record import Record
from devices.foundation import ConfigError
from tests.fakes.command_line import run as call
from tests.fakes.pages import page_of_several

_GOLDEN = Path(__file__).parents[4] / "golden" / "before-the-moves"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the table that the golden runs were searched by."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    return tmp_path


def _golden(strategy: str, name: str = "") -> Run:
    shutil.copytree(_GOLDEN / strategy, name or strategy)
    return Run.open(name or strategy)


@dataclass(frozen=True)
class _Altered(Run):
    """A run whose checkpoint says something else than was written."""

    alter: Callable[[Record], Record] = field(default=lambda record: record)

    @classmethod
    def of(cls, run: Run, alter: Callable[[Record], Record], **settings: JsonValue) -> Run:
        """Return ``run`` with another record, and other values in its configuration, by dotted keys."""
        values = run.config.to_values()
        for key, value in settings.items():
            section = values[key.partition("__")[0]]
            assert isinstance(section, dict)
            section[key.partition("__")[2]] = value
        return cls(run.path, SearchConfig.of(values), run.sha256, run.amendments, alter)

    def record(self) -> Record:
        return self.alter(super().record())


def _same(record: Record) -> Record:
    return record


def _seed(number: int) -> Run:
    """Return a golden run as another seed may have it: its errors are ``number`` hundredths larger."""

    def altered(record: Record) -> Record:
        history = [
            replace(
                one,
                population=tuple(_worse(member, number) for member in one.population),
                front=Front((_worse(member, number) for member in one.front), one.objectives),
            )
            for one in record.history
        ]
        return replace(record, history=history)

    return _Altered.of(_golden("cars", f"seed{number}"), altered, search__seed=number)


def _worse(member: Candidate, number: int) -> Candidate:
    return replace(member, costs=(member.costs[0] + 0.01 * number, *member.costs[1:]))


def _only(page: Page) -> dict[str, str]:
    return {key: texts[0] for key, texts in ((one.key, one.values) for one in page.differences)}


def _estimated(record: Record) -> Record:
    """Let each front be compared the other way round than by its errors."""

    def turned(member: Candidate) -> Candidate:
        return replace(member, estimate=1.0 - member.costs[0])

    history = [
        replace(
            one,
            front=Front(map(turned, one.front), one.objectives),
            population=tuple(map(turned, one.population)),
        )
        for one in record.history
    ]
    return replace(record, history=history)


def test_a_page_says_where_members_were_compared_by_estimates() -> None:
    run = _golden("cars")
    estimated = _Altered.of(run, _estimated)
    usual, other = (page_of([one]).runs[0] for one in (run, estimated))
    said = [note for note in other.notes if note not in usual.notes]
    assert len(said) == 1
    assert said[0].startswith("members are compared by estimates (strategy.errors)")
    chosen = {pick: one.costs[0] for one in other.front for pick in one.picks}
    assert chosen["most-accurate"] == max(one.costs[0] for one in other.front)


def test_the_front_of_a_page_is_that_of_the_run_with_its_costs() -> None:
    run = _golden("cars")
    [data] = page_of([run]).runs
    front = run.front()
    assert [data.members.architecture[one.member] for one in data.front] == [
        to_text(member.architecture) for member in front
    ]
    for one, member in zip(data.front, front, strict=True):
        assert one.costs == pytest.approx(member.costs, rel=1e-5)
        assert one.latencies["latency_ms"].measured is None
        assert not one.violations
    assert {one.choice: one.number for one in data.picks}["most-accurate"] == 0
    assert [one.index for one in data.generations] == [0, 1]
    assert data.planned == 3


def test_the_parts_of_a_network_add_up_to_its_predicted_milliseconds() -> None:
    [data] = page_of([_golden("cars")]).runs
    assert data.breakdowns.keys() == {one.number for one in data.front}
    for one in data.front:
        found, latency = data.breakdowns[one.number]["latency_ms"], one.latencies["latency_ms"]
        assert found.total_ms == pytest.approx(latency.predicted, rel=1e-4)
        for parts in (found.classes, found.dearest):
            assert sum(part.ms for part in parts) == pytest.approx(found.total_ms, rel=1e-3)
            assert sum(part.share for part in parts) == pytest.approx(1, rel=1e-3)
        low, high = latency.predicted_interval or (0, 0)
        assert low <= latency.predicted <= high


def test_a_table_that_is_gone_leaves_a_page_that_says_so() -> None:
    run = _golden("cars")
    Path("table.jsonl").unlink()
    [data] = page_of([run]).runs
    assert data.breakdowns == {}
    assert "table.jsonl" in data.no_breakdown["latency_ms"]
    assert all(one.latencies["latency_ms"].predicted_interval is None for one in data.front)


def test_a_table_that_is_another_one_by_now_tells_nothing_of_the_run() -> None:
    run, table = _golden("cars"), Path("table.jsonl")
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if "avg_pool" not in line))
    [data] = page_of([run]).runs
    assert data.no_breakdown == {
        "latency_ms": "latency table table.jsonl is not as it was when the search used it"
    }


def test_a_limit_is_drawn_and_those_over_it_say_by_how_much() -> None:
    run = _golden("cars")
    least = min(member.costs[1] for member in run.front())
    amended = cars_hw.amended(run, {"limits": {"parameters": least}}, allow_infeasible=True)
    [data] = page_of([amended]).runs
    assert data.limits == {"parameters": least}
    over = [one for one in data.front if one.costs[1] > least]
    assert over
    assert all("times the limit" in one.violations[0] for one in over)
    last = data.generations[-1]
    assert {one.member for one in over} <= set(last.infeasible)


def test_links_lead_from_the_page_to_exported_files_whatever_their_names(folder: Path) -> None:
    run = _golden("cars")
    (run.path / "export").mkdir()
    (run.path / "export" / "a #1 <b>.onnx").write_bytes(b"12345")
    [here] = page_of([run]).runs[0].files
    [there] = page_of([run], folder=folder / "pages").runs[0].files
    assert (here.name, here.href, here.size_bytes) == (
        "export/a #1 <b>.onnx",
        "export/a%20%231%20%3Cb%3E.onnx",
        5,
    )
    assert there.href == "../cars/export/a%20%231%20%3Cb%3E.onnx"


def test_runs_of_other_algorithms_are_two_configurations_under_one_reference_point() -> None:
    page = page_of([_golden("cars"), _golden("random_search")])
    assert [one.runs for one in page.configurations] == [(0,), (1,)]
    assert _only(page)["strategy.name"] == "cars"
    assert "search.seed" not in _only(page)
    costs = [row for run in page.runs for row in run.members.costs]
    errors = [error for run in page.runs for one in run.generations for error in one.errors]
    largest = (max(errors), *np.array(costs).max(axis=0)[1:])
    assert page.reference == pytest.approx([1.1 * most for most in largest], rel=1e-5)


def test_seeds_of_one_configuration_are_pooled_and_one_alone_has_no_spread() -> None:
    page = page_of([_seed(0), _seed(1), _seed(2)])
    [both] = page.configurations
    assert (both.label, both.runs, page.differences) == ("seed0, seed1, seed2", (0, 1, 2), ())
    for pooled, name in ((both.hypervolume, "hypervolume"), (both.best_error, "best_error")):
        for place, index in enumerate(pooled.generation):
            values = [getattr(run.generations[index], name) for run in page.runs]
            assert pooled.mean[place] == pytest.approx(fmean(values), rel=1e-5)
            assert pooled.deviation[place] == pytest.approx(stdev(values), rel=1e-4)
            assert (pooled.least[place], pooled.most[place]) == (min(values), max(values))
    [alone] = page_of([Run.open("seed0")]).configurations
    assert alone.hypervolume.deviation == (None, None)


def test_the_pooled_front_is_what_brute_force_leaves_of_all_fronts() -> None:
    runs = page_of_several().runs
    found = set(configuration(runs, [0, 1, 2]).front)
    members = {(i, one.number): one.costs for i in (0, 1, 2) for one in runs[i].front}
    best = {
        key
        for key, mine in members.items()
        if not any(
            its != mine and all(a <= b for a, b in zip(its, mine, strict=True)) for its in members.values()
        )
    }
    assert found == best


def test_a_seed_that_ended_earlier_is_pooled_as_far_as_it_went() -> None:
    runs = list(page_of_several().runs)
    runs[1] = replace(runs[1], generations=runs[1].generations[:3])
    pooled = configuration(runs, [0, 1]).best_error
    assert pooled.runs[:4] == (2, 2, 2, 1)
    assert pooled.deviation[3] is None


def test_every_value_of_a_page_is_json_and_its_numbers_have_six_digits_at_most() -> None:
    page = page_of([_golden("cars"), _golden("evnas")])
    text = json.dumps(page.to_json(), allow_nan=False)
    numbers: list[float] = []
    json.loads(text, parse_float=lambda digits: numbers.append(float(digits)))
    assert numbers
    # The configuration is as it is stored.
    own = [value for run in page.runs for value in run.settings.values() if isinstance(value, float)]
    assert all(value == float(f"{value:.6g}") for value in numbers if value not in own)


def _empty(run: Run) -> None:
    shutil.rmtree(run.path / "checkpoints")


def _damaged(run: Run) -> None:
    (run.path / "checkpoints" / "0001" / "state.json").write_bytes(b"{}")


def _of_other_objectives(record: Record) -> Record:
    return _with_objectives(record, ("error", "macs", "latency_ms"))


def _of_other_units(record: Record) -> Record:
    return _with_objectives(record, ("error", "my_lab.size_bytes", "latency_ms"))


def _of_other_units_still(record: Record) -> Record:
    return _with_objectives(record, ("error", "my_lab.size_kib", "latency_ms"))


def _with_objectives(record: Record, names: tuple[str, ...]) -> Record:
    return replace(record, history=[replace(one, objectives=names) for one in record.history])


def _of_other_table(record: Record) -> Record:
    return replace(record, fingerprint={**record.fingerprint, "latency table": "0" * 64})


def _pair(mine: Callable[[Record], Record], its: Callable[[Record], Record]) -> list[Run]:
    return [_Altered.of(_golden("cars"), mine), _Altered.of(_golden("evnas"), its)]


_REFUSED: dict[str, tuple[Callable[[], list[Run]], str]] = {
    "none": (list, "there is no run to report"),
    "twice": (lambda: [_golden("cars"), Run.open(Path("cars") / ".." / "cars")], "is given twice"),
    "a copy": (lambda: [_golden("cars"), _golden("cars", "copy")], "it is the same run; leave one out"),
    "another space": (
        lambda: [_golden("cars"), _Altered.of(_golden("evnas"), _same, space__channels=4)],
        "are of other spaces: channels = 2 and 4; report them apart",
    ),
    "other objectives": (
        lambda: _pair(_same, _of_other_objectives),
        "have other objectives, error, parameters, latency_ms and error, macs, latency_ms",
    ),
    "other units": (
        lambda: _pair(_of_other_units, _of_other_units_still),
        "have other units, error, my_lab.size_bytes, latency_ms and error, my_lab.size_kib",
    ),
    "another table": (lambda: _pair(_same, _of_other_table), "went by other latency tables"),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_runs_that_do_not_compare_are_refused_in_one_line(case: str) -> None:
    make, message = _REFUSED[case]
    with pytest.raises((CheckpointError, ConfigError), match=message) as refused:
        page_of(make())
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("spoil", [_empty, _damaged])
def test_a_run_without_a_generation_or_with_a_damaged_one_leaves_no_file(
    spoil: Callable[[Run], None], folder: Path
) -> None:
    _golden("random_search")
    spoil(_golden("cars"))
    before = sorted(folder.rglob("*"))
    for words in (
        ("report", "random_search", "cars", "--to", "new/page.html"),
        ("report", "random_search", "cars", "--csv", "tables"),
        ("compare", "random_search", "cars", "--json"),
    ):
        done = call(*words)
        assert (done.status, done.out, len(done.err.splitlines())) == (1, "", 1), done
    assert sorted(folder.rglob("*")) == before
