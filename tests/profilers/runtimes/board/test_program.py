"""The program on a board: what happens to it is told, and nothing of it is left."""

import ast
import shlex
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from latency_tables import OpSpec
from profilers._messages import send
from profilers.errors import GarbledOutputError, ProfilingError, UnsupportedOperationError, WrongOutputError
from profilers.runtimes._board import program
from profilers.runtimes._board.conversation import Program, ProgramEndedError
from profilers.runtimes._board.installed import why_incomplete
from profilers.runtimes._board.onnxruntime import OrtExecution
from profilers.runtimes._board.process import BoardProcess
from profilers.runtimes._onnxruntime.settings import OnnxRuntimeSettings
from profilers.runtimes._runtime import LoweredModel, Timed
from tests.fakes.board_packages import onnxruntime as stand_in
from tests.fakes.local_board import LocalBoard
from tests.fakes.processes import is_running
from tests.fakes.scripted_board import ScriptedBoard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="boards run Linux")

_SPEC = OpSpec.of("x", (1, 2, 3, 3))
_ORT = OrtExecution(1, OnnxRuntimeSettings())


@pytest.fixture
def board(tmp_path: Path) -> LocalBoard:
    """A board whose ONNX Runtime is the stand-in, which does what a model says."""
    return LocalBoard(tmp_path, packages=Path(stand_in.__file__).parent)


@pytest.fixture
def process(board: LocalBoard) -> Iterator[BoardProcess]:
    with closing(BoardProcess(board, _ORT, limit_s=30.0)) as started:
        yield started


def own_process(board: LocalBoard) -> int:
    """Return the process that loads models, which the one that was started has forked."""
    parent = board.conversations[-1].process.pid
    [child] = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(child)


def until_gone(*processes: int) -> bool:
    end_s = time.monotonic() + 10.0
    while any(map(is_running, processes)) and time.monotonic() < end_s:
        time.sleep(0.005)
    return not any(map(is_running, processes))


def written(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_blocks_are_run_in_order_and_each_tells_what_its_thread_had(process: BoardProcess) -> None:
    assert process.version == "1.0.stand-in"
    process.load(0, _SPEC, LoweredModel(b"a"))
    process.load(1, _SPEC, LoweredModel(b"fail"))
    first, failed, last = process.run([(0, 4), (1, 1), (0, 2)])
    for block in (first, last):
        assert isinstance(block, Timed)
        assert block[0] > 0
        assert block.used is not None
        assert block.used.cpu_s > 0
    assert isinstance(failed, ProfilingError)
    assert str(failed) == "ONNX Runtime failed: it failed"


def test_a_model_that_is_not_loaded_is_unsupported_and_says_why_in_one_line(process: BoardProcess) -> None:
    with pytest.raises(UnsupportedOperationError) as refused:
        process.load(0, _SPEC, LoweredModel(b"refused"))
    assert str(refused.value) == f"{_SPEC} on the board: ONNX Runtime does not load it: no such operation"
    process.load(1, _SPEC, LoweredModel(b"a"))


def test_what_a_board_computes_is_compared_here(process: BoardProcess) -> None:
    [inputs] = _ORT.inputs(_SPEC)
    process.load(0, _SPEC, LoweredModel(b"a", reference=inputs.astype(np.float32)))
    with pytest.raises(WrongOutputError, match="differs from torch's"):
        process.load(1, _SPEC, LoweredModel(b"a", reference=np.zeros((1, 2, 3, 3), np.float32)))


def test_a_model_whose_output_is_wrong_is_not_kept_on_the_board(process: BoardProcess) -> None:
    with pytest.raises(WrongOutputError):
        process.load(1, _SPEC, LoweredModel(b"a", reference=np.zeros((1, 2, 3, 3), np.float32)))
    with pytest.raises(ProgramEndedError, match="KeyError: 1"):
        process.run([(1, 1)])


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (b"run", "it crashed the program that measured it: SIGSEGV, Segmentation fault"),
        (b"exit", "it ended the program that measured it (7): out of order"),
    ],
)
def test_a_crash_or_an_end_in_a_block_is_told_with_its_place(
    process: BoardProcess, model: bytes, text: str
) -> None:
    process.load(0, _SPEC, LoweredModel(b"a"))
    process.load(5, _SPEC, LoweredModel(model))
    with pytest.raises(ProgramEndedError) as ended:
        process.run([(0, 1), (5, 1), (0, 1)])
    assert (ended.value.place, str(ended.value)) == (5, text)


def test_a_crash_while_loading_is_told_with_its_place(process: BoardProcess) -> None:
    with pytest.raises(ProgramEndedError, match="SIGSEGV") as ended:
        process.load(3, _SPEC, LoweredModel(b"load"))
    assert ended.value.place == 3


def test_a_block_that_takes_too_long_is_ended_on_the_board(board: LocalBoard) -> None:
    with closing(BoardProcess(board, _ORT, limit_s=0.1)) as process:
        process.load(2, _SPEC, LoweredModel(b"hang"))
        worker = own_process(board)
        with pytest.raises(ProgramEndedError, match=r"takes more than 0\.1 s on the board") as ended:
            process.run([(2, 1)])
        assert ended.value.place == 2
        assert isinstance(ended.value.error, DeviceTimeoutError)
        assert until_gone(worker)


def test_it_ends_itself_inside_of_a_block_when_its_standard_input_ends(board: LocalBoard) -> None:
    with closing(BoardProcess(board, _ORT, limit_s=30.0)) as process:
        process.load(0, _SPEC, LoweredModel(b"hang"))
        started = board.conversations[-1]
        worker = own_process(board)
        send(started.write, {"do": "run", "blocks": [[0, 1]]})
        with pytest.raises(DeviceTimeoutError):
            started.read(1, timeout_s=0.05)
        assert is_running(worker)
        started.end_input()
        assert until_gone(started.process.pid, worker)


def test_what_loads_models_ends_with_the_process_that_was_started(board: LocalBoard) -> None:
    with closing(BoardProcess(board, _ORT, limit_s=30.0)) as process:
        process.load(0, _SPEC, LoweredModel(b"a"))
        worker = own_process(board)
        board.conversations[-1].process.kill()
        assert until_gone(worker)
        with pytest.raises(ProgramEndedError, match="it ended: without a word") as ended:
            process.run([(0, 1)])
        assert ended.value.place is None


def test_a_lost_board_is_told_apart_from_a_program_that_ended(board: LocalBoard) -> None:
    with closing(BoardProcess(board, _ORT, limit_s=30.0)) as process:
        board.conversations[-1].process.kill()
        board.is_lost = True
        with pytest.raises(DeviceLostError, match="the board was lost"):
            process.run([(0, 1)])


@pytest.mark.parametrize(
    "noise",
    [
        "head -c 4096 /dev/zero",
        "printf 'CHW1\\377\\377\\377\\377\\377\\377\\377\\377\\377\\377\\377\\377'",
        "true",
    ],
)
def test_what_is_no_answer_is_refused_with_one_line(board: LocalBoard, tmp_path: Path, noise: str) -> None:
    board.interpreter = written(tmp_path, f"{noise}; exit 3")
    with pytest.raises(
        DeviceError, match=r"does not run the program that measures .*by \?python=/path"
    ) as no:
        BoardProcess(board, _ORT, limit_s=0.0)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize(
    "answer",
    [
        {"outputs": [], "nodes": None},
        {"outputs": [["float32", [1, 2, 3, 3]]], "nodes": None},
        {"outputs": [["object", [0]]], "nodes": None},
        {"outputs": [["float32", [-1]]], "nodes": None},
        {"outputs": [["float32", [1 << 40]]], "nodes": None},
        {"outputs": "all", "nodes": None},
        {"outputs": [["float32", [0] * 99]], "nodes": None},
        {"outputs": [["float32", [0]]], "nodes": [1]},
        {},
    ],
)
def test_an_answer_that_contradicts_itself_ends_the_talk(
    board: LocalBoard, tmp_path: Path, answer: Mapping[str, object]
) -> None:
    told = tmp_path / "told"
    with told.open("wb") as file:
        for fields in ({"version": "1.0"}, answer):
            program._send(file.fileno(), fields)
    board.interpreter = written(tmp_path, f"cat {shlex.quote(str(told))}; exec cat > /dev/null")
    with closing(BoardProcess(board, _ORT)) as process:
        with pytest.raises(ProgramEndedError) as ended:
            process.load(0, _SPEC, LoweredModel(b"a"))
        assert isinstance(ended.value.error, GarbledOutputError)


@pytest.mark.parametrize(
    "block", [{"latency_s": 0.0, "used": None}, {"latency_s": -1.0, "used": [0, 1.0]}, {"latency_s": "1"}, 7]
)
def test_a_block_without_a_latency_is_none(board: LocalBoard, tmp_path: Path, block: object) -> None:
    told = tmp_path / "told"
    with told.open("wb") as file:
        for fields in ({"version": "1.0"}, {"blocks": [block]}):
            program._send(file.fileno(), fields)
    board.interpreter = written(tmp_path, f"cat {shlex.quote(str(told))}; exec cat > /dev/null")
    with closing(BoardProcess(board, _ORT)) as process, pytest.raises(ProgramEndedError, match="in place of"):
        process.run([(0, 1)])


def test_a_board_that_blames_what_it_was_not_asked_for_blames_nothing(
    board: LocalBoard, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    with told.open("wb") as file:
        for fields in ({"version": "1.0"}, {"ended": -11, "place": 99}):
            program._send(file.fileno(), fields)
    board.interpreter = written(tmp_path, f"cat {shlex.quote(str(told))}; exec cat > /dev/null")
    with (
        closing(BoardProcess(board, _ORT)) as process,
        pytest.raises(ProgramEndedError, match="SIGSEGV") as ended,
    ):
        process.run([(0, 1)])
    assert ended.value.place is None


def test_many_blocks_are_waited_for_no_longer_than_one_that_hangs(tmp_path: Path) -> None:
    board = ScriptedBoard(tmp_path, [{"version": "1.0"}])
    with closing(BoardProcess(board, _ORT, limit_s=30.0)) as process:
        with pytest.raises(ProgramEndedError, match="no answer of the board in 90 s"):
            process.run([(place, 1) for place in range(40)])
        assert max(board.conversation.waited_s) <= 90.0


def test_a_program_that_goes_on_talking_after_its_end_is_not_listened_to(tmp_path: Path) -> None:
    board = ScriptedBoard(tmp_path, [{"version": "1.0"}, {"ended": 3, "place": 0}], endless=b"x")
    with (
        closing(BoardProcess(board, _ORT)) as process,
        pytest.raises(ProgramEndedError, match="that was all"),
    ):
        process.run([(0, 1)])
    assert board.conversation.read_bytes < 1 << 21


def test_a_runtime_that_another_package_brought_has_a_version(
    tmp_path: Path,
) -> None:
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '2.99'")
    (package / "interpreter.py").write_text("")
    board = LocalBoard(tmp_path, packages=tmp_path)
    board.interpreter = written(tmp_path, f'exec {sys.executable} -S "$@"')
    with closing(Program(board, 30.0)) as started:
        assert started.ask({"do": "look"}).fields["tflite"] == "tflite-runtime 2.99"


def test_a_board_without_numpy_or_a_runtime_is_told_with_the_command_that_installs_it(
    board: LocalBoard, tmp_path: Path
) -> None:
    bare = board.interpreter = written(tmp_path, f'unset PYTHONPATH; exec {sys.executable} -S "$@"')
    install = f"install it there: {bare} -m pip install numpy"
    with pytest.raises(DeviceError) as lacking:
        BoardProcess(board, _ORT)
    assert str(lacking.value) == f"Python on the board has no numpy; {install} onnxruntime"
    assert (
        why_incomplete(board)
        == f"Python on the board has no numpy; {install} onnxruntime (or ai-edge-litert)"
    )


def test_a_board_that_has_one_runtime_lacks_nothing(board: LocalBoard) -> None:
    assert why_incomplete(board) is None


def test_settings_that_are_for_phones_are_refused_on_boards() -> None:
    with pytest.raises(DeviceError, match="provider nnapi is not for boards; use cpu there"):
        OrtExecution(1, OnnxRuntimeSettings(provider="nnapi"))


def test_the_program_is_one_file_of_python_3_8_that_needs_no_package_to_be_read() -> None:
    tree = ast.parse(Path(program.__file__).read_text(), feature_version=(3, 8))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
