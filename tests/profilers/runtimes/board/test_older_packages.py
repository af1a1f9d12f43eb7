"""What boards have that were set up years ago: tflite-runtime 2.14 on numpy 1, and Python 3.8."""

import shutil
import sys
from pathlib import Path

import pytest

from latency_tables import OpSpec
from profilers.runtimes._runtime import Runtime, Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from profilers.runtimes.tflite import TfLite
from tests.fakes.environments import environment
from tests.fakes.local_board import LocalBoard
from tests.fakes.modules import conv

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="boards run Linux"),
]

_TFLITE = ("tflite-runtime==2.14.0", "numpy<2", "pydantic>=2.10")
_PYTHON_3_8 = ("onnxruntime", "numpy")


def compute(board: LocalBoard, runtime: Runtime) -> str:
    """Measure a convolution, whose output is compared with torch's; return the version."""
    workload = Workload(OpSpec.of("conv", (1, 8, 12, 12)), conv)
    with runtime.prepare(workload, board) as sampler:
        [latency_s] = sampler(4)
    assert latency_s > 0
    return runtime.version(board)


def test_tflite_runtime_measures_where_that_is_installed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    python = environment(pytestconfig.cache, *_TFLITE, version="3.11", name="tflite-runtime")
    board = LocalBoard(tmp_path)
    board.interpreter = str(python)
    assert compute(board, TfLite()) == "tflite-runtime 2.14.0"


@pytest.mark.skipif(shutil.which("python3.8") is None, reason="there is no python3.8")
def test_the_program_measures_under_python_3_8(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    board = LocalBoard(tmp_path)
    board.interpreter = str(environment(pytestconfig.cache, *_PYTHON_3_8, version="3.8"))
    assert compute(board, OnnxRuntime()).startswith("1.")
