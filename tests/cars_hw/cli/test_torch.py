"""The command line with torch as the runtime, and what it says of runtimes with a caution."""

import json
from pathlib import Path

import pytest

from latency_tables import LatencyTable, is_unit
from tests.fakes.command_line import run

_QUICK = ("--spread-s=0", "--precision=0.5")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_profile_ends_with_the_caution_of_its_runtime() -> None:
    fakes = ("--space=tests.fakes.two_options", "--device=fake", "--runtime=tests.fakes.cautious_runtime")
    assert run("profile", *fakes, *_QUICK, "--table=t.jsonl").err.endswith("t.jsonl: it only plays\n")
    assert "it only plays" not in run("profile", *fakes, *_QUICK, "--table=t.jsonl", "--json").err


@pytest.mark.slow
def test_a_space_is_profiled_by_units_validated_and_benched_under_torch(tmp_path: Path) -> None:
    settings = ("--set=space.deploy=search", "--set=space.channels=4", "--set=space.cells=1")
    setup = ("--space=nasbench201", "--runtime=torch", "--table=t.jsonl", *settings)
    done = run("profile", *setup, "--set=latency.settings.layout=contiguous", *_QUICK)
    assert done.status == 0
    assert "4 to 12 times as long on a processor" in done.err
    table = LatencyTable.open("t.jsonl")
    assert any(is_unit(spec) for spec in table.measurements)
    assert table.header.settings["layout"] == "contiguous"
    again = (*setup, "--set=latency.settings.layout=contiguous", "--spread-s=0")
    assert run("table", "validate", *again, "--precision=0.5").status == 0
    benched = run("bench", "--architecture=1.2.3.4.1.2", *again, "--json")
    assert benched.status == 0
    found = json.loads(benched.out)
    assert found["predicted_ms"] == pytest.approx(found["measured_ms"], rel=0.5)
