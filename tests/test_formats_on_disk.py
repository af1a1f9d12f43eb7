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

from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.latency.contents import TableContents
from cars_hw.networks.architecture import to_text
from cars_hw.results.model_card import read_card
from cars_hw.runs import Run
from cars_hw.search import Search
from latency_tables import LatencyTable

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
