"""Owner files: a lock for file systems and systems without one, as a file that names the process holding it.

The file is created by its owner alone (``O_EXCL``) and removed at the end. What a killed owner left is taken
over only where the owner is known to be dead: the same machine and process namespace, and either an earlier
boot, or no process with that number and start time. Everything else, another machine above all, is left to
the user. Nothing is ever taken over because of its age.

While one process takes over, it holds a second file, named by the digest of what is taken over: so two
processes that find the same dead owner cannot both win.
"""

import hashlib
import json
import os
import secrets
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from devices.foundation.errors import StorageError
from devices.foundation.files import read_regular

_MAX_BYTES = 4096


@dataclass(frozen=True)
class Owner:
    """A process, so that others can tell whether it lives.

    Attributes:
        host: Name of its machine.
        machine: Identity of the machine.
        boot: Identity of the machine's boot; empty where there is none.
        namespace: Where its number counts, a container for one; empty where there is none.
        pid: Its number.
        started: When it began, in the kernel's ticks; empty where that is unknown.
        token: Tells apart the locks of one process.
    """

    host: str
    machine: str
    boot: str
    namespace: str
    pid: int
    started: str
    token: str

    @classmethod
    def this_process(cls) -> "Owner":
        """Return this process, with a token of its own."""
        machine = _text("/etc/machine-id") or f"{uuid.getnode():x}"
        namespace = ""
        with suppress(OSError):
            namespace = os.readlink("/proc/self/ns/pid")
        pid = os.getpid()
        boot = _text("/proc/sys/kernel/random/boot_id")
        started = _stat(pid)[1]
        return cls(socket.gethostname(), machine, boot, namespace, pid, started, secrets.token_hex(8))

    def is_dead(self) -> bool | None:
        """Tell whether the process has ended; ``None`` where this cannot be told from here."""
        here = Owner.this_process()
        if (self.host, self.machine, self.namespace) != (here.host, here.machine, here.namespace):
            return None
        if self.boot != here.boot:
            return True if self.boot and here.boot else None
        if os.name == "nt":  # where os.kill(pid, 0) ends the process
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        state, started = _stat(self.pid)
        return state in ("Z", "X") or bool(self.started and started and self.started != started)


def own(path: Path) -> str | None:
    """Create the owner file ``path`` for this process, in place of one that a dead process left.

    Returns:
        The file's content, for ``disown``; ``None`` where a living process owns it.

    Raises:
        StorageError: Whether its owner lives cannot be told from here.
        OSError: The file cannot be created or read.
    """
    content = json.dumps(asdict(Owner.this_process()))
    try:
        _create(path, content)
        return content
    except FileExistsError:
        pass
    try:
        found = _settled(path)
    except FileNotFoundError:  # released meanwhile; whoever comes next gets it
        return None
    is_dead, name = _verdict(found)
    if is_dead is None:
        raise StorageError(
            f"{path} says that {name} is at work, which cannot be checked from here; "
            "if it has ended, delete that file"
        )
    return content if is_dead and _take_over(path, found, content) else None


def disown(path: Path, content: str) -> None:
    """Remove the owner file that ``own`` created, unless it is another's by now."""
    with suppress(OSError):
        if read_regular(path, _MAX_BYTES) == content.encode():
            path.unlink()


def _create(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _settled(path: Path) -> bytes:
    """Return what stands in an owner file; one that was just created gets a moment to be written."""
    for _ in range(10):
        if found := read_regular(path, _MAX_BYTES):
            return found
        time.sleep(0.02)
    return b""


def _verdict(found: bytes) -> tuple[bool | None, str]:
    """Return whether the owner is dead, and its name for a message."""
    try:
        owner = Owner(**json.loads(found))
        return owner.is_dead(), f"process {owner.pid} of {owner.host}"
    except (ValueError, TypeError, OverflowError):
        return None, "a process"


def _take_over(path: Path, found: bytes, content: str) -> bool:
    """Put ``content`` in place of ``found``, which a dead process left; tell whether it was us."""
    claim = path.with_name(f"{path.name}.{hashlib.sha256(found).hexdigest()[:16]}")
    mine = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        _create(claim, content)
    except FileExistsError:
        if _verdict(read_regular(claim, _MAX_BYTES))[0]:
            raise StorageError(f"{claim} was left by a process that was killed; delete that file") from None
        return False
    try:
        if read_regular(path, _MAX_BYTES) != found:  # another was quicker, and has removed its claim
            return False
        _create(mine, content)
        os.replace(mine, path)
    except FileNotFoundError:
        return False
    finally:
        claim.unlink(missing_ok=True)
    return True


def _text(path: str) -> str:
    try:
        return read_regular(Path(path), _MAX_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, str]:
    """Return state and start time of a process; empty where the system does not tell."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")
