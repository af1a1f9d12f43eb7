"""The example scripts run, and do what their heads say."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples import own_objective, search_in_python, tabular_truth
from profilers import Quality

_EXAMPLES = Path(own_objective.__file__).parent
_QUICK = Quality(precision=0.5, spread_s=0)


@pytest.mark.slow
def test_everything_that_a_verb_does_is_done_in_python_and_goes_on_where_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search_in_python.main(tmp_path / "new", _QUICK)
    first = capsys.readouterr().out
    measured = re.search(r"^(\d+) units and networks measured, 0 were there$", first, re.MULTILINE)
    assert measured
    assert "20 whole networks: RMSPE" in first
    assert "generation 4: front of" in first
    assert "knee.onnx: measured" in first
    search_in_python.main(tmp_path / "new", _QUICK)
    again = capsys.readouterr().out
    assert f"0 units and networks measured, {measured[1]} were there" in again
    assert "generation 4" not in again  # nothing was left to search
    assert "knee.onnx: measured" in again
    assert (tmp_path / "new" / "run" / "report.html").exists()
    assert (
        (tmp_path / "new" / "front.csv").read_text().startswith(",architecture,error,parameters,latency_ms\n")
    )


@pytest.fixture
def my_lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let ``my_lab`` be found as it is where the script runs."""
    monkeypatch.syspath_prepend(_EXAMPLES)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_lab"]:
        del sys.modules[name]


@pytest.mark.usefixtures("my_lab")
def test_an_objective_and_images_from_outside_are_searched_by_name_and_need_permission_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_objective.main(tmp_path / "run")
    printed = capsys.readouterr().out
    assert "generation 2: front of" in printed
    assert "names the module 'my_lab.stripes', which is none of ours" in printed
    assert printed.splitlines()[-1].startswith("generation 2: front of")


def test_known_accuracies_are_searched_and_most_of_the_true_front_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tabular_truth.main(tabular_truth.write_made_up(tmp_path / "accuracies.csv"))
    found, _, _, _, _, best, *_ = capsys.readouterr().out.splitlines()[-1].split()
    assert int(found) >= int(best) / 2
