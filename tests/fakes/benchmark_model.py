"""A stand-in for ``benchmark_model``: the tool's flags and formats around models that LiteRT really runs.

No part of the product: a phone runs the real tool. ``fakes.programs`` makes a program of this file, with
another generation of the tool or a fault chosen below.
"""

from __future__ import annotations

import math
import os
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

if sys.argv[1:] != ["--help"]:  # which is asked for most often, and needs neither
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

#: "new": protos and percentiles; "old": neither; "compiled": the CompiledModel tool; "quiet": that one on a
#: device where it logs elsewhere.
GENERATION = "new"

#: What goes wrong: see ``fakes.programs``.
FAULT = ""

_DEFAULTS = {
    "graph": "",
    "num_runs": "50",
    "min_secs": "1",
    "max_secs": "150",
    "num_threads": "-1",
    "warmup_runs": "1",
    "warmup_min_secs": "0.5",
    "require_full_delegation": "false",
    "use_gpu": "false",
}
_OLD = {
    "input_layer": "",
    "input_layer_shape": "",
    "enable_op_profiling": "false",
    "use_xnnpack": "false",
    "use_nnapi": "false",
}
_NEW = {
    "input_layer_value_files": "",
    "output_filepath": "",
    "result_file_path": "",
    "export_model_runtime_info": "false",
    "model_runtime_info_output_file": "",
    "disable_nnapi_cpu": "true",
}
_COMPILED = {
    "use_cpu": "true",
    "use_npu": "false",
    "result_file_path": "",
    "model_runtime_info_output_file": "",
}
KNOWN = _DEFAULTS | {"new": _OLD | _NEW, "old": _OLD}.get(GENERATION, _COMPILED)

#: Names of delegates as the tool's text and its account of the graph have them.
_DELEGATES = {"gpu": ("GPU", "TfLiteGpuDelegateV2"), "nnapi": ("NNAPI", "TfLiteNnapiDelegate")}

Node = tuple[str, list[int], list[int]]


def main(arguments: Sequence[str]) -> int:
    flags, unknown = _parsed(arguments)
    if unknown == ["--help"]:
        print(_usage(), file=sys.stderr)
        return 1
    if unknown:
        _info(f"Unconsumed cmdline flags: {' '.join(unknown)}", "WARN")
    _fail()
    started = time.perf_counter()
    interpreter, nodes = _loaded(flags)
    if interpreter is None:
        print("ERROR: Failed to initialize the interpreter", file=sys.stderr)
        return 1
    if not _accelerated(flags, nodes):
        print("ERROR: Disallowed CPU fallback detected.", file=sys.stderr)
        return 1
    init_us = (time.perf_counter() - started) * 1e6
    _feed(interpreter, flags)
    warm_up = _run(interpreter, flags, "warmup_runs", "warmup_min_secs")
    samples = _run(interpreter, flags, "num_runs", "min_secs")
    if FAULT == "unwritten":
        print("Segmentation fault")
        return 0
    _report(flags, init_us, warm_up, samples)
    _account_for(flags, nodes, samples)
    if path := flags.get("output_filepath"):
        output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        _write(path, _damaged(output).astype(np.float32).tobytes())
    return 0


def _fail() -> None:
    if FAULT == "hang":
        time.sleep(3600)
    if FAULT == "crash":
        os.abort()


def _damaged(output: np.ndarray) -> np.ndarray:
    match FAULT:
        case "wrong":
            return output + 1
        case "short":
            return output.ravel()[:-2]
        case "infinite":
            return np.where(output == output.max(), np.inf, output)
    return output


def _parsed(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    flags, unknown = dict(KNOWN), []
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and equals and name in KNOWN and name != FAULT:
            flags[name] = value
        else:
            unknown.append(argument)
    return flags, unknown


def _usage() -> str:
    rows = [f"\t--{name}={value}\tstring\toptional\tsee the documentation" for name, value in KNOWN.items()]
    return "\n".join(["ERROR: usage: benchmark_model <flags>", "Flags:", *rows])


def _loaded(flags: Mapping[str, str]) -> tuple[Interpreter | None, list[Node]]:
    plain = flags.get("use_xnnpack") == "false" and "--use_xnnpack=false" in sys.argv
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    try:
        interpreter = Interpreter(
            model_path=flags["graph"],
            num_threads=max(1, int(flags["num_threads"])),
            experimental_op_resolver_type=resolver,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError):
        return None, []
    found = interpreter._get_ops_details()
    return interpreter, [(op["op_name"], list(op["inputs"]), list(op["outputs"])) for op in found]


def _accelerated(flags: Mapping[str, str], nodes: Sequence[Node]) -> bool:
    """Say what an accelerator runs (here: whatever XNNPACK does); whether that is allowed."""
    asked = [name for name in _DELEGATES if flags.get(f"use_{name}") == "true"]
    if not asked:
        return True
    partitions = [node for node in nodes if node[0] == "DELEGATE"]
    n_outside = len(nodes) - len(partitions) - len(_replaced(nodes)) + (FAULT == "fallback")
    if n_outside and flags["require_full_delegation"] == "true":
        return False
    extent = f"partially executed by the delegate w/ {len(partitions)} delegate kernels"
    extent = extent if n_outside else "completely executed by the delegate"
    name = _DELEGATES[asked[0]][0]
    _info(f"Explicitly applied {name} delegate, and the model graph will be {extent}.")
    return True


def _delegate_name(flags: Mapping[str, str]) -> str:
    asked = [name for name in _DELEGATES if flags.get(f"use_{name}") == "true"]
    return _DELEGATES[asked[0]][1] if asked else "TfLiteXNNPackDelegate"


def _feed(interpreter: Interpreter, flags: Mapping[str, str]) -> None:
    files = dict(item.split(":", 1) for item in flags.get("input_layer_value_files", "").split(",") if item)
    for details in interpreter.get_input_details():
        shape = tuple(details["shape"])
        if details["name"] in files:
            with open(files[details["name"]], "rb") as file:
                values = np.frombuffer(file.read(), np.float32).reshape(shape)
        else:
            values = np.random.default_rng(0).random(shape, np.float32)
        interpreter.set_tensor(details["index"], values)


def _run(interpreter: Interpreter, flags: Mapping[str, str], runs: str, secs: str) -> list[int]:
    least, least_s, most_s = int(flags[runs]), float(flags[secs]), float(flags["max_secs"])
    text = f"Running benchmark for at least {least} iterations and at least {least_s:g} seconds but"
    _info(f"{text} terminate if exceeding {most_s:g} seconds.", only=("new", "old"))
    samples_us: list[int] = []
    start = time.perf_counter()
    now_s = 0.0
    while (len(samples_us) < least or now_s < least_s) and now_s <= most_s:
        before_us = time.perf_counter_ns() // 1000
        interpreter.invoke()
        samples_us.append(time.perf_counter_ns() // 1000 - before_us)
        now_s = time.perf_counter() - start
    _info(_statistics(samples_us), only=("new", "old"))
    return samples_us


def _statistics(samples_us: Sequence[int]) -> str:
    values = np.array(samples_us or [0])
    text = f"count={len(samples_us)}"
    if len(set(samples_us)) > 1:
        text += f" first={samples_us[0]} curr={samples_us[-1]} min={values.min()} max={values.max()}"
        text += f" avg={values.mean():g} std={int(values.std())}"
    elif samples_us:
        text += f" curr={samples_us[0]}" + ("(all same)" if len(samples_us) > 1 else "")
    if samples_us and GENERATION == "new":
        text += " " + " ".join(f"{name}={_percentile(samples_us, name)}" for name in ("p5", "median", "p95"))
    return text


def _percentile(samples_us: Sequence[int], name: str) -> int:
    percent = {"p5": 5, "median": 50, "p95": 95}[name]
    return sorted(samples_us)[len(samples_us) * percent // 100]


def _report(flags: Mapping[str, str], init_us: float, warm_up: Sequence[int], samples: Sequence[int]) -> None:
    first, warm, mean = warm_up[0], float(np.mean(warm_up)), float(np.mean(samples))
    _info(
        f"Inference timings in us: Init: {init_us:.0f}, First inference: {first}, "
        f"Warmup (avg): {warm:g}, Inference (avg): {mean:g}",
        only=("new", "old"),
    )
    lines = (
        "========== BENCHMARK RESULTS ==========",
        f"Model initialization: {init_us / 1e3:.2f} ms",
        f"Warmup (first):       {first / 1e3:.2f} ms",
        f"Warmup (avg):         {warm / 1e3:.2f} ms ({len(warm_up)} runs)",
        f"Inference (avg):      {mean / 1e3:.2f} ms ({len(samples)} runs)",
        f"Inference (min):      {min(samples) / 1e3:.2f} ms",
        f"Inference (max):      {max(samples) / 1e3:.2f} ms",
        f"Inference (std):      {float(np.std(samples)) / 1e3:.2f}",
    )
    for line in lines:
        _info(line, only=("compiled",))
    if path := flags.get("result_file_path"):
        content = _result(init_us, warm_up, samples)
        _write(path, content[: len(content) // 2] if FAULT == "truncated" else content)


def _result(init_us: float, warm_up: Sequence[int], samples: Sequence[int]) -> bytes:
    values = np.array(samples)
    percentiles = [_percentile(samples, name) for name in ("median", "p5", "p95")]
    us = [values.mean(), values.min(), values.max(), values.std(), *percentiles]
    us += [init_us, warm_up[0], float(np.mean(warm_up))]
    latencies = b"".join(_float(number, value / 1e3) for number, value in enumerate(us, 1))
    rest = _float(1, 0.1) + _int(2, len(samples)) + _int(3, len(warm_up)) + _float(4, 1.0)
    return _bytes(2, latencies) + _bytes(3, _int(1, 100)) + _bytes(4, rest)


def _account_for(flags: Mapping[str, str], nodes: Sequence[Node], samples: Sequence[int]) -> None:
    if path := flags.get("model_runtime_info_output_file"):
        _write(path, _account(nodes, _delegate_name(flags)))
    if flags.get("enable_op_profiling") == "true":
        print("\n".join(_operator_table(nodes, samples, _delegate_name(flags))))


def _account(nodes: Sequence[Node], delegate: str) -> bytes:
    """Return a ``ModelRuntimeDetails``: every node, and which delegate's piece has taken it over."""
    replaced = _replaced(nodes)
    if FAULT == "fallback" and replaced:
        replaced.popitem()
    parts = []
    for i, (name, _, _) in enumerate(nodes):
        node = _int(1, i) + _bytes(3, name.encode())
        if name == "DELEGATE":
            taken = b"".join(map(_varint, (n for n, by in replaced.items() if by == i)))
            node += _bytes(8, _bytes(1, delegate.encode()) + _bytes(2, taken))
        elif i in replaced:
            node += _int(9, replaced[i])
        parts.append(_bytes(3, node))
    main_graph = _int(1, 0) + b"".join(parts) + _int(5, 1)
    inside = _int(1, 1) + _bytes(3, _int(1, 0)) + _int(5, 2)
    return _bytes(1, b"model") + _bytes(2, main_graph) + _bytes(2, inside)


def _replaced(nodes: Sequence[Node]) -> dict[int, int]:
    """Return the delegate's node of each node that one has taken over: all between its outputs and inputs."""
    found: dict[int, int] = {}
    for delegate, (name, inputs, outputs) in enumerate(nodes):
        open_tensors = set(outputs) if name == "DELEGATE" else set()
        while open_tensors:
            tensor = open_tensors.pop()
            for i, (other, sources, results) in enumerate(nodes):
                if other != "DELEGATE" and tensor in results and i not in found:
                    found[i] = delegate
                    open_tensors |= {source for source in sources if source not in inputs}
    return found


def _operator_table(nodes: Sequence[Node], samples: Sequence[int], delegate: str) -> Iterator[str]:
    replaced = _replaced(nodes)
    ran = [(name, i) for i, (name, _, _) in enumerate(nodes) if i not in replaced]
    mean_ms = float(np.mean(samples)) / 1e3 / len(ran)
    columns = ["[node type]", "[first]", "[avg ms]", "[%]", "[cdf%]", "[mem KB]", "[times called]", "[Name]"]
    if GENERATION == "old":
        columns.insert(1, "[start]")
    yield "Operator-wise Profiling Info for Regular Benchmark Runs:"
    yield "============================== Run Order =============================="
    yield "\t" + "\t".join(f"{column:>16}" for column in columns)
    for name, i in ran:
        start = ["0.000"] if GENERATION == "old" else []
        kind = delegate if name == "DELEGATE" else name
        row = [
            kind,
            *start,
            f"{mean_ms:.3f}",
            f"{mean_ms:.3f}",
            "1%",
            "1%",
            "0.000",
            "1",
            f"[output {i}]:{i}",
        ]
        yield "\t" + "\t".join(f"{cell:>16}" for cell in row)
    yield ""
    yield f"Timings (microseconds): count={len(samples)} curr={samples[-1]}"
    yield f"Memory (bytes): count=0\n{len(ran)} nodes observed"


def _info(text: str, level: str = "INFO", only: Sequence[str] = ("new", "old", "compiled")) -> None:
    if GENERATION in only:
        print(f"{level}: {text}" if GENERATION != "compiled" else text)


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7)


def _int(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _float(number: int, value: float) -> bytes:
    return _varint(number << 3 | 5) + struct.pack("<f", value if math.isfinite(value) else 0.0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
