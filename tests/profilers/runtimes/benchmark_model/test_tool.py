"""What one run of benchmark_model means, from its exit status, its texts and its file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from devices._device import Completed
from devices._errors import DeviceError
from profilers.errors import FellBackError, GarbledOutputError, ProfilingError, UnsupportedOperationError
from profilers.runtimes._benchmark_model.tool import BENCHMARK_MODEL, BenchmarkModel, succeeded
from profilers.runtimes._coverage import Coverage
from profilers.runtimes._program_output import retried
from tests.fakes import protos
from tests.fakes.local_remote import LocalRemote

GOLDEN = Path(__file__).parents[3] / "golden" / "benchmark_model"
GOOD = (GOLDEN / "interpreter-new.txt").read_bytes()
HELP = "".join(
    f"\t--{name}=0\tfloat\toptional\ttext\n"
    for name in ("graph", "num_runs", "min_secs", "num_threads", "warmup_runs", "warmup_min_secs")
)


class Scripted(LocalRemote):
    """A device on which the tool prints, writes and ends as it is told to."""

    def __init__(self, folder: Path, *, flags: str = "", printed: bytes = GOOD) -> None:
        super().__init__(folder)
        self.help = Completed(b"", (HELP + "".join(f"\t--{name}=\n" for name in flags.split())).encode(), 1)
        self.answer = Completed(printed, b"", 0)
        self.written = protos.result()
        self.sha256 = ""

    def run(self, argv, *, timeout_s, environment=None):  # type: ignore[no-untyped-def]
        if argv[0] == "sha256sum":
            return Completed(f"{self.sha256}  {argv[1]}\n".encode(), b"", 0)
        if "--help" in argv:
            return self.help
        paths = [word.partition("=")[2] for word in argv if word.startswith("--result_file_path=")]
        for path in paths:
            Path(path).write_bytes(self.written)
        return self.answer


def tool(device: LocalRemote) -> BenchmarkModel:
    return BenchmarkModel(BENCHMARK_MODEL.install(device, b"a program"))


def test_its_flags_tell_the_generations_apart(tmp_path: Path) -> None:
    classic, compiled = tool(Scripted(tmp_path, flags="use_gpu")), tool(Scripted(tmp_path, flags="use_npu"))
    assert (classic.is_compiled_model, compiled.is_compiled_model) == (False, True)
    assert "use_gpu" in classic.flags
    assert classic.version != compiled.version
    assert classic.program.sha256 in classic.version


@pytest.mark.parametrize("printed", [b"", b"sh: not executable: 64-bit ELF file", b"\xff\x00", b"--graph="])
def test_another_program_is_refused_with_the_remedy(tmp_path: Path, printed: bytes) -> None:
    device = Scripted(tmp_path)
    device.help = Completed(printed, b"", 126)
    with pytest.raises(DeviceError, match=r"exit status 126.*instruction set"):
        tool(device)


def test_the_file_is_read_first_and_the_text_where_there_is_none(tmp_path: Path) -> None:
    device = Scripted(tmp_path, flags="result_file_path")
    exact, _ = tool(device).timings({}, folder=str(tmp_path), timeout_s=9)
    printed, _ = tool(Scripted(tmp_path)).timings({}, folder=str(tmp_path), timeout_s=9)
    assert exact.mean_s == pytest.approx(22.6138e-3, rel=1e-9, abs=1e-9)
    assert exact.init_s == pytest.approx(12.3e-3)
    assert printed.init_s == pytest.approx(12.345e-3)


def test_fault_05_a_file_of_another_run_is_refused(tmp_path: Path) -> None:
    device = Scripted(tmp_path, flags="result_file_path")
    device.written = protos.result({**protos.LATENCIES_MS, 1: 22.9})
    with pytest.raises(GarbledOutputError, match="not of one run"):
        tool(device).timings({}, folder=str(tmp_path), timeout_s=9)


def test_fault_05_each_run_has_a_file_of_its_own(tmp_path: Path) -> None:
    device = Scripted(tmp_path, flags="result_file_path")
    for _ in range(3):
        tool(device).timings({}, folder=str(tmp_path), timeout_s=9)
    assert len(list(tmp_path.glob("*.pb"))) == 3


def test_fault_05_a_file_that_no_text_confirms_is_confirmed_by_its_hash(tmp_path: Path) -> None:
    device = Scripted(tmp_path, flags="result_file_path use_npu", printed=b"")
    with pytest.raises(GarbledOutputError, match="changed on its way"):
        tool(device).timings({}, folder=str(tmp_path), timeout_s=9)
    device.sha256 = "9" * 64
    with pytest.raises(GarbledOutputError, match="changed on its way"):
        tool(device).timings({}, folder=str(tmp_path), timeout_s=9)


def test_fault_05_a_file_that_was_not_written_is_no_result(tmp_path: Path) -> None:
    device = Scripted(tmp_path, flags="result_file_path")
    device.written = b""
    with pytest.raises(GarbledOutputError):
        tool(device).timings({}, folder=str(tmp_path), timeout_s=9)


@pytest.mark.parametrize(
    "crash",
    [
        b"Segmentation fault",
        b"libc: Fatal signal 11 (SIGSEGV)",
        b"Aborted",
        b"FATAL: check failed",
        b"terminate called after throwing an instance of 'std::bad_alloc'",
    ],
)
def test_fault_06_crash_text_is_a_crash_whatever_the_exit_status_says(crash: bytes) -> None:
    with pytest.raises(ProfilingError, match="exit status 0"):
        succeeded(Completed(GOOD, crash, 0))


@pytest.mark.parametrize(
    ("completed", "error", "message"),
    [
        (
            Completed(b"", b"ERROR: Failed to apply GPU delegate.", 1),
            UnsupportedOperationError,
            "Failed to apply",
        ),
        (
            Completed(b"", b"ERROR: Didn't find op for builtin opcode 'X' version '9'", 1),
            UnsupportedOperationError,
            "opcode",
        ),
        (
            Completed(b"", (GOLDEN / "gpu-refused.txt").read_bytes(), 1),
            FellBackError,
            "Disallowed CPU fallback",
        ),
        (Completed((GOLDEN / "gpu-unused.txt").read_bytes(), b"", 0), FellBackError, "will not"),
        (Completed((GOLDEN / "unknown-flag.txt").read_bytes(), b"", 0), ProfilingError, "use_gpuu"),
        (Completed(b"", b"", 139), ProfilingError, "exit status 139: it printed nothing"),
        (Completed(b"", b"sh: x: not found", 127), DeviceError, "instruction set"),
        (
            Completed(b"out of memory\x1b[31m\x00" + b"!" * 10_000, b"", 137),
            ProfilingError,
            "137: out of memory",
        ),
    ],
)
def test_each_end_has_its_error_of_one_short_line(
    completed: Completed, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        succeeded(completed)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_what_ran_where_is_asked_of_the_file_then_the_table_then_the_text(tmp_path: Path) -> None:
    installed = tool(Scripted(tmp_path))
    path = tmp_path / "account.pb"
    path.write_bytes(protos.account([1, "TfLiteGpuDelegateV2", -1]))
    partial = (GOLDEN / "gpu-partial.txt").read_text(encoding="utf-8")
    assert installed.coverage(GOOD.decode(), str(path)) == Coverage(("TfLiteGpuDelegateV2",), 1, 1)
    assert installed.coverage(GOOD.decode(), None) == Coverage(("TfLiteXNNPackDelegate",), 2, 1)
    assert installed.coverage(partial, None) == Coverage(("GPU",), 2, None)
    assert installed.coverage("", None) is None


def garbled(times: int) -> Callable[[], str]:
    left = iter(range(times))

    def run() -> str:
        for _ in left:
            raise GarbledOutputError("half a file")
        return "whole"

    return run


def test_fault_05_what_cannot_be_trusted_is_run_once_more_and_no_oftener() -> None:
    assert retried(garbled(1)) == "whole"
    with pytest.raises(GarbledOutputError):
        retried(garbled(2))
