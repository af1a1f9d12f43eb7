"""From a board to a front: the verbs on a board over SSH, which is this machine behind a real ``sshd``."""

import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cars_hw.cli import app
from latency_tables.table import LatencyTable
from tests.fakes.configurations import TINIEST
from tests.fakes.sshd import Sshd

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="boards run Linux"),
]

_CONFIG = f"""{TINIEST}
[search]
warm_up_epochs = 0.5
epochs_per_generation = 0.05
generations = 1
[strategy]
population_size = 4
[latency]
device = "{{device}}"
runtime = "{{runtime}}"
"""

#: Whether the figures are right is not asked here, nor how busy the machine is.
_AT_ONCE, _ROUGHLY, _STEADY, _BUSY = (
    *("--spread-s=0", "--precision=0.2", "--max-drift=100"),
    "--allow-changed=speed",
)
_DEVICE = f"ssh:board?cores=all&python={sys.executable}"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
def test_a_board_is_listed_profiled_validated_and_searched_for(
    sshd: Sshd, tmp_path: Path, runtime: str
) -> None:
    [found] = json.loads(run("devices", "--device", _DEVICE, "--json"))
    assert found["is_reached"]
    assert found["faults"] == []
    (tmp_path / "config.toml").write_text(_CONFIG.format(device=_DEVICE, runtime=runtime))
    table, folder = tmp_path / "table.jsonl", str(tmp_path / "run")
    config = ("--config", str(tmp_path / "config.toml"), "--table", str(table))
    profiled = json.loads(run("profile", *config, _AT_ONCE, _ROUGHLY, _STEADY, "--json"))
    assert profiled["failed"] == []
    opened = LatencyTable.open(table)
    assert (opened.header.device.kind, opened.header.runtime) == ("ssh", runtime)
    assert opened.executed
    assert all("process_blocks" in entry.conditions for entry in opened.measurements.values())
    validated = run("table", "validate", *config, _AT_ONCE, _ROUGHLY, _STEADY, _BUSY, "--json")
    assert json.loads(validated)["prediction_error"]["n"] == 20
    run("search", "--run", folder, *config, "--no-measure")
    out = run("export", folder, "--pick", "fastest")
    assert "fastest" in out
    assert [name for name in sshd.ours() if not re.fullmatch("[0-9a-f]{64}", name)] == []
