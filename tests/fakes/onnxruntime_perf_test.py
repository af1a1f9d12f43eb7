"""A stand-in for ``onnxruntime_perf_test``: the tool's flags and formats around models that really run.

No part of the product: a phone runs the real tool. ``fakes.programs`` makes a program of this file.
"""

from __future__ import annotations

import getopt
import os
import sys
import time
from collections.abc import Sequence

if sys.argv[1:] != ["--help"]:  # which is asked for most often, and needs neither
    import numpy as np
    import onnxruntime

#: What goes wrong: see ``fakes.programs``.
FAULT = ""

#: By what the tool takes: the name of a level of ONNX Runtime.
_LEVELS = {"0": "ORT_DISABLE_ALL", "99": "ORT_ENABLE_ALL"}

_USAGE = "perf_test [options...] model_path [result_file]"


def main(arguments: Sequence[str]) -> int:
    try:
        pairs, paths = getopt.getopt(list(arguments), "e:m:r:x:y:o:S:C:u:p:I")
    except getopt.GetoptError:
        print(_USAGE)
        return 1
    options = dict(pairs)
    if FAULT == "crash":
        os.abort()
    if options["-e"] != "cpu":
        print("This session contains graph nodes that are assigned to the default CPU EP, but fallback to")
        print("CPU EP has been explicitly disabled by the user.")
        return 1
    model, result = paths
    if not model.endswith(".onnx"):
        print("not implemented", file=sys.stderr)
        return 1
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = int(options["-x"])
    level = getattr(onnxruntime.GraphOptimizationLevel, _LEVELS[options["-o"]])
    settings.graph_optimization_level = level
    if "-u" in options:
        settings.optimized_model_filepath = options["-u"]
    if "-p" in options and FAULT != "unprofiled":
        settings.enable_profiling, settings.profile_file_prefix = True, options["-p"]
    start_s = time.perf_counter()
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    created_s = time.perf_counter() - start_s
    rng = np.random.default_rng(int(options["-S"]))
    feeds = {node.name: rng.random(node.shape, np.float32) for node in session.get_inputs()}
    session.run(None, feeds)
    samples_s = [_timed(session, feeds) for _ in range(int(options["-r"]))]
    name = os.path.basename(os.path.dirname(model))
    with open(result, "a", encoding="ascii") as file:
        rows = [f"{name},{sample_s:g},100000,99,{run}" for run, sample_s in enumerate(samples_s)]
        file.write("\n".join(rows[: len(rows) - (FAULT == "truncated")]) + "\n")
    print(f"Session creation time cost: {created_s:g} s\nTotal inference requests: {len(samples_s)}")
    print(f"Average inference time cost: {np.mean(samples_s) * 1e3:g} ms")
    return 0


def _timed(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray]) -> float:
    start_s = time.perf_counter()
    session.run(None, feeds)
    return time.perf_counter() - start_s


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
