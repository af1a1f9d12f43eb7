"""Fault 8: a board whose disk is full says so, and nothing is left of the file."""

from pathlib import Path

import pytest

import devices
from devices._errors import DeviceError
from devices.ssh import Ssh
from tests.fakes.sshd import Sshd

#: Writes no more than 512 bytes of any file, as a disk does that is full; the rest fails without ending it.
_FULL = """#!/bin/sh
ulimit -f 1
trap '' XFSZ
exec /usr/lib/openssh/sftp-server
"""


def test_a_file_that_does_not_fit_is_an_error_with_the_remedy_and_leaves_nothing(
    sshd: Sshd, tmp_path: Path
) -> None:
    program = tmp_path / "full-sftp-server"
    program.write_text(_FULL)
    program.chmod(0o755)
    sshd.stop()
    sshd.start(sftp=str(program))
    with devices.connect("ssh:board") as device:
        assert isinstance(device, Ssh)
        with pytest.raises(DeviceError, match=r"MiB are free there: free space on the board") as caught:
            device.push(b"x" * 100_000)
        assert "ailure" in str(caught.value)
        assert str(caught.value).isprintable()
        assert sshd.ours() == []
        assert Path(device.push(b"small")).read_bytes() == b"small"
