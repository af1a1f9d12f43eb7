"""A search in a terminal: its front, what was spent and the time left; and its page, written as it goes."""

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

import cars_hw
from cars_hw.cli._live.search_view import SearchView, search_view
from cars_hw.cli._output import bars, err
from cars_hw.networks.architecture import to_text
from cars_hw.runs import Run
from cars_hw.search import Search
from tests.fakes.command_line import run as call

_GOLDEN = Path(__file__).parents[2] / "golden" / "before-the-moves"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A search after generation 1 of 3, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    shutil.copytree(_GOLDEN / "cars", "run")
    return Run.open("run")


def _drawn(run: Run, search: Search, *, height: int = 40) -> str:
    console = Console(file=io.StringIO(), width=140, height=height, force_terminal=True, color_system=None)
    console.print(SearchView(run.config, search, bars(), console))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_view_has_the_front_with_its_costs_what_was_spent_and_the_time_left(run: Run) -> None:
    search = cars_hw.open_search(run)
    shown = _drawn(run, search)
    for member in run.front():
        assert to_text(member.architecture) in shown
        assert all(f"{cost:.6g}" in shown for cost in member.costs)
    assert f"training {search.trainer.ledger.training_s:.0f} s" in shown
    assert "time left: " in shown
    assert "not known yet" not in shown


def test_a_low_terminal_shows_the_most_accurate_and_says_how_many_more_there_are(run: Run) -> None:
    front = run.front()
    shown = _drawn(run, cars_hw.open_search(run), height=5)
    assert to_text(front[2].architecture) in shown
    assert to_text(front[-1].architecture) not in shown
    assert f"and {len(front) - 3} more, of lesser accuracy" in shown


def test_members_over_a_limit_are_told(run: Run) -> None:
    least = min(member.costs[1] for member in run.front())
    for most, text in ((least - 1, "over: parameters"), (least, "met")):
        run = cars_hw.amended(run, {"limits": {"parameters": most}}, allow_infeasible=True)
        assert text in _drawn(run, cars_hw.open_search(run))


def test_elsewhere_nothing_is_drawn(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert not err.is_terminal
    with search_view(run.config, cars_hw.open_search(run)):
        pass
    shown = capsys.readouterr()
    assert shown.out + shown.err == ""


def test_a_search_with_a_page_leaves_that_of_its_last_generation(run: Run) -> None:
    done = call("search", "--run", "run", "--resume", "--page", "--no-measure", "--workers=1")
    assert done.status == 0, done.err
    page = (run.path / "report.html").read_text()
    last = cars_hw.page_of([Run.open("run")]).runs[0]
    assert last.generations[-1].index == 3
    assert json.dumps(last.summary)[1:-1] in page
    assert "wrote run/report.html" in done.err


@pytest.mark.slow
def test_a_page_that_cannot_be_written_is_said_and_the_search_goes_on(run: Run) -> None:
    (run.path / "report.html").mkdir()
    done = call("search", "--run", "run", "--resume", "--page", "--no-measure", "--workers=1")
    assert done.status == 0, done.err
    assert "the page was not written: cannot write run/report.html" in done.err
    assert Run.open("run").record().history[-1].index == 3
