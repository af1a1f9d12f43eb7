"""Ctrl-C and SIGTERM: one line, what is kept, and a command that goes on when it is pasted."""

import json
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cars_hw.cli import app
from cars_hw.cli._interruption import command, one_line_at_interrupts
from latency_tables.table import LatencyTable
from tests.fakes import interrupts, programs
from tests.fakes.configurations import TINY
from tests.fakes.waiting import wait_for

_LINE = re.compile(r"cars-hw: (interrupted|terminated): (.+); go on with: (.+)")

_FAKE = ("--space=tests.fakes.two_options", "--device=tests.fakes.sleeping", "--runtime=fake")


def ending(verb: interrupts.Verb) -> tuple[str, str]:
    """Return what the one line of the end says is kept, and its command."""
    lines = verb.said().splitlines()
    found = [match for line in lines if (match := _LINE.fullmatch(line))]
    assert len(found) == 1, lines
    assert lines[-1] == found[0][0]
    assert not [line for line in lines if "Traceback" in line or "Exception ignored" in line], lines
    return found[0][2], found[0][3]


def test_an_interrupted_profile_says_what_is_kept_and_its_command_completes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["profile", *_FAKE, "--table", "my table.jsonl", "--spread-s"]
    with interrupts.running(tmp_path, *interrupts.command(), *words, "60") as verb:
        verb.wait_until("are missing; about")
        assert verb.interrupt(signal.SIGINT) == 130
        assert verb.children() == []
        kept, goes_on = ending(verb)
    assert re.fullmatch(r"(0 of 5 units and networks are in my table\.jsonl.*|nothing was changed)", kept)
    typed = shlex.split(goes_on)
    assert typed[1:] == [*words, "60"] or typed[3:] == [*words, "60"]
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*typed[typed.index("profile") : -1], "0"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(LatencyTable.open(tmp_path / "my table.jsonl")) == 5


def test_a_terminated_look_at_a_device_says_that_nothing_was_changed(tmp_path: Path) -> None:
    words = ["devices", "--device", "tests.fakes.unreachable:a b", "--json"]
    with interrupts.running(tmp_path, *interrupts.command(), *words) as verb:
        verb.wait_until_ready()
        time.sleep(0.2)
        assert verb.interrupt(signal.SIGTERM) == 143
        kept, goes_on = ending(verb)
    assert kept == "nothing was changed"
    assert goes_on.endswith("devices --device 'tests.fakes.unreachable:a b' --json")


@pytest.mark.slow
def test_a_verb_that_ends_for_no_interrupt_is_ended_within_five_seconds(tmp_path: Path) -> None:
    words = ["devices", "--device", "tests.fakes.unreachable:stubborn"]
    with interrupts.running(tmp_path, *interrupts.command(), *words) as verb:
        verb.wait_until_ready()
        time.sleep(2)
        start_s = time.monotonic()
        assert verb.interrupt(signal.SIGINT) == 130
        assert time.monotonic() - start_s < 5
        assert ending(verb)[0] == "nothing was changed"


def test_the_command_is_the_one_that_was_typed_with_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cars-hw", "search", "--run", "my run"])
    assert command() == "cars-hw search --run 'my run'"
    assert command(["--resume"]) == "cars-hw search --run 'my run' --resume"
    monkeypatch.setattr(sys, "argv", ["cars-hw", "search", "--resume", "--run=r"])
    assert command(["--resume"]) == "cars-hw search --resume --run=r"


def test_a_module_that_was_run_is_run_again_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/cars_hw/__main__.py", "devices"])
    assert command() == shlex.join([sys.executable, "-m", "cars_hw", "devices"])


_SWALLOWED = """
import gc, signal, sys, time
from cars_hw.cli._interruption import keeps, one_line_at_interrupts

class Closed:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

with one_line_at_interrupts():
    keeps(lambda: "2 of 3 are here")
    if sys.argv[1] == "in a destructor":
        Closed()
        time.sleep(60)
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt as error:
        raise OSError("a library's own words") from error
"""


@pytest.mark.parametrize("where", ["in a library", "in a destructor"])
def test_whatever_an_interrupt_becomes_on_its_way_it_ends_the_command(where: str, tmp_path: Path) -> None:
    with interrupts.running(tmp_path, sys.executable, "-c", _SWALLOWED, where) as verb:
        assert verb.process.wait(timeout=4) == 143
        assert verb.said() == f"cars-hw: terminated: 2 of 3 are here; go on with: cars-hw '{where}'\n"


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with one_line_at_interrupts():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, a run of it, an exported file, and a program for a device."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "c.toml").write_text(
        f"{TINY}[latency]\ntable = 't.jsonl'\n[search]\nwarm_up_epochs = 2\nepochs_per_generation = 0.5\n"
        "generations = 2\n[strategy]\npopulation_size = 4\n"
    )
    (folder / "benchmark_model").write_bytes(programs.benchmark_model())
    (folder / "device").mkdir()
    for words in (
        "profile --config c.toml --spread-s 0",
        "search --config c.toml --run run --no-measure",
        "export run",
    ):
        _complete(folder, shlex.join([*interrupts.command(), *shlex.split(words)]))
    return folder


def _complete(folder: Path, pasted: str) -> None:
    """Run a command line to its end, in a shell, as a user pastes it."""
    words, env = ["sh", "-c", pasted], interrupts.environment()
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (pasted, done.stderr)


_SLEEPING = "--device tests.fakes.sleeping --runtime fake"
_BY_A_PROGRAM = "--device tests.fakes.local_remote:device --runtime tflite --benchmark-binary benchmark_model"
_VERBS = {
    "profile": f"profile --config c.toml {_SLEEPING} --table f.jsonl --spread-s 2",
    "profile on this machine": "profile --config c.toml --table new.jsonl --spread-s 2",
    "profile by a program": f"profile --space tests.fakes.two_options {_BY_A_PROGRAM} --table p.jsonl "
    "--max-drift 100",
    "validate": "table validate --config c.toml --spread-s 2",
    "search": "search --config c.toml --run 'my run'",
    "export": "export run --pick all --to files --allow-infeasible",
    "bench": "bench run/export/knee.onnx --spread-s 2",
    "report": "report run",
    "devices": "devices --device cpu",
    "show": "table show t.jsonl",
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", _VERBS)
def test_signals_at_random_times_end_every_verb_in_one_line_and_lose_nothing(verb: str, folder: Path) -> None:
    """Ten signals at a verb, 100 in all; each printed command is pasted, the last one to its end."""
    rng = random.Random(verb)  # noqa: S311  (times, not secrets)
    typed = shlex.join([*interrupts.command(), *shlex.split(_VERBS[verb])])
    pasted, longest_s, interrupted = typed, 4.0, 0
    for _ in range(10):
        number = rng.choice([signal.SIGINT, signal.SIGTERM])
        with interrupts.running(folder, *shlex.split(pasted)) as started:
            started.wait_until_ready()
            time.sleep(rng.uniform(0, longest_s))
            is_over = started.process.poll() is not None
            status = started.interrupt(number)
            assert started.children() == []
            assert status in ({0} if is_over else {0, 128 + number}), started.said()
            if status:
                interrupted += 1
                pasted = ending(started)[1]
            else:
                longest_s /= 2
    assert interrupted
    _complete(folder, pasted)


def _has_a_child(verb: interrupts.Verb) -> bool:
    return len(verb.children()) > 1


@pytest.mark.slow
def test_an_interrupted_trial_of_a_file_leaves_no_process(folder: Path) -> None:
    words = [*interrupts.command(), "bench", "run/export/knee.onnx"]
    for number in (signal.SIGINT, signal.SIGTERM):
        with interrupts.running(folder, *words) as verb:
            wait_for(partial(_has_a_child, verb), verb.said)
            status = verb.interrupt(number)
            assert (status, verb.children()) == (128 + number, [])
            assert ending(verb)[0] == "nothing was changed"


@pytest.mark.slow
def test_an_interrupted_demo_says_how_far_its_search_got(tmp_path: Path) -> None:
    words = [*interrupts.command(), "demo", "--run", "demo"]
    with interrupts.running(tmp_path, *words) as verb:
        wait_for(lambda: "==> searching" in verb.said(), verb.said, within_s=120)
        time.sleep(1)
        assert verb.interrupt(signal.SIGINT) == 130
        kept, goes_on = ending(verb)
    assert kept.startswith("kept: generation 0 up to training step")
    assert shlex.split(goes_on)[1:] == ["demo", "--run=demo"]


def test_nothing_but_results_is_on_the_standard_output_of_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["profile", *_FAKE, "--table", str(tmp_path / "t.jsonl"), "--spread-s=0", "--json"]
    )
    assert json.loads(result.stdout)["measured"] == 5
    assert "5 of 5" not in result.stdout


#: A verb that is interrupted in code which an extension module runs, as torch's does while it is loaded.
_IN_AN_EXTENSION = """
import ctypes, os, signal
from cars_hw.cli._interruption import one_line_at_interrupts
run = ctypes.pythonapi.PyRun_String
run.restype, run.argtypes = ctypes.py_object, [ctypes.c_char_p, ctypes.c_int, *[ctypes.py_object] * 2]
with one_line_at_interrupts():
    names = {"os": os, "number": signal.SIGTERM}
    run(b"os.kill(os.getpid(), number); [i for i in range(10 ** 9)]", 257, names, names)
"""


def test_an_interrupt_of_what_an_extension_runs_has_the_same_status(tmp_path: Path) -> None:
    (tmp_path / "verb.py").write_text(_IN_AN_EXTENSION)
    command = [sys.executable, "-m", "verb"]
    ended = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr.count(b"\n")) == (143, 1), ended.stderr


def test_an_interrupt_waits_until_the_module_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "loaded.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGTERM)\ntime.sleep(0.2)\nprint('loaded')\n"
    )
    (tmp_path / "verb.py").write_text(
        "import time\nfrom cars_hw.cli._interruption import one_line_at_interrupts\n"
        "with one_line_at_interrupts():\n    import loaded\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-m", "verb"]
    ended = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (143, "loaded\n", 1), ended.stderr
