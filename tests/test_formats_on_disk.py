"""What was written before cars_hw moved house is opened, and gone on with.

``tests/golden/before-the-moves`` was written by commit 50ebdf2: a latency table, one run folder for each
strategy, stopped after generation 1 of 3, two exported files with their cards, and what that commit made of
the runs when it went on with them.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import cars_hw
from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.latency.contents import TableContents
from cars_hw.networks.architecture import to_text
from cars_hw.results.model_card import read_card
from cars_hw.runs import Run
from cars_hw.search import Search
from latency_tables import LatencyTable, Measurement, OpSpec, TableHeader
from profilers import Quality, runtimes

_GOLDEN = Path(__file__).parent / "golden" / "before-the-moves"
_EXPECTED: dict[str, list[dict[str, Any]]] = json.loads((_GOLDEN / "expected.json").read_bytes())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that was written, in which the configurations' relative paths hold."""
    shutil.copytree(_GOLDEN, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def _search(run: Run) -> Search:
    return make_search(run, make_trainer(run.config, make_space(run.config)))


def test_an_old_table_holds_what_the_space_needs(folder: Path) -> None:
    table = LatencyTable.open(folder / "table.jsonl")
    space = make_space(Run.open(folder / "cars").config)
    assert all(spec in table for spec in TableContents(space).specs)


def test_an_old_table_is_gone_on_with(folder: Path) -> None:
    path, runtime = folder / "table.jsonl", runtimes.load("onnxruntime")
    before = LatencyTable.open(path)
    header = TableHeader(  # as a profiler makes it on that machine today
        device=before.header.device,
        runtime="onnxruntime",
        runtime_version=before.header.runtime_version,
        threads=runtime.threads,
        settings=runtime.header_settings(),
        executes=runtime.executes,
    )
    new = Measurement(OpSpec.of("conv_bn", (1, 4, 8, 8), out=4, kernel=7), (2e-3, 1e-3), {"rounds": 2})
    with LatencyTable.open_for_writing(path, header) as table:
        assert table.missing([new.spec]) == (new.spec,)
        table.add(new)
    after = LatencyTable.open(path)
    assert after[new.spec] == new
    assert after.measurements == {**before.measurements, new.spec: new}
    assert path.read_bytes().startswith((_GOLDEN / "table.jsonl").read_bytes())


@pytest.mark.parametrize("strategy", sorted(_EXPECTED.keys() - {"nse"}))
def test_an_old_run_goes_on_as_it_would_have_then(folder: Path, strategy: str) -> None:
    run = Run.open(folder / strategy)
    search = _search(run)
    assert search.resume()
    assert search.history[-1].index == 1
    *_, last = search.run()
    assert last.index == 3
    found = [
        {"architecture": to_text(member.architecture), **last.costs_of(member)} for member in last.population
    ]
    # Errors count images, a few of which other processors' rounding may turn: none does on the one it ran on.
    assert [member["architecture"] for member in found] == [
        member["architecture"] for member in _EXPECTED[strategy]
    ]
    for name in ("parameters", "latency_ms", "error"):
        expected = [member[name] for member in _EXPECTED[strategy]]
        assert [member[name] for member in found] == pytest.approx(expected)


def test_an_old_card_is_read(folder: Path) -> None:
    for name in ("knee.onnx", "knee.tflite"):
        card = read_card(folder / "export" / name)
        assert card is not None
        assert card.space.name == "nasbench201"
        assert card.latency.table == "table.jsonl"


@pytest.mark.parametrize("has_table", [True, False], ids=["a table of the user's", "the card's table"])
def test_the_model_of_an_old_card_is_measured_and_predicted(folder: Path, *, has_table: bool) -> None:
    config = cars_hw.SearchConfig.load(
        None, {"latency.table": "table.jsonl", "latency.measured_elsewhere": True}
    )
    quality = Quality(precision=0.5, spread_s=0.0)
    [bench] = cars_hw.bench([folder / "export/knee.onnx"], config, has_table=has_table, quality=quality)
    card = json.loads((folder / "export/knee.json").read_bytes())
    assert bench.predicted_ms == pytest.approx(card["costs_of_the_deployed_network"]["latency_ms"])
    assert bench.measured_ms > 0
    assert "never validated" in bench.trust
