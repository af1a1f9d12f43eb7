"""What holds for every file format."""

import subprocess
import sys
from pathlib import Path

import pytest

from cars_hw.testing import FormatContract
from devices.foundation import UnknownNameError
from profilers import formats, runtimes


class TestEveryFormat(FormatContract):
    @pytest.fixture(autouse=True, params=formats.names())
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def test_the_suffix_of_a_file_means_its_format(self) -> None:
        file_format = formats.load(self.name)
        assert type(formats.of_file(Path(f"a/knee.int8{file_format.suffix}"))) is type(file_format)

    def test_its_runtime_is_listed(self) -> None:
        runtime = formats.load(self.name).runtime
        assert runtime in runtimes.names()
        assert runtime in formats.runtimes()


def test_knowing_the_formats_loads_no_framework() -> None:
    code = "import sys; from profilers import formats; formats.runtimes(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_suffix_or_name_lists_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"suffix of a model file '\.pt' \(known: \.onnx, \.tflite\)"):
        formats.of_file(Path("net.pt"))
    with pytest.raises(UnknownNameError, match=r"unknown file format 'onx'; did you mean 'onnx'"):
        formats.load("onx")
