"""Hostile and broken model files: each costs one line, in bounded time and memory, and never the process."""

import dataclasses
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from devices import DeviceError
from profilers import ProfilingError, Setup, UnsupportedOperationError, formats, tried
from profilers.runtimes._runtime import Workload
from tests.fakes import onnx_files, tflite_files

FLOAT = onnx.TensorProto.FLOAT

#: Each tries a file in a process of its own, which takes a second or two; one of a kind is tried always.
_SLOW = pytest.mark.slow


def attempt(path: Path, *, limit_s: float = 120.0) -> Workload:
    made_by = formats.of_file(path)
    return tried(path, made_by, Setup(runtime=made_by.runtime), limit_s=limit_s)


def constant_of_shape(sizes: list[int]) -> bytes:
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("ConstantOfShape", ["s"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [onnx.numpy_helper.from_array(np.array(sizes, np.int64), "s")],
    )
    return onnx_files.of_graph(graph)


def expanded(sizes: list[int]) -> bytes:
    """Return a model whose size only its operations tell."""
    helper = onnx.helper
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["s"], to=onnx.TensorProto.INT64),
            helper.make_node("Abs", ["s"], ["a"]),
            helper.make_node("Mul", ["a", "zero"], ["z"]),
            helper.make_node("Add", ["z", "sizes"], ["to"]),
            helper.make_node("ConstantOfShape", ["to"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [len(sizes)])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [
            onnx.numpy_helper.from_array(np.array(sizes, np.int64), "sizes"),
            onnx.numpy_helper.from_array(np.zeros(len(sizes), np.int64), "zero"),
        ],
    )
    return onnx_files.of_graph(graph)


def many_nodes(n: int) -> bytes:
    nodes = [onnx.helper.make_node("Abs", [f"t{i}"], [f"t{i + 1}"]) for i in range(n)]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("t0", FLOAT, [1, 1])],
        [onnx.helper.make_tensor_value_info(f"t{n}", FLOAT, [1, 1])],
    )
    return onnx_files.of_graph(graph)


def test_a_sound_file_is_tried_and_has_the_key_that_it_has_here(tmp_path: Path) -> None:
    (tmp_path / "a b;.onnx").write_bytes(onnx_files.casting(onnx.TensorProto.UINT8))
    path = tmp_path / "a b;.onnx"
    assert attempt(path) == formats.of_file(path).workload(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (onnx_files.casting(FLOAT, (1, 3, 40_000, 40_000)), "elements; up to"),
        pytest.param(onnx_files.casting(FLOAT, (1, 3, 11_000, 11_000)), "numbers are made up", marks=_SLOW),
        pytest.param(constant_of_shape([1 << 40]), "elements; up to", marks=_SLOW),
        pytest.param(constant_of_shape([50_000, 50_000]), "elements; up to", marks=_SLOW),
        pytest.param(constant_of_shape([-1]), "elements; up to", marks=_SLOW),
        pytest.param(partial(many_nodes, 100_001), "has 100001 nodes", marks=_SLOW),
        pytest.param(expanded([60_000, 60_000]), "could not be measured|memory", marks=_SLOW),
        pytest.param(expanded([1 << 40, 1 << 20]), "could not be measured|memory", marks=_SLOW),
        (tflite_files.casting("FLOAT32", (1, 40_000, 40_000, 3)), "bytes of memory"),
        pytest.param(
            tflite_files.casting("FLOAT32", (1, 11_000, 11_000, 3)), "bytes of memory|made up", marks=_SLOW
        ),
    ],
    ids=lambda part: part[:12] if isinstance(part, str) else "",
)
def test_a_small_file_that_wants_all_of_the_memory_is_refused(
    content: bytes | Callable[[], bytes], told: str, tmp_path: Path
) -> None:
    content = content if isinstance(content, bytes) else content()
    path = tmp_path / ("m.tflite" if content[4:8] == b"TFL3" else "m.onnx")
    path.write_bytes(content)
    with pytest.raises(ProfilingError, match=told) as caught:
        attempt(path)
    assert "\n" not in str(caught.value)
    most_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert most_kib < 8 << 20


@pytest.mark.parametrize(
    ("word", "told", "kind"),
    [
        ("SIGSEGV", "SIGSEGV, Segmentation fault", ProfilingError),
        pytest.param("SIGABRT", "SIGABRT", ProfilingError, marks=_SLOW),
        pytest.param("SIGKILL", "SIGKILL", ProfilingError, marks=_SLOW),
        pytest.param("SIGFPE", "SIGFPE", ProfilingError, marks=_SLOW),
        pytest.param("exit", r"fail \(3\): without a word", ProfilingError, marks=_SLOW),
        pytest.param("memory", "bytes of memory", ProfilingError, marks=_SLOW),
        pytest.param("bug", r"fail \(1\): second", ProfilingError, marks=_SLOW),
        pytest.param("device", "nothing here runs it", DeviceError, marks=_SLOW),
        pytest.param("sleep", "more than 8 s to load", ProfilingError, marks=_SLOW),
    ],
)
def test_what_ends_the_process_of_a_trial_is_told_in_one_line(
    word: str, told: str, kind: type[Exception], tmp_path: Path
) -> None:
    (tmp_path / "m.crash").write_text(word)
    made_by = formats.load("tests.fakes.crashing_format")
    with pytest.raises(kind, match=told) as caught:
        tried(tmp_path / "m.crash", made_by, Setup("fake", "fake"), limit_s=8.0)
    assert "\n" not in str(caught.value)


def damaged(content: bytes, offset: int, flip: int) -> bytes:
    return content[:offset] + bytes([content[offset] ^ flip]) + content[offset + 1 :]


@pytest.mark.parametrize(
    ("name", "content", "offset"),
    [
        pytest.param(
            name,
            content,
            offset,
            marks=_SLOW if offset > 10 or name == "m.tflite" else (),
            id=f"{name}-{offset}",
        )
        for name, content in (
            ("m.onnx", onnx_files.casting(FLOAT)),
            ("m.tflite", tflite_files.casting("INT8")),
        )
        for offset in (10, 60)
    ],
)
def test_a_damaged_file_is_measured_or_refused_in_one_line(
    name: str, content: bytes, offset: int, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(damaged(content, offset, 0xFF))
    told = ""
    try:
        attempt(tmp_path / name)
    except ProfilingError as error:
        told = str(error)
    assert not told or name in told
    assert "\n" not in told


@pytest.mark.slow
def test_a_file_for_a_remote_device_is_read_and_not_run_here(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(onnx_files.casting(onnx.TensorProto.UINT8))
    model.graph.node[0].op_type = "Sqrt"
    del model.graph.node[0].attribute[:]
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    phone = Setup("android:tcp:127.0.0.1:1", "onnxruntime")
    assert tried(path, formats.load("onnx"), phone) == formats.load("onnx").workload(path)
    with pytest.raises(UnsupportedOperationError, match="does not load"):
        tried(path, formats.load("onnx"), dataclasses.replace(phone, device="cpu"))
