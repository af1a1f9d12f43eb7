"""What holds for every file format."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import devices
from devices.foundation import UnknownNameError
from latency_tables import Measurement
from profilers import (
    ExportError,
    FileFormat,
    MeasurementPlan,
    Profiler,
    ProfilingError,
    UnsupportedOperationError,
    formats,
    runtimes,
)

SHAPE = (1, 2, 6, 5)
IMAGES = np.random.default_rng(0).standard_normal((4, *SHAPE[1:]), dtype=np.float32)


class _Unknown(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        roots: torch.Tensor = torch.linalg.svd(image.flatten(2))[1].flatten(1)
        return roots


@pytest.fixture(params=formats.names())
def file_format(request: pytest.FixtureRequest) -> FileFormat:
    return formats.load(request.param)


def network() -> nn.Module:
    torch.manual_seed(0)
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), pool, nn.Flatten(), nn.Linear(8, 4)).eval()


def test_the_suffix_of_a_file_means_its_format(file_format: FileFormat) -> None:
    assert type(formats.of_file(Path(f"a/knee.int8{file_format.suffix}"))) is type(file_format)


def test_its_runtime_exists(file_format: FileFormat) -> None:
    assert file_format.runtime in runtimes.names()
    assert file_format.runtime in formats.runtimes()


def test_a_file_computes_what_torch_computes(file_format: FileFormat) -> None:
    module = network()
    content = file_format.lower(module, [SHAPE])
    assert content == file_format.lower(module, [SHAPE])
    logits = file_format.run(content, IMAGES)
    assert logits.dtype == np.float32
    with torch.inference_mode():
        expected = module(torch.from_numpy(IMAGES)).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_what_has_no_form_is_unsupported(file_format: FileFormat) -> None:
    with pytest.raises(UnsupportedOperationError):
        file_format.lower(_Unknown(), [SHAPE])


def test_a_file_is_a_workload_that_its_runtime_measures(file_format: FileFormat, tmp_path: Path) -> None:
    path = tmp_path / f"net{file_format.suffix}"
    path.write_bytes(file_format.lower(network(), [SHAPE]))
    workload = file_format.workload(path)
    assert workload.spec.input_shapes == (SHAPE,)
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in str(workload.spec)
    plan = MeasurementPlan(precision=0.5, min_rounds=3, spread_s=0.0, max_rounds=3, budget_s=0.5)
    with devices.connect("cpu") as device:
        [entry] = Profiler(device, runtimes.load(file_format.runtime), plan).measure([workload])
    assert isinstance(entry, Measurement)


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[: len(content) // 2]])
def test_a_damaged_file_is_refused_and_named(
    file_format: FileFormat, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"net{file_format.suffix}"
    path.write_bytes(damage(file_format.lower(network(), [SHAPE])))
    with pytest.raises(ProfilingError, match=f"net{file_format.suffix}"):
        file_format.workload(path)


def test_8_bit_integers_are_written_or_refused_in_one_line(file_format: FileFormat) -> None:
    content = file_format.lower(network(), [SHAPE])
    if file_format.has_int8:
        logits = file_format.run(file_format.quantize(content, IMAGES), IMAGES)
        exact = file_format.run(content, IMAGES)
        assert 0 < float(np.abs(logits - exact).max()) < 0.1 * float(np.abs(exact).max())
    else:
        with pytest.raises(ExportError, match=r"^\w+ files are not written with 8-bit integers$"):
            file_format.quantize(content, IMAGES)


def test_knowing_the_formats_loads_no_framework() -> None:
    code = "import sys; from profilers import formats; formats.runtimes(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_suffix_or_name_lists_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"suffix of a model file '\.pt' \(known: \.onnx, \.tflite\)"):
        formats.of_file(Path("net.pt"))
    with pytest.raises(UnknownNameError, match=r"unknown file format 'onx'; did you mean 'onnx'"):
        formats.load("onx")
