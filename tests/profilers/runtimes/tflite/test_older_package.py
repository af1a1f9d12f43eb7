"""Files that we write run in tflite-runtime 2.14 too, the last of its name: what many apps and boards have.

Its XNNPACK runs float networks. Those of 8-bit integers it leaves to TFLite's own kernels, which round in
another way than those of LiteRT: an operation by at most one step, so that networks differ by several.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cars_hw.spaces._space import SearchSpace
from cars_hw.spaces.darts import Darts
from cars_hw.spaces.mobilenet import Mobilenet
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.spaces.nse import Nse
from cars_hw.weights import modules
from profilers import Description, WithPreprocessing, WithSoftmax, formats
from profilers._layout import nhwc
from profilers.formats import Array, Images
from tests.fakes.environments import environment
from tests.fakes.networks import normalised_network, random_images
from tests.fakes.tflite_files import output_step

_ROOT = Path(__file__).parents[4]
_NEEDED = ("tflite-runtime==2.14.0", "numpy<2", "pydantic>=2.10")
_PARITY = 1e-5

_TFLITE = formats.load("tflite")

#: Runs each model of a folder by our own adapter, and keeps what it gives.
_RUN_ALL = """
import json, pathlib, sys
import numpy as np
from profilers import TfLiteModel, formats
from profilers.runtimes._tflite.interpreter import version
outside = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tflite")):
    content, images = path.read_bytes(), np.load(path.with_suffix(".images.npy"))
    np.save(path.with_suffix(".output.npy"), formats.load("tflite").run(content, images, batch=2))
    model = TfLiteModel(content)
    model.allocate()
    outside[path.stem] = model.nodes_outside()
print(json.dumps({"version": version(), "numpy": np.__version__, "outside": outside}))
"""


@dataclass(frozen=True)
class Case:
    """A file in float, or one made of it, and what torch computes.

    Attributes:
        content: Of the file.
        images: (n, c, h, w), as it takes them.
        exact: Torch's output, in the layout of the file.
        is_app: Whether it takes pixels: XNNPACK has no CAST of those, which runs outside of it.
    """

    content: bytes
    images: Images
    exact: Array
    is_app: bool = False

    def here(self) -> Array:
        """Return what the file computes in LiteRT."""
        return _TFLITE.run(self.content, self.images, batch=2)


@dataclass(frozen=True)
class Old:
    """What tflite-runtime said."""

    version: str
    numpy: str
    outside: dict[str, int]
    outputs: dict[str, Array]


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


def small_spaces() -> dict[str, SearchSpace]:
    small = {"deploy": "search", "image_size": 16, "classes": 5}
    mobile = {**small, "channels": 8, "layers": 1}
    return {
        "darts": Darts(**small, cells=3, channels=4),
        "nasbench201": Nasbench201(**small, cells=2, channels=4),
        "nse": Nse(**small, stages=2, depth=1, channels=4),
        "mobilenet_v2": Mobilenet(**mobile),
        "mnasnet": Mobilenet(**mobile, family="mnasnet"),
        "mobilenet_v3": Mobilenet(**mobile, family="mobilenet_v3"),
    }


def _described(content: bytes) -> bytes:
    classes = ("cat", "dog", "owl", "bat", "ant")
    return _TFLITE.embed(content, Description("knee", "A test.", {"size": [16]}, (0.0,), (1.0,), classes))


def _exports(space: SearchSpace) -> dict[str, Case]:
    """Return the files that a member of a space is exported to."""
    network, x = normalised_network(space, seed=1), random_images(space, n=4)
    channels = x.shape[1]
    app = WithSoftmax(WithPreprocessing(network, (0.5,) * channels, (0.25,) * channels)).eval()
    pixels = torch.randint(0, 256, x.shape, dtype=torch.uint8)
    plain = _TFLITE.lower(network, [tuple(x.shape)])
    whole = _TFLITE.lower(app, [tuple(x.shape)], input_dtype="uint8", is_batch_dynamic=True)
    logits, probabilities = _exact(network, x), _exact(app, pixels)
    return {
        "float": Case(plain, x.numpy(), logits),
        "app": Case(_described(whole), pixels.numpy(), probabilities, is_app=True),
        "halves": Case(_described(_TFLITE.halve(plain)), x.numpy(), logits),
        "int8": Case(_TFLITE.quantize(plain, x.numpy()), x.numpy(), logits),
        "int8_app": Case(
            _described(_TFLITE.quantize(whole, pixels.numpy())), pixels.numpy(), probabilities, is_app=True
        ),
    }


def _exact(module: nn.Module, x: Tensor) -> Array:
    with torch.inference_mode():
        return nhwc(module(x).numpy())


@pytest.fixture(scope="module")
def single() -> dict[str, Case]:
    """Operations, in float and in 8-bit integers."""
    cases = {}
    for name, module in operations().items():
        x = torch.randn(3, 8, 12, 12)
        plain = _TFLITE.lower(module.eval(), [(1, 8, 12, 12)])
        exact = _exact(module, x)
        cases[f"{name}_float"] = Case(plain, x.numpy(), exact)
        cases[f"{name}_int8"] = Case(_TFLITE.quantize(plain, x.numpy()), x.numpy(), exact)
    return cases


@pytest.fixture(scope="module")
def exports() -> dict[str, Case]:
    """Exported members of all spaces."""
    torch.manual_seed(0)
    return {
        f"{name}_{kind}": case
        for name, space in small_spaces().items()
        for kind, case in _exports(space).items()
    }


@pytest.fixture(scope="module")
def old(
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
    single: dict[str, Case],
    exports: dict[str, Case],
) -> Old:
    """Run all files in one process of tflite-runtime."""
    assert pytestconfig.cache is not None
    python = environment(pytestconfig.cache, *_NEEDED, version="3.11", name="tflite-runtime")
    folder = tmp_path_factory.mktemp("older")
    for name, case in (single | exports).items():
        (folder / f"{name}.tflite").write_bytes(case.content)
        np.save(folder / f"{name}.images.npy", case.images)
    command = [str(python), "-c", _RUN_ALL, str(folder)]
    done = subprocess.run(command, env={"PYTHONPATH": str(_ROOT)}, capture_output=True, check=True)
    told = json.loads(done.stdout)
    outputs = {name: np.load(folder / f"{name}.output.npy") for name in single | exports}
    return Old(**told, outputs=outputs)


def test_it_is_the_last_release_beside_the_numpy_that_it_needs(old: Old) -> None:
    assert old.version == "tflite-runtime 2.14.0"
    assert old.numpy.startswith("1.")


def test_float_files_give_the_outputs_of_torch(
    old: Old, single: dict[str, Case], exports: dict[str, Case]
) -> None:
    cases = {name: case for name, case in (single | exports).items() if name.endswith(("_float", "_app"))}
    exact = {name: case for name, case in cases.items() if not name.endswith("_int8_app")}
    assert len(exact) == 22
    for name, case in exact.items():
        tolerance = _PARITY * float(np.abs(case.exact).max())
        np.testing.assert_allclose(old.outputs[name], case.exact, rtol=0, atol=tolerance, err_msg=name)
    for name in exports.keys() & exact.keys():
        np.testing.assert_array_equal(old.outputs[name].argmax(1), exports[name].exact.argmax(1), name)


def test_files_of_half_precision_give_the_outputs_of_litert(old: Old, exports: dict[str, Case]) -> None:
    for name in [name for name in exports if name.endswith("_halves")]:
        here = exports[name].here()
        tolerance = _PARITY * float(np.abs(here).max())
        np.testing.assert_allclose(old.outputs[name], here, rtol=0, atol=tolerance, err_msg=name)
        np.testing.assert_array_equal(old.outputs[name].argmax(1), here.argmax(1), name)


def test_its_xnnpack_runs_all_of_a_float_file_but_the_conversion_of_pixels(
    old: Old, exports: dict[str, Case]
) -> None:
    cases = {name: case for name, case in exports.items() if "_int8" not in name}
    assert {name: old.outside[name] for name in cases} == {
        name: int(each.is_app) for name, each in cases.items()
    }


def test_8_bit_operations_differ_from_litert_by_one_step_at_most(old: Old, single: dict[str, Case]) -> None:
    cases = {name: case for name, case in single.items() if name.endswith("_int8")}
    assert len(cases) == 10
    for name, case in cases.items():
        difference = float(np.abs(old.outputs[name] - case.here()).max())
        assert difference <= 1.001 * output_step(case.content), name


def test_8_bit_networks_err_no_more_than_in_litert(old: Old, exports: dict[str, Case]) -> None:
    cases = {name: case for name, case in exports.items() if "_int8" in name}
    decided = 0
    for name, case in cases.items():
        error = float(np.abs(case.here() - case.exact).max())
        there = float(np.abs(old.outputs[name] - case.exact).max())
        assert there <= 1.5 * error + output_step(case.content), name
        largest = np.sort(case.exact, axis=1)
        is_clear = largest[:, -1] - largest[:, -2] > error + there
        decided += int(is_clear.sum())
        classes = old.outputs[name].argmax(1)
        np.testing.assert_array_equal(classes[is_clear], case.here().argmax(1)[is_clear], name)
    assert decided >= len(cases)


def test_where_it_is_required_its_absence_fails(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pytestconfig.cache is not None
    monkeypatch.setenv("CARS_HW_REQUIRE", "adb,tflite-runtime")
    with pytest.raises(
        AssertionError, match=r"names tflite-runtime, which is not there: it needs Python 3\.99"
    ):
        environment(pytestconfig.cache, "numpy", version="3.99", name="tflite-runtime")
    monkeypatch.setenv("CARS_HW_REQUIRE", "adb")
    with pytest.raises(pytest.skip.Exception, match="tflite-runtime is not there"):
        environment(pytestconfig.cache, "numpy", version="3.99", name="tflite-runtime")
