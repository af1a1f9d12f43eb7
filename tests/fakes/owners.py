"""Another process that writes into a folder, for as long as a test needs it to."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: Owns the folder until its input is closed.
ALONE = """
import sys
from pathlib import Path
from devices.foundation.ownership import owned
with owned(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def another_owner(folder: Path, code: str = ALONE) -> Iterator["subprocess.Popen[str]"]:
    """Let another process, and whatever it starts, own ``folder`` until left."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
