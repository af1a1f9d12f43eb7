"""Programs that the user supplies for a device: where they are looked for, and what identifies them."""

import os
from pathlib import Path

from devices import DeviceError, RemoteDevice
from devices.foundation import cache_folder

#: No build of these programs comes near it.
_LARGEST_BYTES = 1 << 28

#: Where the user gets them.
_SOURCES = {
    "benchmark_model": "download LiteRT's native benchmark binary, see "
    "https://ai.google.dev/edge/litert/models/measurement",
    "onnxruntime_perf_test": "build ONNX Runtime for Android, see https://onnxruntime.ai/docs/build/android.html",
}

#: What ``uname -m`` says, and how Android's builds call it.
_ABIS = {"aarch64": "arm64-v8a", "armv8l": "armeabi-v7a", "armv7l": "armeabi-v7a", "i686": "x86"}

_LIMIT_S = 20.0


def program_folder(abi: str) -> Path:
    """Return the cache folder in which programs for ``abi`` are looked for."""
    return cache_folder() / "bin" / abi


def device_abi(device: RemoteDevice) -> str:
    """Return the instruction set of ``device`` as Android's builds call it: ``"arm64-v8a"``.

    Raises:
        DeviceError: It does not tell.
    """
    machine = device.run(["uname", "-m"], timeout_s=_LIMIT_S).stdout.decode("ascii", errors="replace").strip()
    if not (machine.isidentifier() and len(machine) < 16):
        raise DeviceError(f"`uname -m` on the device prints {machine[:32]!r}, which names no instruction set")
    return _ABIS.get(machine, machine)


def read_program(name: str, device: RemoteDevice, *, path: str, variable: str) -> bytes:
    """Return the program ``name`` for ``device``: from ``path``, the variable, or the cache folder.

    Args:
        name: Its file's name in the cache folder.
        device: Where it is to run.
        path: What the user named; empty where he did not.
        variable: Environment variable that may name it instead.

    Raises:
        DeviceError: It is nowhere, or cannot be read; the message names the three ways.
    """
    named = path or os.environ.get(variable, "")
    found = Path(named) if named else program_folder(device_abi(device)) / name
    try:
        if found.is_file() and found.stat().st_size <= _LARGEST_BYTES:
            return found.read_bytes()
        problem = f"{found} is no file of up to {_LARGEST_BYTES} bytes"
    except OSError as error:
        problem = f"{found} cannot be read: {error.strerror}"
    source = _SOURCES.get(name, "`cars-hw devices` says where to get it")
    raise DeviceError(
        f"no {name} for this device: {problem}; name one by option or {variable}, or put it there ({source})"
    )
