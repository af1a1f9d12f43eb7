"""The lowering to TFLite against litert-torch, whose dependencies take an environment of their own."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from cars_hw.spaces.darts import Darts
from profilers.lowering.tflite import lower
from profilers.runtimes._tflite.interpreter import TfLiteModel
from tests.fakes.environments import environment
from tests.fakes.networks import normalised_network, random_images
from tests.fakes.tflite_files import content, run

#: Of an interpreter that imports litert-torch; without it, one is installed (2 GB).
_VARIABLE = "CARS_HW_LITERT_TORCH"

_CONVERT = """
import sys
import litert_torch, torch
program = torch.export.load(sys.argv[1])
litert_torch.convert(program.module(), program.example_inputs[0]).export(sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch.export's own
def test_the_oracle_computes_the_same_with_no_fewer_operations(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    space = Darts(deploy="search", cells=5, channels=4, image_size=16)
    network, x = normalised_network(space, 0), random_images(space)
    torch.export.save(torch.export.export(network, (x,)), tmp_path / "network.pt2")
    command = ["-c", _CONVERT, str(tmp_path / "network.pt2"), str(tmp_path / "oracle.tflite")]
    subprocess.run([_python(request), *command], check=True, capture_output=True, timeout=600)
    theirs = TfLiteModel((tmp_path / "oracle.tflite").read_bytes())
    theirs.allocate()
    theirs.set_inputs([x.numpy()])  # in torch's order: the oracle keeps that at the borders
    theirs.run()
    model = lower(network, [tuple(x.shape)])
    output = run(model, x)
    scale = float(output.abs().max())
    torch.testing.assert_close(torch.tensor(theirs.outputs()[0]), output, rtol=0, atol=1e-5 * scale)
    nodes = theirs.coverage().nodes
    assert nodes is not None
    assert sum(content(model).operations.values()) <= nodes


def _python(request: pytest.FixtureRequest) -> str:
    given = os.environ.get(_VARIABLE)
    if given:
        return given
    assert request.config.cache is not None
    return str(
        environment(
            request.config.cache, "litert-torch==0.10.0", f"torch=={torch.__version__.partition('+')[0]}"
        )
    )
