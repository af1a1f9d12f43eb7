"""The process that works: it takes tasks from one connection until that ends, then ends at once itself."""

import os
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

from cars_hw.executors._allocation import keep_freed_memory
from cars_hw.executors._answer import Answer, answer_to
from cars_hw.executors._executor import NOTHING
from cars_hw.executors._processes.memory import Place, read


@dataclass(frozen=True)
class Given:
    """What a worker is to do.

    Attributes:
        task: By its name.
        value: The input, plain.
        map_number: Of the call that it belongs to; all of one call have the same arrays.
        places: Where these lie.
    """

    task: str
    value: object
    map_number: int
    places: Mapping[str, Place]


def main(connection_descriptor: int, memory_descriptor: int) -> None:
    """Work until the other side is gone. Any other error than one of ours ends the process, traced."""
    keep_freed_memory()
    connection: Connection[Answer, Given] = Connection(connection_descriptor)
    waiting: queue.SimpleQueue[Given] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, waiting), daemon=True).start()
    shared, of_map = NOTHING, -1
    while True:
        given = waiting.get()
        if given.map_number != of_map:
            shared, of_map = read(memory_descriptor, given.places), given.map_number
        connection.send(answer_to(given.task, given.value, shared))


def _receive(connection: "Connection[Answer, Given]", waiting: "queue.SimpleQueue[Given]") -> None:
    """Pass on what comes; end the process where nothing will, in the middle of a task too."""
    while True:
        try:
            waiting.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)
