"""The worker's process, ``python -m profilers.worker PARENT PROGRESS``: it answers until its input ends.

It loads no torch: models arrive lowered. What it needs to know arrives in messages, and nothing but answers
is written. Before each block, and each load, its number goes to the pipe PROGRESS, which nobody waits for:
where a crash ends this process, the last number there is of what crashed it.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np

import devices
from devices import HostDevice
from devices.foundation import CarsHwError
from latency_tables import OpSpec
from profilers import runtimes
from profilers._messages import PLACE, Message, receive, send
from profilers.runtimes._runtime import LoweredModel, Workload
from profilers.worker.contract import Block
from profilers.worker.here import ThisProcess

_SET_PARENT_DEATH_SIGNAL = 1


def main(argv: Sequence[str]) -> None:
    """Serve the process that started this one."""
    parent, progress = int(argv[0]), int(argv[1])
    _end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the host, which ends this process
    with os.fdopen(os.dup(0), "rb", buffering=0) as asked, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what libraries print is no answer
        serve(asked, answers, progress)


def serve(asked: BinaryIO, answers: BinaryIO, progress: int) -> None:
    """Answer each message of ``asked``, the first of which says on what everything is run."""
    message = receive(asked.read)
    if message is None:
        return
    with _begun(message.fields) as worker:
        send(answers.write, {"process": os.getpid()})
        answers.flush()
        while (message := receive(asked.read)) is not None:
            try:
                answer = _answer(worker, message, progress)
            except CarsHwError as error:
                answer = _told(error)
            send(answers.write, answer)
            answers.flush()


def _begun(fields: Mapping[str, Any]) -> ThisProcess:
    device = devices.connect(fields["device"])
    if not isinstance(device, HostDevice):
        raise CarsHwError(f"{fields['device']} is not of this machine")
    return ThisProcess(runtimes.load(fields["runtime"], fields["threads"], **fields["settings"]), device)


def _answer(worker: ThisProcess, message: Message, progress: int) -> Mapping[str, object]:
    fields = message.fields
    match fields["do"]:
        case "load":
            _tell(progress, fields["place"])
            worker.load(fields["place"], _workload(message))
            return {"facts": dict(worker.facts(fields["place"]))}
        case "run":
            return {"blocks": [_ran(worker, place, n, progress) for place, n in fields["blocks"]]}
        case "pin":
            if fields["processors"]:
                os.sched_setaffinity(0, fields["processors"])
            return {}
        case "unload":
            worker.unload(fields["place"])
            return {}
    raise CarsHwError(f"{fields['do']!r:.80} is no request")


def _workload(message: Message) -> Workload:
    """Return what a message brings: the model, and after it what torch computes of it."""
    fields, end = message.fields, message.fields["model_bytes"]
    shape, reference = fields["reference"], None
    if shape is not None:
        reference = np.frombuffer(message.content, np.float32, offset=end).reshape(shape)
    model = LoweredModel(message.content[:end], fields["is_optimised"], reference)
    return Workload(OpSpec.parse(fields["spec"]), model)


def _ran(worker: ThisProcess, place: int, n: int, progress: int) -> Mapping[str, object]:
    _tell(progress, place)
    (found,) = worker.run(0, [(place, n)])
    if not isinstance(found, Block):
        return _told(found)
    used = found.used
    return {
        "latency_s": found.latency_s,
        "used": None if used is None else [used.switches, used.cpu_s],
        "disturbance": found.disturbance,
    }


def _told(error: CarsHwError) -> Mapping[str, object]:
    return {"error": type(error).__name__, "message": str(error)}


def _tell(progress: int, place: int) -> None:
    with suppress(BlockingIOError):  # nobody has read for thousands of blocks
        os.write(progress, PLACE.pack(place))


def _end_with(parent: int) -> None:
    """Ask to be killed when the process ``parent`` ends, where the system can do that."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
