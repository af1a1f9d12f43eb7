"""The stock ``benchmark_model`` on a device: its flags, and what one run of it reports.

Two generations answer to that name: the classic tool around the interpreter, and that of LiteRT's
CompiledModel API. They share the flags of a run and the file of results; ``--help`` distinguishes them.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from devices import Completed, DeviceError, RemoteDevice
from devices.foundation import one_line
from profilers.errors import FellBackError, GarbledOutputError, ProfilingError, UnsupportedOperationError
from profilers.runtimes._benchmark_model.operators import operator_coverage, operators
from profilers.runtimes._benchmark_model.proto import proto_coverage, proto_timings
from profilers.runtimes._benchmark_model.text import text_coverage, text_timings
from profilers.runtimes._benchmark_model.timings import Timings
from profilers.runtimes._coverage import Coverage
from profilers.runtimes._program_output import (
    CRASHED,
    NOT_STARTED,
    complaint,
    output_text,
    require_sha256,
)
from profilers.runtimes._programs import InstalledProgram, Program

#: A result is of 150 bytes; an account of a graph of a thousand nodes, of some hundred thousand.
_LARGEST_RESULT_BYTES = 1 << 16
_LARGEST_ACCOUNT_BYTES = 1 << 26

_FLAG = re.compile(r"^\s*--([a-z0-9_]{1,64})=", re.MULTILINE)

#: Without these it is another program.
_NEEDED = {"graph", "num_runs", "min_secs", "num_threads", "warmup_runs", "warmup_min_secs"}

_UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags: *(.{0,200})")
_FELL_BACK = re.compile(
    r"Disallowed CPU fallback detected|delegate is explicitly applied, the model graph will not"
)
_UNSUPPORTED = re.compile(
    r"Didn't find op for builtin opcode|unresolved custom op|Failed to (?:apply|load model|compile model)"
    r"|Failed to (?:initialize the interpreter|allocate tensors)"
)

Flags = Mapping[str, str | int | float]


def _flags(help_text: str) -> frozenset[str]:
    return frozenset(_FLAG.findall(help_text))


BENCHMARK_MODEL = Program(
    "benchmark_model",
    variable="CARS_HW_BENCHMARK_MODEL",
    source="download LiteRT's native benchmark binary, see "
    "https://ai.google.dev/edge/litert/models/measurement",
    is_it=lambda help_text: _flags(help_text) >= _NEEDED,
)


@dataclass(frozen=True)
class BenchmarkModel:
    """The tool, in place on a device."""

    program: InstalledProgram

    @property
    def device(self) -> RemoteDevice:
        """Where it is."""
        return self.program.device

    @cached_property
    def flags(self) -> frozenset[str]:
        """Names of the flags that it knows."""
        return _flags(self.program.help_text)

    @property
    def is_compiled_model(self) -> bool:
        """Whether this is the tool of the CompiledModel API."""
        return "use_npu" in self.flags

    @property
    def version(self) -> str:
        """What runs: the generation, and the file, for its builds have no versions."""
        generation = "CompiledModel" if self.is_compiled_model else "Interpreter"
        return f"benchmark_model ({generation}), SHA-256 {self.program.sha256}"

    def timings(self, flags: Flags, *, folder: str, timeout_s: float) -> tuple[Timings, str]:
        """Run it once; return its timings and all of its text.

        The file of results has a name that no earlier run can have written. Where the text confirms it, that
        is enough; else its SHA-256 is compared with that on the device.

        Args:
            flags: The flags of this run, each known to the tool.
            folder: For its results, on the device.
            timeout_s: After that it is killed.

        Raises:
            ProfilingError: It failed, or what it wrote cannot be trusted; the subclass is the way in which.
            DeviceTimeoutError: It took longer than ``timeout_s``.
        """
        result = f"{folder}/{secrets.token_hex(8)}.pb"
        has_file = "result_file_path" in self.flags
        words = {**flags, **({"result_file_path": result} if has_file else {})}
        argv = [self.program.path, *(f"--{name}={value}" for name, value in words.items())]
        text = succeeded(self.device.run(argv, timeout_s=timeout_s))
        if not has_file:
            return text_timings(text), text
        content = self.device.pull(result, max_bytes=_LARGEST_RESULT_BYTES)
        timings = proto_timings(content)
        try:
            printed = text_timings(text)
        except GarbledOutputError:  # LiteRT logs to Android's log alone
            require_sha256(self.device, result, content)
        else:
            timings.require_agreement(printed)
        return timings, text

    def coverage(self, text: str, account: str | None) -> Coverage | None:
        """Return what part of the model a delegate runs; ``None`` where the tool does not report it.

        Args:
            text: What the run printed.
            account: Where it wrote ``ModelRuntimeDetails``, if it did.
        """
        if account is not None:
            return proto_coverage(self.device.pull(account, max_bytes=_LARGEST_ACCOUNT_BYTES))
        try:
            return operator_coverage(operators(text))
        except GarbledOutputError:
            return text_coverage(text)


def succeeded(completed: Completed) -> str:
    """Return the text of a run that went well.

    Raises:
        UnsupportedOperationError: The tool cannot run the model.
        FellBackError: It would run parts of it elsewhere than was required.
        ProfilingError: It crashed, failed, or does not know one of the flags.
        DeviceError: It does not start on this device.
    """
    text = output_text(completed)
    if unknown := _UNKNOWN_FLAGS.search(text):
        raise ProfilingError(f"benchmark_model does not know {one_line(unknown[1])}; get a newer build")
    if completed.exit_status in NOT_STARTED:
        raise DeviceError(
            f"benchmark_model does not start on this device: {complaint(text)}; "
            "get the build for its instruction set"
        )
    if found := _FELL_BACK.search(text):
        raise FellBackError(f"benchmark_model: {one_line(found[0])}; its delegate does not run all of it")
    if completed.exit_status == 0 and not CRASHED.search(text):
        return text
    if found := _UNSUPPORTED.search(text):
        raise UnsupportedOperationError(f"benchmark_model: {complaint(text)}")
    raise ProfilingError(f"benchmark_model ended with exit status {completed.exit_status}: {complaint(text)}")
