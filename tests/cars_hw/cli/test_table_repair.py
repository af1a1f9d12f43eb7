"""``table repair``: the command that a damaged table's message prints leads out of it."""

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cars_hw.cli import app
from cars_hw.spaces.darts import Darts
from cars_hw.testing._tables import write_table
from latency_tables import DamagedFileError, EditedFileError, LatencyTable

_SPACE = Darts(deploy="search", channels=2, cells=3, image_size=8, image_channels=1)


def _run(command: str) -> str:
    name, *arguments = shlex.split(command)
    assert name == "cars-hw"
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def _printed(text: str) -> str:
    return text.split("`")[1]


@pytest.fixture(params=["table.jsonl", "my table; 'x' $(y).jsonl", "-table.jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_table(Path(request.param), _SPACE)


def test_the_printed_commands_lead_from_a_damaged_table_to_one_that_opens(path: Path) -> None:
    entries = len(LatencyTable.open(path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError) as caught:
        LatencyTable.open(path)

    dry = _run(_printed(str(caught.value)))
    assert path.read_bytes() == content
    assert "bytes go: its length or checksum does not hold" in dry
    assert "nothing was changed: run" in dry

    done = _run(_printed(dry))
    assert f"the old file is {path}.damaged" in done
    assert len(LatencyTable.open(path)) == entries - 1
    assert Path(f"{path}.damaged").read_bytes() == content
    assert "there is nothing to repair" in _run(shlex.join(["cars-hw", "table", "repair", f"./{path}"]))


def test_a_table_that_an_editor_changed_loses_nothing(path: Path) -> None:
    before = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + before.replace(b"\n", b"\r\n"))
    with pytest.raises(EditedFileError) as caught:
        LatencyTable.open(path)
    dry = _run(_printed(str(caught.value)))
    assert "lines are mended: it ends in CRLF instead of LF" in dry
    _run(_printed(dry))
    assert path.read_bytes() == before


def test_a_program_reads_what_goes(path: Path) -> None:
    lines = path.read_bytes().count(b"\n")
    with path.open("ab") as file:
        file.write(b"noise\n")
    command = ["cars-hw", "table", "repair", f"./{path}", "--json"]
    assert json.loads(_run(shlex.join(command))) == {
        "path": str(path),
        "kept": lines,
        "lost": [
            {"number": lines + 1, "size_bytes": 6, "reason": "its length or checksum does not hold"},
        ],
        "mended": {},
        "is_needed": True,
        "old": None,
    }
    written = json.loads(_run(shlex.join([*command, "--write"])))
    assert written["old"] == f"{path}.damaged"
