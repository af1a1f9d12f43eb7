"""A program on a board that answers what it is asked, through one ssh client, with no command for each."""

from devices._device import Conversation
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices._ssh.channel import Channel, Deadline
from devices._ssh.connection import ANSWER_S, Connection
from devices.foundation.text import one_line

#: Seconds without progress after which what is written is not waited for.
_STALL_S = 60.0

#: How long a program may take to end after its input has.
_END_S = 2.0

#: What is kept of its standard error, and of output that nobody has read yet.
_MOST_ERRORS, _MOST_OUTPUT = 1 << 16, 1 << 30


class SshConversation(Conversation):
    """A program behind an ssh client.

    Args:
        channel: The client.
        connection: What it goes over.
        marks: What stands before the program's output, and on its standard error before its own words.
    """

    def __init__(self, channel: Channel, connection: Connection, *, marks: tuple[str, str]) -> None:
        self._channel, self._connection, self._host = channel, connection, connection.host
        self._frame, self._mark = (mark.encode() for mark in marks)

    def started(self) -> bytes:
        """Wait until the program starts, or ends; return what its start wrote, up to the mark.

        Raises:
            DeviceLostError: The connection broke.
            DeviceTimeoutError: It does not start.
            DeviceError: The board takes no more programs at once.
        """
        channel, before = self._channel, b"\n%s\n" % self._frame
        word = b"\n%s starts\n" % self._mark
        has_started = channel.move_until(
            lambda: before in channel.output and word in channel.errors, ANSWER_S
        )
        if not has_started and not channel.is_ended:
            raise DeviceTimeoutError(f"no program starts on {self._host} within {ANSWER_S:g} s")
        start = channel.errors.find(b"\n%s starts\n" % self._frame)
        if before not in channel.output or start < 0:
            raise self._connection.lost(bytes(channel.errors))
        del channel.output[: channel.output.index(before) + len(before)]
        del channel.errors[: start + len(b"\n%s starts" % self._frame)]
        said = bytes(channel.errors)
        del channel.errors[: channel.errors.find(word) + len(word) if word in said else 0]
        return said

    def write(self, content: bytes) -> None:
        self._channel.send(content)
        unsent, deadline = self._channel.unsent_bytes, Deadline(_STALL_S)
        while unsent:
            if self._channel.is_ended or not deadline.left_s():
                raise self._lost()
            self._move(deadline.left_s())
            if self._channel.unsent_bytes < unsent:
                unsent, deadline = self._channel.unsent_bytes, Deadline(_STALL_S)
        if not self._channel.takes_input:
            raise self._lost()

    def read(self, n: int, *, timeout_s: float) -> bytes:
        output, deadline = self._channel.output, Deadline(timeout_s)
        while not output and not self._channel.is_ended:
            left_s = deadline.left_s()
            self._move(left_s)
            if not (left_s or output or self._channel.is_ended):
                raise DeviceTimeoutError(f"a program on {self._host} said nothing for {timeout_s:g} s")
        part = bytes(memoryview(output)[:n])
        del output[: len(part)]
        return part

    def last_words(self) -> str:
        return self._channel.errors.partition(b"\n%s ended " % self._frame)[0].decode(errors="replace")

    def close(self) -> bool:
        """End the program's input, and wait for its end; tell whether it ended in time and said so."""
        self._channel.close(_END_S)
        return b"\n%s ended " % self._frame in self._channel.errors

    def _move(self, timeout_s: float) -> None:
        self._channel.move(timeout_s)
        del self._channel.errors[:-_MOST_ERRORS]
        if len(self._channel.output) > _MOST_OUTPUT:
            raise DeviceError(f"a program on {self._host} wrote 1 GiB that nobody asked for; it was ended")

    def _lost(self) -> DeviceLostError:
        said = one_line(self.last_words().strip().rpartition("\n")[2])
        return DeviceLostError(
            f"the program on {self._host} takes nothing any more{f' ({said})' if said else ''}"
        )
