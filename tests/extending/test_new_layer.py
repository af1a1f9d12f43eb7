"""A new primitive layer, gated channels, in a copy of the project: how many files, and that all is there.

After Z. Yang, L. Zhu, Y. Wu, Y. Yang, "Gated Channel Transformation for Visual Recognition", CVPR 2020: scale
each channel by 1 + tanh of a number that is made of the means of all channels.
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
class GatedChannels:
    """Scale each channel by one and a hyperbolic tangent made of the means of all; no bias."""

    channels: int
    squeezed: int


''',
        ),
        (
            "        case FactorizedConv() | Linear():\n            return layer.c_in",
            """        case GatedChannels():
            return 2 * layer.channels * layer.squeezed
""",
        ),
        (
            "    return weights(layer) * positions",
            """    positions = 1 if isinstance(layer, GatedChannels) else positions
""",
        ),
    ),
    "cars_hw/networks/kinds.py": (
        (
            "def _batch_norm(",
            """def _gated_channels(spec: OpSpec) -> tuple[Layer, ...]:
    return (GatedChannels(spec.input_shape[1], spec.integer("squeezed")),)


""",
        ),
        ('    "call_overhead":', '    "gated_channels": _gated_channels,\n'),
        ("    GlobalPool,\n", "    GatedChannels,\n"),
    ),
    "cars_hw/weights/modules.py": (
        (
            "def _module(",
            """class GatedChannels(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.narrow = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.widen = nn.Conv2d(squeezed, channels, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        gate = self.widen(nn.functional.relu(self.narrow(self.mean(image))))
        return image * (torch.tanh(gate) + 1.0)


""",
        ),
        (
            "        case layers.Linear():\n            return nn",
            """        case layers.GatedChannels():
            return GatedChannels(layer.channels, layer.squeezed)
""",
        ),
    ),
    "profilers/lowering/_tflite/handlers.py": (
        (
            "MODULES: Mapping",
            """def _tanh(layers: Layers, input: Value) -> Value:
    return layers.activation(input, "TANH")


""",
        ),
        ("    torch.zeros_like:", "    torch.tanh: _tanh,\n"),
    ),
}

_SCRIPT = """
from cars_hw.networks import operations
from cars_hw.testing._entries import measured
from cars_hw.weights import modules
from devices import connect
from latency_tables import OpSpec
from profilers import MeasurementPlan, Profiler, Workload, formats, runtimes

spec = OpSpec.of("gated_channels", (1, 8, 6, 6), squeezed=2)
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


def test_gated_channels_take_four_files_and_is_measured_in_both_formats(tmp_path: Path) -> None:
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
