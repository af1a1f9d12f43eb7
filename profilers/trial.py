"""Model files from somewhere else, tried in a process of their own before this one loads them.

A runtime is native code: what a file does to it may be a crash, or all of the memory. In the process of a
trial that costs a line of text. ``python -m profilers.trial`` is that process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import devices
from devices import DeviceError, HostDevice
from devices.foundation import CarsHwError, load_plugin, plugin_name
from latency_tables import FailureStatus, OpSpec
from profilers import formats
from profilers._messages import signal_name
from profilers._sampling.sampling import failure
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.filling import Setup
from profilers.formats._format import FileFormat
from profilers.runtimes._runtime import Workload
from profilers.worker.contract import MEASURING_ERRORS

try:
    import resource
except ModuleNotFoundError:  # Windows has no limits of a process: only the time is bounded
    resource = None  # type: ignore[assignment]

#: What a file may take beyond what the runtime itself does: the largest one as it is, parsed and loaded.
_MEMORY_BYTES = 6 << 30

#: Starting Python and a runtime takes some seconds; one call of a network, less than another few.
LIMIT_S = 120.0

_LONGEST_LINE = 200


def tried(path: Path, made_by: FileFormat, setup: Setup, *, limit_s: float = LIMIT_S) -> Workload:
    """Return the network in a file, not trusted, as a workload: it was read, and run once where that is here.

    What is measured on a remote device is run there, and only read here.

    Args:
        path: The file.
        made_by: Its format, a plug-in.
        setup: On what it is to be measured.
        limit_s: Longest time for it, with the start of the process.

    Raises:
        UnsupportedOperationError: Its inputs are of a type that is not made up, or the runtime lacks an
            operation.
        ProfilingError: It cannot be read, crashes, or takes too much time or memory.
        DeviceError: What runs it is not installed here.
    """
    asked = {"path": str(path), "format": plugin_name(type(made_by)), "setup": asdict(setup)}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder or os.getcwd() for folder in sys.path)}
    try:
        ended = subprocess.run(  # noqa: S603  (this module, by this Python)
            [sys.executable, "-P", "-m", __name__, json.dumps(asked)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProfilingError(f"{path} takes more than {limit_s:g} s to load and run once") from error
    return Workload(_understood(path, ended), path)


def _understood(path: Path, ended: "subprocess.CompletedProcess[bytes]") -> OpSpec:
    """Return the key that a trial found, or raise what it met."""
    if ended.returncode < 0:
        raise ProfilingError(
            f"{path} crashed the process that tried it: {signal_name(-ended.returncode)}; it is not measured"
        )
    lines = ended.stdout.decode(errors="replace").splitlines()
    if ended.returncode or not lines:
        told = ended.stderr.decode(errors="replace").strip().splitlines() or ["without a word"]
        raise ProfilingError(
            f"{path} made the process that tried it fail ({ended.returncode}): {told[-1][:_LONGEST_LINE]}"
        )
    answer: Mapping[str, str] = json.loads(lines[-1])
    if "spec" in answer:
        return OpSpec.parse(answer["spec"])
    kinds = {"DeviceError": DeviceError, "UnsupportedOperationError": UnsupportedOperationError}
    raise kinds.get(answer["error"], ProfilingError)(answer["message"])


def main(argv: Sequence[str]) -> None:
    """Try the file that the first argument tells of, and write what was found as one line of JSON."""
    asked = json.loads(argv[0])
    _require_no_core_file()
    try:
        answer = {"spec": str(_try(Path(asked["path"]), asked["format"], Setup(**asked["setup"])))}
    except MemoryError:
        answer = {
            "error": "ProfilingError",
            "message": f"{asked['path']} takes more than {_MEMORY_BYTES} bytes of memory; it is not measured",
        }
    except CarsHwError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer))  # noqa: T201  (to the process that asked)


def _try(path: Path, format_name: str, setup: Setup) -> OpSpec:
    made_by, runtime = formats.load(format_name), setup.load_runtime()
    _limit_memory()
    workload = made_by.workload(path)
    name = setup.device.partition(":")[0]
    if not issubclass(load_plugin("devices", name, devices.Device, what="device"), HostDevice):
        return workload.spec
    with devices.connect(setup.device) as device:
        try:
            with runtime.prepare(workload, device) as sampler:
                sampler(1)
        except MEASURING_ERRORS as error:
            failed = failure(workload.spec, error)
            kind = UnsupportedOperationError if failed.status is FailureStatus.UNSUPPORTED else ProfilingError
            raise kind(
                f"{path}: {failed.spec} could not be measured: {failed.status}: {failed.reason}"
            ) from error
    return workload.spec


def _limit_memory() -> None:
    """Let this process grow by so much beyond what loading the runtime took, where the system can tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    limit_bytes = pages * os.sysconf("SC_PAGE_SIZE") + _MEMORY_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit_bytes < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard))


def _require_no_core_file() -> None:
    if resource is not None:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
