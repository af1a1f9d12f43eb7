"""Sessions: every command that a message prints works as it stands, until no message names another one."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

import devices
from cars_hw.assembly import make_space
from cars_hw.cli._statuses import DONE, FAILED
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import TableContents
from latency_tables import LatencyTable, Measurement
from profilers import runtimes
from profilers.profiler import Profiler
from tests.fakes import programs
from tests.fakes.adb_daemon import real_daemon
from tests.fakes.command_line import Done, printed_commands, run
from tests.fakes.configurations import TINIEST, TINY
from tests.fakes.played_phone import PlayedPhone

_SHORT = """
[search]
warm_up_epochs = 0.6
epochs_per_generation = 0.05
generations = 0
[strategy]
population_size = 3
"""

#: What a shell makes something of: a folder's name that has to be quoted.
_HOSTILE = "-my 'lab'; $(exit 9) & \"more\""

#: Whether figures are right is not asked here, but a shared machine may be in no way steady.
_IN_A_HURRY = {
    "profile": ("--spread-s=0", "--precision=0.5", "--max-drift=100"),
    "table validate": ("--spread-s=0", "--precision=0.5", "--max-drift=100", "--allow-changed=speed"),
    "bench": ("--spread-s=0", "--allow-changed=speed"),
    "search": ("--allow-changed=speed",),
    "retrain": ("--set=retraining.epochs=2", "--set=retraining.batch_size=400"),
}


class Session:
    """Commands one after another, in one folder; each that was printed is run once.

    Attributes:
        ran: All that was run.
    """

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []
        self._waiting: list[tuple[str, ...]] = []

    def __call__(self, *words: str, status: int = DONE) -> Done:
        """Run ``words``, and remember what they print."""
        verb = next((verb for verb in _IN_A_HURRY if words[: len(verb.split())] == tuple(verb.split())), "")
        done = run(*words, *_IN_A_HURRY.get(verb, ()))
        assert done.status == status, (words, done)
        self.ran.append(words)
        self._waiting += [found for found in done.commands if found not in (*self.ran, *self._waiting)]
        return done

    def follow(self, *, but: Iterable[str] = ()) -> None:
        """Run every command that was printed, and that these print, but those of the verbs ``but``."""
        while self._waiting:
            words = self._waiting.pop(0)
            if words[0] not in but:
                self(*words)

    def verbs(self) -> set[str]:
        """The verbs that were run."""
        return {" ".join(words[:2]) if words[0] == "table" else words[0] for words in self.ran}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / _HOSTILE
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def _write(path: str, device: str, runtime: str, *, table: str, more: str = "", space: str = TINY) -> str:
    """Write a configuration of seconds in place of that which ``init`` wrote."""
    latency = f'[latency]\ndevice = "{device}"\nruntime = "{runtime}"\ntable = "{table}"\n'
    Path(path).write_text(f"{space}{_SHORT}{more or latency}")
    return path


def test_every_command_of_a_session_on_the_fake_device_works_as_printed(folder: Path) -> None:
    session = Session()
    session("devices", "--device", "fake")
    begun = session("init", f"{_HOSTILE}.toml"[1:], "--device", "fake")
    config = _write(f"{_HOSTILE}.toml"[1:], "fake", "fake", table="-t 'able'.jsonl", space=TINIEST)
    refused = session("search", f"--config={config}", "--run=r", status=FAILED)
    assert not Path("r").exists()
    assert [words[0] for words in refused.commands] == ["profile"]
    session.follow()
    verbs = {"init", "profile", "table validate", "search", "retrain", "export", "report", "bench"}
    assert session.verbs() >= verbs
    assert len(begun.commands) == 3
    [card] = Path("runs").glob("*/export/knee.json")
    assert json.loads(card.read_bytes())["weights_are"] == "retrained"


def test_a_command_that_is_printed_in_another_way_would_be_found() -> None:
    text = "next: cars-hw report 'a; b'; cars-hw bench c\ncars-hw: no; run `cars-hw table show x` now\n"
    assert list(printed_commands(text)) == [
        ("table", "show", "x"),
        ("report", "a; b"),
        ("bench", "c"),
    ]
    with pytest.raises(AssertionError):
        list(printed_commands("then run cars-hw report r"))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
def test_every_command_of_a_session_on_this_machine_works_as_printed(runtime: str, folder: Path) -> None:
    session = Session()
    session("init", "c d.toml", f"--runtime={runtime}")
    config = _write("c d.toml", "cpu", runtime, table=f"cpu-{runtime}.jsonl")
    session.follow()
    session("bench", "--architecture", ".".join(["0"] * 24), f"--config={config}")
    int8 = ("--format=tflite", "--int8", "--max-error-growth=100", "--weights=search")
    session("export", "runs/c d", *int8, "--pick=0")
    session("search", f"--config={config}", "--run=runs/c d", "--resume")
    _lose_an_entry(f"cpu-{runtime}.jsonl", session)
    session("search", f"--config={config}", "--run=again", status=FAILED)
    suffix = "onnx" if runtime == "onnxruntime" else "tflite"
    lacking = session("bench", f"runs/c d/export/knee.{suffix}", f"--table=cpu-{runtime}.jsonl")
    assert [words[0] for words in lacking.commands] == ["profile"]
    session.follow()


def _lose_an_entry(table: str, session: Session) -> None:
    """Damage a table and let its printed commands repair it, which loses a unit."""
    session.follow()
    content = bytearray(Path(table).read_bytes())
    entry = next(line for line in content.splitlines() if b"unit." in line and b"samples" in line)
    content[content.index(entry) + entry.index(b"unit.") + 1] ^= 1
    Path(table).write_bytes(content)
    session("table", "show", table, status=FAILED)
    session.follow()


def _write_all_but_one_entry(table: str, config: str) -> None:
    """Write the table of a phone that answers, as if most of it had been measured: that takes minutes."""
    loaded = SearchConfig.load(config)
    latency = loaded.latency
    with devices.connect(latency.device) as device:
        header = Profiler(device, runtimes.load(latency.runtime, 1, **latency.settings)).header()
    specs = TableContents(make_space(loaded)).specs
    with LatencyTable.create(table, header) as filled:
        filled.add(*(Measurement(spec, ((1 + i) * 1e-6,)) for i, spec in enumerate(specs[:-1])))


@pytest.mark.slow
def test_every_command_of_a_session_on_a_phone_works_as_printed(
    phone: PlayedPhone, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "the tool"
    tool.write_bytes(programs.benchmark_model())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CARS_HW_PLAYED_PHONE", phone.root)
    with real_daemon("open", tmp_path, path=f"{phone.programs}:/usr/bin:/bin") as daemon:
        device = f"tests.fakes.played_android:tcp:{daemon.address}"
        latency = (
            f'[latency]\ndevice = "{device}"\nruntime = "tflite"\ntable = "a phone.jsonl"\n'
            f'[latency.settings]\nbenchmark_binary = "{tool}"\n'
        )
        config = _write("c d.toml", "", "", table="", more=latency)
        _write_all_but_one_entry("a phone.jsonl", config)
        session = Session()
        session("devices", f"--device={device}")
        session("search", f"--config={config}", "--run=-r 1", status=FAILED)
        session.follow()
        session("search", f"--config={config}", "--run=-r 1")
        session.follow()
    benches = [words for words in session.ran if words[0] == "bench"]
    assert benches
    assert all(f"--device={device}" in words for words in benches)
    assert any(words[0] == "export" and "--format=tflite" in words for words in session.ran)


@pytest.mark.slow
def test_every_command_of_a_session_with_targets_limits_and_a_plug_in_works_as_printed(folder: Path) -> None:
    more = (
        '[targets.one]\ndevice = "fake"\ntable = "one.jsonl"\n[targets.two]\ndevice = "fake"\n'
        'table = "two.jsonl"\n[limits]\nmacs = 1e9\n'
    )
    config = _write("c d.toml", "", "", table="", more=more)
    text = Path(config).read_text()
    text = text.replace("[search]", '[search]\nobjectives = ["error", "latency_ms", "macs"]')
    larger = 'deploy = "cifar"\ndeploy_channels = 4\ndeploy_cells = 4\ndeploy_image_size = 16\n'
    larger += 'deploy_image_channels = 1\nname = "tests.fakes.command_line_space"'
    text = text.replace("image_size = 8", "image_size = 16").replace('deploy = "search"', larger)
    text = text.replace("[data]", "[data]\nimage_size = 16")
    Path(config).write_text(text)
    session = Session()
    for _ in range(2):
        session("search", f"--config={config}", "--run=r 1", status=FAILED)
        session.follow()
    session("search", f"--config={config}", "--run=r 1")
    session.follow()
    assert {"retrain", "export"} <= session.verbs()
    assert not any("--scale=search" in words for words in session.ran)
    assert any("--allow-plugin=tests.fakes.command_line_space" in words for words in session.ran)
