"""The two packages that run TFLite, and what happens where neither works."""

import subprocess
import sys
from pathlib import Path

from torch import nn

from profilers.lowering.tflite import lower
from profilers.runtimes._tflite.interpreter import TfLiteModel

_ROOT = Path(__file__).parents[4]


def _refusal(code: str, folder: Path) -> str:
    """Return the error of loading a model where ai-edge-litert is not installed."""
    hidden = "import sys; sys.modules['ai_edge_litert'] = None"
    load = "from profilers.runtimes._tflite.interpreter import TfLiteModel; TfLiteModel(b'')"
    if code:
        (folder / "tflite_runtime").mkdir()
        (folder / "tflite_runtime" / "interpreter.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-c", f"{hidden}; {load}"],
        env={"PYTHONPATH": f"{_ROOT}:{folder}"},
        capture_output=True,
        text=True,
    )
    return done.stderr.strip().splitlines()[-1]


def test_without_either_package_the_one_to_install_is_named(tmp_path: Path) -> None:
    assert "DeviceError: nothing here runs TFLite; install it: pip install ai-edge-litert" in _refusal(
        "", tmp_path
    )


def test_the_older_package_beside_a_newer_numpy_is_one_clear_error(tmp_path: Path) -> None:
    code = """
from enum import Enum
OpResolverType = Enum("OpResolverType", "AUTO BUILTIN_WITHOUT_DEFAULT_DELEGATES")
class Interpreter:
    def __init__(self, **_):
        raise AttributeError("_ARRAY_API not found")
"""
    line = _refusal(code, tmp_path)
    assert "DeviceError: tflite_runtime does not work with numpy 2" in line
    assert line.endswith("install ai-edge-litert, or numpy < 2")


def test_a_model_shows_what_it_takes() -> None:
    model = TfLiteModel(lower(nn.Conv2d(8, 4, 1).eval(), [(1, 8, 6, 5)]))
    assert repr(model) == "<TFLite model of float32 1x6x5x8>"
