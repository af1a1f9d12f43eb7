"""WebGPU on a card that a processor plays: whether it computes what torch does, and says what it lacks."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from _rows import Row
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from cars_hw import spaces
from cars_hw.weights import modules
from devices import connect
from latency_tables import OpSpec
from profilers import FellBackError, Runtime, UnsupportedOperationError, Workload, runtimes
from profilers.runtimes._onnxruntime.providers.sampler import CardSampler
from profilers.runtimes._reference import random_inputs, torch_output
from profilers.runtimes._runtime import LoweredModel

#: Debian's chromium brings it.
_SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")

_SHAPE = (1, 8, 16, 16)

#: Operators that the provider lacks (0.4.0) and ONNX Runtime's CPU has, each with its attributes.
_LACKED: dict[str, dict[str, Any]] = {
    "Celu": {},
    "Hardmax": {},
    "LRN": {"size": 3},
    "LogSoftmax": {},
    "LpPool": {"kernel_shape": [1, 1]},
    "MeanVarianceNormalization": {},
    "Round": {},
    "Selu": {},
    "Shrink": {},
    "Sign": {},
    "Softsign": {},
}

_PLACES = ("first", "between", "last", "in a branch", "twice")


def measured() -> dict[str, Any]:
    """Return what was found of every operation, and of models with and without an operator that is lacked."""
    if _SWIFTSHADER.exists():
        os.environ.setdefault("VK_ICD_FILENAMES", str(_SWIFTSHADER))
    runtime = runtimes.load("onnxruntime", provider="webgpu")
    with connect("gpu:software") as device:
        return {
            "card": device.info().model,
            "version": runtime.version(device),
            "operations": {str(spec): _differs(runtime, spec, module) for spec, module in _operations()},
            "lacking": {name: _ended(runtime, model) for name, model in _models(_LACKED)},
            "complete": {name: _ended(runtime, model) for name, model in _models({"Relu": {}})},
        }


def rows(raw: dict[str, Any], source: str) -> Sequence[Row]:
    """Return the claims."""
    differ = [one for one in raw["operations"].values() if isinstance(one, float)]
    unsupported = len(raw["operations"]) - len(differ)
    lacking, complete = Counter(raw["lacking"].values()), Counter(raw["complete"].values())
    n, ran = len(raw["lacking"]), len(raw["complete"])
    return [
        Row("webgpu.parity", max(differ), "", "<= 1e-5", n=len(differ), source=source),
        Row("webgpu.unsupported", unsupported, "", n=len(raw["operations"]), source=source),
        Row("webgpu.fallback_detected", lacking["fell back"] / n, "", ">= 1", n=n, source=source),
        Row("webgpu.complete_models_run", complete["ran"] / ran, "", ">= 1", n=ran, source=source),
    ]


def _operations() -> Iterator[tuple[OpSpec, nn.Module]]:
    """Yield each operation of every space as it is searched, with random numbers in all that it learns."""
    found = (spec for name in spaces.names() for spec in spaces.load(name).all_operations("search"))
    seen = dict.fromkeys(found)
    for seed, spec in enumerate(seen):
        module = modules.build(spec).eval()
        generator = torch.Generator().manual_seed(seed)
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5, generator=generator)
        yield spec, module


def _differs(runtime: Runtime, spec: OpSpec, module: nn.Module) -> float | str:
    """Return the largest difference from torch, of the largest output; or why there is none."""
    reference = torch_output(module, random_inputs(spec))
    try:
        with (
            connect("gpu:software") as device,
            runtime.prepare(Workload(spec, partial(_itself, module)), device) as sampler,
        ):
            if not isinstance(sampler, CardSampler):
                raise TypeError(f"{sampler!r} runs on no card")
            [output] = sampler.outputs()
    except (FellBackError, UnsupportedOperationError) as error:
        return str(error)
    difference = float(np.max(np.abs(output - reference)))
    return difference / float(np.max(np.abs(reference))) if difference else 0.0


def _itself(module: nn.Module) -> nn.Module:
    return module


def _ended(runtime: Runtime, model: onnx.ModelProto) -> str:
    """Return how a model ends: it runs, it fell back, or it is unsupported."""
    source = LoweredModel(model.SerializeToString())
    try:
        with (
            connect("gpu:software") as device,
            runtime.prepare(Workload(OpSpec.of("model", _SHAPE), source), device),
        ):
            return "ran"
    except FellBackError:
        return "fell back"
    except UnsupportedOperationError:
        return "unsupported"


def _models(operators: dict[str, dict[str, Any]]) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield small networks of convolutions with each operator at each place."""
    weights = numpy_helper.from_array(
        np.random.default_rng(0).standard_normal((8, 8, 3, 3)).astype(np.float32) / 8, "w"
    )
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, _SHAPE)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    for operator, attributes in operators.items():
        for place in _PLACES:
            graph = helper.make_graph(
                list(_nodes(operator, attributes, place)), "network", [value], [result], [weights]
            )
            opsets = [helper.make_opsetid("", 17)]
            yield f"{operator} {place}", helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _nodes(operator: str, attributes: dict[str, Any], place: str) -> Iterator[onnx.NodeProto]:
    def conv(read: str, written: str) -> onnx.NodeProto:
        return helper.make_node("Conv", [read, "w"], [written], pads=[1, 1, 1, 1])

    def other(read: str, written: str) -> onnx.NodeProto:
        return helper.make_node(operator, [read], [written], **attributes)

    match place:
        case "first":
            yield from (other("x", "a"), conv("a", "b"), conv("b", "y"))
        case "between":
            yield from (conv("x", "a"), other("a", "b"), conv("b", "y"))
        case "last":
            yield from (conv("x", "a"), conv("a", "b"), other("b", "y"))
        case "in a branch":
            yield from (conv("x", "a"), other("a", "b"), conv("a", "c"))
            yield helper.make_node("Add", ["b", "c"], ["y"])
        case _:
            yield from (conv("x", "a"), other("a", "b"), conv("b", "c"), other("c", "d"), conv("d", "y"))
