"""A new primitive layer, squeeze-and-excite, in a copy of the project: how many files, and that all is there.

J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018: scale each channel by a gate that is
made of the means of all channels.
"""

import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("cars_hw", "profilers", "latency_tables", "devices")

#: By its file: what stands there, and what is put before it.
_EDITS = {
    "cars_hw/networks/layers.py": (
        (
            "@dataclass(frozen=True)\nclass Relu:",
            '''@dataclass(frozen=True)
class Squeeze:
    """Scale each channel by a gate made of the means of all; no bias."""

    channels: int
    squeezed: int


''',
        ),
        (
            "        case FactorizedConv() | Linear():\n            return layer.c_in",
            """        case Squeeze():
            return 2 * layer.channels * layer.squeezed
""",
        ),
        (
            "    return weights(layer) * math.prod(output[2:])",
            """    if isinstance(layer, Squeeze):
        return weights(layer)
""",
        ),
    ),
    "cars_hw/networks/kinds.py": (
        (
            "def _batch_norm(",
            """def _squeeze(spec: OpSpec) -> tuple[Layer, ...]:
    return (Squeeze(spec.input_shape[1], spec.integer("squeezed")),)


""",
        ),
        ('    "call_overhead":', '    "squeeze": _squeeze,\n'),
        ("    Sum,\n", "    Squeeze,\n"),
    ),
    "cars_hw/weights/modules.py": (
        (
            "def _module(",
            """class Squeeze(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.narrow = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.widen = nn.Conv2d(squeezed, channels, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        gate = self.widen(nn.functional.relu(self.narrow(self.mean(image))))
        return image * nn.functional.hardsigmoid(gate)


""",
        ),
        (
            "        case layers.Linear():\n            return nn",
            """        case layers.Squeeze():
            return Squeeze(layer.channels, layer.squeezed)
""",
        ),
    ),
    "profilers/lowering/_tflite/handlers.py": (
        (
            "MODULES: Mapping",
            """def _hardsigmoid(layers: Layers, input: Value, inplace: bool = False) -> Value:
    return _multiply(layers, _relu6(layers, _add(layers, input, 3.0)), 1 / 6)


""",
        ),
        ("    nn.functional.relu: _relu,", "    nn.functional.hardsigmoid: _hardsigmoid,\n"),
    ),
}

_SCRIPT = """
from cars_hw.networks import operations
from cars_hw.testing._entries import measured
from cars_hw.weights import modules
from devices import connect
from latency_tables import OpSpec
from profilers import MeasurementPlan, Profiler, Workload, formats, runtimes

spec = OpSpec.of("squeeze", (1, 8, 6, 6), squeezed=2)
assert OpSpec.parse(str(spec)) == spec
module = modules.build(spec).eval()
assert operations.output_shape(spec) == (1, 8, 6, 6)
assert operations.parameters(spec) == sum(p.numel() for p in module.parameters()) == 32
assert operations.macs(spec) == 32
for name in ("onnx", "tflite"):
    made_by = formats.load(name)  # what is measured is held against torch's numbers
    plan = MeasurementPlan(precision=0.5, min_rounds=3, spread_s=0.0, max_rounds=40, budget_s=2.0)
    with connect("cpu") as device:
        workload = Workload(spec, lambda: module)
        [entry] = measured(Profiler(device, runtimes.load(made_by.runtime), plan).measure([workload]))
print("all of it")
"""


def test_squeeze_and_excite_takes_four_files_and_is_measured_in_both_formats(tmp_path: Path) -> None:
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, edits in _EDITS.items():
        path = tmp_path / name
        text = path.read_text()
        for before, added in edits:
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, added + before)
        path.write_text(text)
    assert len(_EDITS) <= 4
    done = subprocess.run([sys.executable, "-c", _SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "all of it\n", done.stderr
