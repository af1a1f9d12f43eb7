"""The command line: one verb a file; the only place that prints.

A verb imports what it needs when it runs: torch takes seconds, and ``--help`` should not. Importing this
package loads no verb, so that an interrupt ends in one line almost from the start.
"""

import os
import sys
from typing import TYPE_CHECKING

from cars_hw.cli._interruption import one_line_at_interrupts
from devices.foundation import lazy

if TYPE_CHECKING:
    from cars_hw.cli._app import app

__all__ = ["app", "main"]

_HOMES = {"app": "cars_hw.cli._app"}


def main() -> None:
    """Run the command line; an error of ours is one line and exit status 1, an interrupt one and 130."""
    with one_line_at_interrupts():
        # Torch's threads wait for each other in a busy loop unless this is set before torch is loaded; where
        # another process wants a core too, a training step then takes many times as long.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        # ONNX Runtime's telemetry takes processor time while we measure, and leaves files of its own.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        # Plug-ins that the user names are found in the folder of the project too; last, they hide nothing.
        sys.path.append(os.getcwd())
        from cars_hw.cli import _app  # within, for it takes a while

        _app.run()


if not TYPE_CHECKING:  # else a name that is not public would pass for one
    __getattr__, __dir__ = lazy(__name__, _HOMES)
