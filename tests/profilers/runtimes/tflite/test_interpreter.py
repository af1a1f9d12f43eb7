"""The two packages that run TFLite, and what happens where neither works."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cars_hw.spaces.darts import Darts
from cars_hw.weights import modules
from profilers._layout import nchw, nhwc
from profilers.lowering.tflite import lower
from profilers.runtimes._tflite.interpreter import TfLiteModel
from tests.fakes.environments import environment
from tests.fakes.networks import normalised_network, random_images

_ROOT = Path(__file__).parents[4]

#: Runs each model of a folder by our own adapter, and keeps what it gives.
_RUN_ALL = """
import json, pathlib, sys
import numpy as np
from profilers.runtimes._tflite.interpreter import TfLiteModel, version
folder = pathlib.Path(sys.argv[1])
outside = {}
for path in sorted(folder.glob("*.tflite")):
    model = TfLiteModel(path.read_bytes())
    model.allocate()
    model.set_inputs([np.load(path.with_suffix(".input.npy"))])
    model.run()
    np.save(path.with_suffix(".output.npy"), model.outputs()[0])
    outside[path.stem] = model.nodes_outside()
print(json.dumps({"version": version(), "numpy": np.__version__, "outside": outside}))
"""


def operations() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "grouped": nn.Conv2d(8, 16, 1, groups=4),
        "strided": nn.Conv2d(8, 16, 3, padding=1, stride=2),
        "wide": nn.Conv2d(8, 8, 11, padding=5, groups=8),
        "dilated": nn.Conv2d(8, 8, 3, padding=3, dilation=3, groups=8),
        "row": nn.Sequential(nn.Conv2d(8, 8, (1, 7), (1, 2), (0, 3)), nn.BatchNorm2d(8), nn.ReLU6()),
        "max_pool": nn.MaxPool2d(3, 2, 1),
        "average_pool": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        "factorized": modules.FactorizedConv(8, 8),
        "normalised": nn.BatchNorm2d(8),
        "classifier": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)),
    }


def test_the_older_package_computes_the_same_from_the_same_files(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime 2.14.0, the last, has no wheel for Python 3.12")
    space = Darts(deploy="search", cells=3, channels=4, image_size=16)
    cases = {name: (module.eval(), torch.randn(1, 8, 12, 12)) for name, module in operations().items()}
    cases |= {f"network{seed}": (normalised_network(space, seed), random_images(space)) for seed in range(3)}
    assert request.config.cache is not None
    python = environment(request.config.cache, "tflite-runtime==2.14.0", "numpy<2", "pydantic>=2.10")
    for name, (module, x) in cases.items():
        (tmp_path / f"{name}.tflite").write_bytes(lower(module, [tuple(x.shape)]))
        np.save(tmp_path / f"{name}.input.npy", nhwc(x.numpy()))
    command = [str(python), "-c", _RUN_ALL, str(tmp_path)]
    done = subprocess.run(command, env={"PYTHONPATH": str(_ROOT)}, capture_output=True, check=True)
    told = json.loads(done.stdout)
    assert told["version"] == "tflite-runtime 2.14.0"
    assert told["numpy"].startswith("1.")
    assert told["outside"] == dict.fromkeys(cases, 0)  # its XNNPACK runs all of it
    for name, (module, x) in cases.items():
        with torch.inference_mode():
            reference = module(x)
        output = torch.tensor(nchw(np.load(tmp_path / f"{name}.output.npy")))
        torch.testing.assert_close(output, reference, rtol=0, atol=1e-5 * float(reference.abs().max()))


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
