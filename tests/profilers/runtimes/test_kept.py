"""Lowered models and executed graphs outlive their process, under what they follow from, and only whole."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from torch import nn

from devices.cpu import Cpu
from devices.foundation.kept_files import KeptFiles
from latency_tables.spec import OpSpec
from profilers import runtimes
from profilers.lowering.batch_norm import distinct_statistics
from profilers.runtimes._onnxruntime.counter import OnnxCounter
from profilers.runtimes._onnxruntime.session import ON_PROCESSOR, optimiser_identity
from profilers.runtimes._reference import random_inputs, torch_output
from profilers.runtimes._runtime import LoweredModel, Runtime, Workload
from tests.fakes.modules import conv

SPEC = OpSpec.of("conv", (1, 8, 12, 12))
NAMES = ("onnxruntime", "tflite")


class Builder:
    """Builds the same module each time, and counts how often."""

    def __init__(self) -> None:
        self.built = 0
        self._module = conv()
        distinct_statistics(self._module, seed=1)

    def __call__(self) -> nn.Module:
        self.built += 1
        return self._module


def lowered(name: str, source: Callable[[], nn.Module], recipe: str, **settings: int) -> LoweredModel:
    """Lower as a process does that has lowered nothing before."""
    return runtimes.load(name, **settings).lowered(Workload(SPEC, source, recipe))


def kept(name: str) -> list[Path]:
    return sorted(KeptFiles(name, 1).folder.glob("*"))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_lowered_once_is_built_no_more(own_cache: Path, name: str) -> None:
    builder = Builder()
    first, later = (lowered(name, builder, "recipe") for _ in range(2))
    assert builder.built == 1
    assert later.content == first.content == lowered(name, builder, "").content
    assert first.reference is not None
    assert later.reference is not None
    expected = torch_output(builder(), random_inputs(SPEC))
    np.testing.assert_array_equal(later.reference, expected, strict=True)
    np.testing.assert_array_equal(first.reference, expected, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_recipe_nothing_is_kept(own_cache: Path, name: str) -> None:
    builder = Builder()
    for _ in range(2):
        lowered(name, builder, "")
    assert builder.built == 2
    assert kept("lowered") == []


def test_another_recipe_format_shape_or_batch_is_lowered_anew(own_cache: Path) -> None:
    builder = Builder()
    lowered("onnxruntime", builder, "recipe")
    lowered("onnxruntime", builder, "another")
    lowered("tflite", builder, "recipe")
    lowered("onnxruntime", builder, "recipe", batch=2)
    runtimes.load("tflite").lowered(Workload(OpSpec.of("conv", (1, 8, 6, 6)), builder, "recipe"))
    assert builder.built == 5
    assert len(kept("lowered")) == 5


def test_a_kept_model_is_measured_as_one_that_was_just_lowered(own_cache: Path) -> None:
    device, builder = Cpu.connect(""), Builder()
    for _ in range(2):
        with runtimes.load("onnxruntime").prepare(Workload(SPEC, builder, "recipe"), device) as sampler:
            assert min(sampler(2)) > 0
    assert builder.built == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no head",
        b"{}\nx",
        b'{"model_bytes": 9, "output": [1]}\nshort',
        b'{"model_bytes": -4, "output": [2]}\n1234',
        b'{"model_bytes": 1, "output": ["x"]}\n12345',
        b'{"model_bytes": 1, "output": [-1, -1]}\n12345',
        b"[" * 3000 + b"\n",
    ],
)
def test_what_is_no_model_is_made_again(own_cache: Path, content: bytes) -> None:
    builder = Builder()
    first = lowered("onnxruntime", builder, "recipe")
    [path] = kept("lowered")
    KeptFiles("lowered", 1 << 20).write(path.stem, content)
    assert lowered("onnxruntime", builder, "recipe").content == first.content
    assert builder.built == 2
    lowered("onnxruntime", builder, "recipe")
    assert builder.built == 2


def executed(runtime: Runtime, builder: Builder) -> object:
    return runtime.executed(Workload(SPEC, builder, "recipe"), Cpu.connect(""))


def test_what_a_runtime_made_of_a_network_is_kept_beside_its_model(own_cache: Path) -> None:
    builder = Builder()
    first = executed(runtimes.load("onnxruntime"), builder)
    assert [len(kept(name)) for name in ("executed", "lowered")] == [1, 1]
    [model] = kept("lowered")
    model.unlink()
    assert executed(runtimes.load("onnxruntime"), builder) == first
    assert builder.built == 1
    workload = Workload(SPEC, builder)
    assert runtimes.load("onnxruntime").executed(workload, Cpu.connect("")) == first


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"network": "x", "units": [], "nodes": []}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_graph_is_made_again(own_cache: Path, content: bytes) -> None:
    builder = Builder()
    first = executed(runtimes.load("onnxruntime"), builder)
    [path] = kept("executed")
    KeptFiles("executed", 1 << 20).write(path.stem, content)
    assert executed(runtimes.load("onnxruntime"), builder) == first


def test_a_batch_has_a_graph_of_its_own(own_cache: Path) -> None:
    builder = Builder()
    one, two = (executed(runtimes.load("onnxruntime", batch=n), builder) for n in (1, 2))
    assert one != two
    assert len(kept("executed")) == 2


class _Elsewhere:
    """Stands for a provider that is not this machine's processor."""

    name = "elsewhere"

    def session(
        self, model: bytes, options: onnxruntime.SessionOptions, *, is_strict: bool = True
    ) -> onnxruntime.InferenceSession:
        return ON_PROCESSOR.session(model, options, is_strict=is_strict)

    def alone(self) -> AbstractContextManager[object]:
        return nullcontext()


def test_counts_are_known_again_on_processors_alone() -> None:
    known = optimiser_identity(ON_PROCESSOR)
    assert "onnxruntime" in known
    assert optimiser_identity(_Elsewhere()) == ""
    ones = [OnnxCounter(lambda _: conv(), batch=n).identity for n in (1, 2)]
    assert ones[0] != ones[1]
    assert OnnxCounter(lambda _: conv(), _Elsewhere()).identity == ""
