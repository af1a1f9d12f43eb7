"""``profile`` on a card that a processor plays: what ran, and no latency."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cars_hw.cli import app
from latency_tables import FailureStatus, LatencyTable
from tests.fakes.software_card import software_card


@pytest.mark.slow
def test_a_profile_of_a_played_card_says_that_what_ran_has_no_latency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    software_card(monkeypatch)
    monkeypatch.chdir(tmp_path)
    words = ["profile", "--space=tests.fakes.two_options", "--device=gpu:software", "--runtime=onnxruntime"]
    result = CliRunner().invoke(app, [*words, "--set=latency.settings.provider=webgpu", "--table=t.jsonl"])
    assert result.exit_code == 1
    assert "ran and were right, and have no latency" in str(result.exception)
    assert "t.jsonl: it holds no latency\n" in result.output
    assert "table validate" not in result.output
    table = LatencyTable.open(Path("t.jsonl"))
    assert {failure.status for failure in table.failures.values()} == {FailureStatus.UNTIMED}
    assert not table.measurements
