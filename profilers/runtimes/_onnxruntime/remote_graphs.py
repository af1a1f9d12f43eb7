"""Optimised graphs of many models, written by ``onnxruntime_perf_test`` on a remote device in one call.

The models go there as one file, a script takes it apart and loads one after the other, and the graphs come
back as one file: what a cable and a shell take, once for all of them. What the script prints is not trusted.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from devices import DeviceError, RemoteDevice
from latency_tables import OpSpec
from profilers.errors import GarbledOutputError
from profilers.runtimes._program_output import (
    NOT_STARTED,
    complaint,
    output_text,
    require_sha256,
    retried,
)

#: A call takes so many models, and of larger ones fewer: in bytes.
BATCH = 32
_BATCH_BYTES = 1 << 26

_LIMIT_S, _LIMIT_EACH_S = 60.0, 10.0

#: How often larger an optimised graph may be: filters are filled up to whole vectors.
_GROWTH, _ROOM_BYTES = 64, 4096

#: The most that one call brings back.
_MOST_BYTES = 1 << 29

_GRAPHS = "graphs"

#: Takes the file $2 apart by the sizes $3, in the folder $1, and gives each part to the program $4 and on.
#: Prints of each the exit status and the bytes of its graph; of the first that fails also what the program
#: said, and ends. The program gets a limit of processor time, as it would outlive a shell that is killed.
_SCRIPT = """
folder=$1 models=$2 sizes=$3; shift 3
cd "$folder" || exit 1
ulimit -t 60 2>/dev/null
start=1
: > graphs || exit 1
for size in $sizes; do
  rm -f optimised.onnx
  tail -c +$start "$models" | head -c "$size" > model.onnx
  [ $(($(wc -c < model.onnx))) = "$size" ] || { echo cut; break; }
  start=$((start + size))
  "$@" model.onnx times.csv > said 2>&1 < /dev/null
  status=$?
  if [ $status != 0 ]; then echo "$status 0"; tail -c 4096 said; break; fi
  cat optimised.onnx >> graphs || { echo cut; break; }
  echo "0 $(($(wc -c < optimised.onnx)))"
done
rm -f "$models"
"""

_LINE = re.compile(r"([0-9]{1,3}) ([0-9]{1,10})")


@dataclass(frozen=True)
class Model:
    """A model whose optimised graph is wanted.

    Attributes:
        spec: What it computes, for messages.
        content: An ONNX file.
    """

    spec: OpSpec
    content: bytes

    @property
    def most_bytes(self) -> int:
        """The most that its graph may have."""
        return _ROOM_BYTES + _GROWTH * len(self.content)


@dataclass(frozen=True)
class Failed:
    """A model that was not loaded.

    Attributes:
        exit_status: That of the program.
        said: What it printed, not trusted.
    """

    exit_status: int
    said: str


def batches(models: Iterable[Model]) -> Iterator[list[Model]]:
    """Yield the models as they come, so many at a time as one call takes."""
    batch: list[Model] = []
    for model in models:
        is_full = (
            len(batch) == BATCH or sum(len(one.content) for one in batch) + len(model.content) > _BATCH_BYTES
        )
        if batch and is_full:
            yield batch
            batch = []
        batch.append(model)
    if batch:
        yield batch


def optimised(
    argv: Sequence[str], models: Sequence[Model], device: RemoteDevice
) -> tuple[list[bytes], Failed | None]:
    """Return the graphs of ``models`` up to the first that was not loaded, and what became of that one.

    Args:
        argv: The tool with its options, to which files for the graph and the model are added.
        models: One batch.
        device: Where the tool is.

    Raises:
        GarbledOutputError: What came back is not what was asked for.
        DeviceError: The tool does not start, there is no space, or the device was lost.
    """
    return retried(lambda: _optimised(argv, models, device))


def _optimised(
    argv: Sequence[str], models: Sequence[Model], device: RemoteDevice
) -> tuple[list[bytes], Failed | None]:
    content = b"".join(model.content for model in models)
    sizes = " ".join(str(len(model.content)) for model in models)
    with device.scratch() as folder:
        words = [
            "sh",
            "-c",
            _SCRIPT,
            "sh",
            folder,
            device.push(content),
            sizes,
            *argv,
            "-u",
            "optimised.onnx",
        ]
        done = device.run(words, timeout_s=_LIMIT_S + _LIMIT_EACH_S * len(models))
        if done.exit_status != 0:
            said = complaint(output_text(done))
            raise DeviceError(f"networks cannot be counted on the device: {said}; free space there")
        sizes_of_graphs, failed = read_answer(done.stdout, models)
        if not sizes_of_graphs:
            return [], failed
        path = f"{folder}/{_GRAPHS}"
        graphs = device.pull(path, max_bytes=sum(sizes_of_graphs))
        require_sha256(device, path, graphs)
    return list(taken_apart(graphs, sizes_of_graphs)), failed


def read_answer(answer: bytes, models: Sequence[Model]) -> tuple[list[int], Failed | None]:
    """Read what the script printed: the bytes of each graph, and what became of a model that failed.

    Raises:
        GarbledOutputError: It is cut, or contradicts itself.
        DeviceError: The device has no space, or the tool does not start.
    """
    lines = answer.decode("utf-8", errors="replace").replace("\r\n", "\n").split("\n")
    sizes = list[int]()
    for model, line in zip(models, lines, strict=False):
        if line == "cut":
            raise DeviceError(
                "networks cannot be counted on the device: their files are cut; free space there"
            )
        match = _LINE.fullmatch(line)
        if match is None:
            raise _garbled(f"{line[:40]!r} stands for a graph")
        status, size = int(match[1]), int(match[2])
        if status:
            return sizes, _failed(status, "\n".join(lines[len(sizes) + 1 :]))
        if not 0 < size <= min(model.most_bytes, _MOST_BYTES - sum(sizes)):
            raise _garbled(f"a graph of {size} bytes is not of a model of {len(model.content)}")
        sizes.append(size)
    if len(sizes) != len(models) or lines[len(sizes) :] != [""]:
        raise _garbled(f"{len(sizes)} graphs came of {len(models)} models")
    return sizes, None


def taken_apart(content: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Yield the graphs of a file that holds one after the other.

    Raises:
        GarbledOutputError: It is not as long as all of them.
    """
    if len(content) != sum(sizes):
        raise _garbled(f"{len(content)} bytes of graphs came, not {sum(sizes)}")
    start = 0
    for size in sizes:
        yield content[start : start + size]
        start += size


def _failed(status: int, said: str) -> Failed:
    if status in NOT_STARTED:
        raise DeviceError(f"onnxruntime_perf_test does not start on this device: {complaint(said)}")
    return Failed(status, said)


def _garbled(found: str) -> GarbledOutputError:
    return GarbledOutputError(f"what the device counted cannot be read: {found}; run it again")
