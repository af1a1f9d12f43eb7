"""What holds for every file format."""

import hashlib
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import JsonValue
from torch import nn

import devices
from cars_hw.testing._entries import measured
from devices import Device
from devices.foundation import plugin_name
from profilers import (
    Description,
    ExportError,
    FileFormat,
    MeasurementPlan,
    Profiler,
    ProfilingError,
    UnsupportedOperationError,
    WithPreprocessing,
    WithSoftmax,
    formats,
    runtimes,
)

_SHAPE = (1, 2, 6, 5)
_PIXELS = np.random.default_rng(0).integers(0, 256, (4, *_SHAPE[1:]), dtype=np.uint8)
_IMAGES = np.random.default_rng(0).standard_normal((4, *_SHAPE[1:]), dtype=np.float32)


class _Unknown(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        roots: torch.Tensor = torch.linalg.svd(image.flatten(2))[1].flatten(1)
        return roots


class FormatContract:
    """Tests of a format that networks are exported to.

        class TestMyFormat(FormatContract):
            name = "my_lab.my_format"

    Attributes:
        name: The plug-in's.
    """

    name: str

    def file_format(self) -> FileFormat:
        """Return the format."""
        return formats.load(self.name)

    def device(self) -> Device:
        """Connect to a device on which the format's runtime runs; here, to this machine's CPU."""
        return devices.connect("cpu")

    @pytest.fixture(name="file_format")
    def _file_format(self) -> FileFormat:
        return self.file_format()

    def test_it_is_named_after_its_file(self, file_format: FileFormat) -> None:
        assert plugin_name(type(file_format)) == self.name

    def test_its_suffix_is_one(self, file_format: FileFormat) -> None:
        assert Path(f"a/knee.int8{file_format.suffix}").suffix == file_format.suffix

    def test_its_runtime_exists(self, file_format: FileFormat) -> None:
        assert runtimes.load(file_format.runtime)

    def test_its_packages_are_installed(self, file_format: FileFormat) -> None:
        assert all(metadata.version(package) for package in file_format.packages)

    def test_a_file_computes_what_torch_computes(self, file_format: FileFormat) -> None:
        module = _network()
        content = file_format.lower(module, [_SHAPE])
        assert content == file_format.lower(module, [_SHAPE])
        logits = file_format.run(content, _IMAGES)
        assert logits.dtype == np.float32
        with torch.inference_mode():
            expected = module(torch.from_numpy(_IMAGES)).numpy()
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)

    def test_what_has_no_form_is_unsupported(self, file_format: FileFormat) -> None:
        with pytest.raises(UnsupportedOperationError):
            file_format.lower(_Unknown(), [_SHAPE])

    def test_a_file_is_a_workload_that_its_runtime_measures(
        self, file_format: FileFormat, tmp_path: Path
    ) -> None:
        path = tmp_path / f"net{file_format.suffix}"
        path.write_bytes(file_format.lower(_network(), [_SHAPE]))
        workload = file_format.workload(path)
        assert workload.spec.input_shapes == (_SHAPE,)
        assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in str(workload.spec)
        plan = MeasurementPlan(precision=0.5, min_rounds=3, spread_s=0.0, max_rounds=40, budget_s=2.0)
        with self.device() as device:
            measured(Profiler(device, runtimes.load(file_format.runtime), plan).measure([workload]))

    @pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[: len(content) // 2]])
    def test_a_damaged_file_is_refused_and_named(
        self, file_format: FileFormat, tmp_path: Path, damage: Callable[[bytes], bytes]
    ) -> None:
        path = tmp_path / f"net{file_format.suffix}"
        path.write_bytes(damage(file_format.lower(_network(), [_SHAPE])))
        with pytest.raises(ProfilingError, match=f"net{file_format.suffix}"):
            file_format.workload(path)

    def test_a_file_takes_pixels_and_any_batch_or_names_what_it_cannot(self, file_format: FileFormat) -> None:
        app = WithSoftmax(WithPreprocessing(_network(), (0.4, 0.5), (0.2, 0.25)))
        try:
            content = file_format.lower(app, [_SHAPE], input_dtype="uint8", is_batch_dynamic=True)
        except UnsupportedOperationError as error:
            assert "\n" not in str(error)  # noqa: PT017  (it may be refused or not)
            return
        with torch.inference_mode():
            expected = app(torch.from_numpy(_PIXELS)).numpy()
        for batch in (1, 3):
            probabilities = file_format.run(content, _PIXELS, batch=batch)
            np.testing.assert_allclose(probabilities, expected, rtol=1e-5, atol=1e-5)

    def test_a_description_comes_back_or_is_refused_in_one_line(self, file_format: FileFormat) -> None:
        content = file_format.lower(_network(), [_SHAPE])
        assert file_format.embedded(content) is None
        facts: dict[str, JsonValue] = {"weights": "retrained", "error": 0.25, "size": [6, 5]}
        description = Description("knee", "A test.", facts, (0.0,) * 2, (1.0,) * 2, ("a", "b", "c", "d"))
        try:
            described = file_format.embed(content, description)
        except ExportError as error:
            assert str(error) == f"{self.name} files hold no description"  # noqa: PT017  (likewise)
            return
        assert file_format.embedded(described) == facts
        np.testing.assert_array_equal(file_format.run(described, _IMAGES), file_format.run(content, _IMAGES))

    def test_half_precision_is_written_or_refused_in_one_line(self, file_format: FileFormat) -> None:
        content = file_format.lower(_network(), [_SHAPE])
        if file_format.has_fp16:
            exact = file_format.run(content, _IMAGES)
            logits = file_format.run(file_format.halve(content), _IMAGES)
            assert 0 < float(np.abs(logits - exact).max()) <= 1e-3 * float(np.abs(exact).max())
        else:
            with pytest.raises(
                ExportError,
                match=rf"^{re.escape(self.name)} files are not written with half-precision weights$",
            ):
                file_format.halve(content)

    def test_8_bit_integers_are_written_or_refused_in_one_line(self, file_format: FileFormat) -> None:
        content = file_format.lower(_network(), [_SHAPE])
        if file_format.has_int8:
            logits = file_format.run(file_format.quantize(content, _IMAGES), _IMAGES)
            exact = file_format.run(content, _IMAGES)
            assert 0 < float(np.abs(logits - exact).max()) < 0.1 * float(np.abs(exact).max())
        else:
            with pytest.raises(
                ExportError, match=rf"^{re.escape(self.name)} files are not written with 8-bit integers$"
            ):
                file_format.quantize(content, _IMAGES)


def _network() -> nn.Module:
    torch.manual_seed(0)
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), pool, nn.Flatten(), nn.Linear(8, 4)).eval()
