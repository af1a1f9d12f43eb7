"""The connection to a board: whom it trusts, what it says, and that it comes back or ends."""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import devices
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices._ssh.complaints import explained
from devices._ssh.connection import Connection
from devices._ssh.scripts import Script
from devices.ssh import Ssh
from tests.fakes.processes import ended, running
from tests.fakes.sshd import Sshd
from tests.fakes.waiting import wait_for


def refusal(host: str = "board") -> str:
    with pytest.raises(DeviceError) as caught:
        devices.connect(f"ssh:{host}")
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_host_key_that_is_unknown_or_another_is_not_accepted(sshd: Sshd) -> None:
    sshd.knows(False)
    assert "its host key is not known here: connect to it once by `ssh board`" in refusal()
    sshd.knows(True, key="stranger")
    assert "its host key is not the one that this machine knows" in refusal()
    assert (sshd.folder / "known_hosts").read_text().count("\n") == 1


def test_a_key_that_the_board_does_not_know_is_named_and_no_password_asked_for(sshd: Sshd) -> None:
    sshd.write_config(key="stranger")
    assert "accepts none of this user's keys, and passwords are not asked for: run `ssh-copy-id" in refusal()


def test_a_host_that_is_not_there_is_named_with_what_helps(sshd: Sshd) -> None:
    sshd.stop()
    assert "it takes no SSH connections: start sshd there" in refusal()
    assert "no machine of this name is known: check the spelling" in refusal("no-such-board.invalid")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("ssh: connect to host 10.0.0.9 port 22: Connection timed out", "nothing answers there"),
        ("ssh: connect to host 10.0.0.9 port 22: No route to host", "nothing answers there"),
        (
            "Received disconnect from 10.0.0.9: Too many authentication failures",
            "accepts none of this user's",
        ),
        ("/home/me/.ssh/config: line 3: Bad configuration option: foo", "mend ssh's configuration"),
        ("Can't open user config file /x: No such file or directory", "let CARS_HW_SSH_CONFIG name a file"),
        ('unix_listener: path "/x" too long for Unix domain socket', "set TMPDIR"),
        ("something new", "try `ssh {host} true`"),
        ("", "try `ssh {host} true`"),
    ],
)
def test_what_ssh_says_is_explained(said: str, remedy: str) -> None:
    assert remedy in explained(said)[1]


def test_without_ssh_on_this_machine_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "ssh is not installed on this machine; install OpenSSH's client" in refusal()


def test_a_configuration_is_found_from_where_we_are_and_says_all_that_we_go_by(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sshd.folder)
    monkeypatch.setenv("CARS_HW_SSH_CONFIG", sshd.config.name)
    sshd.write_config("LogLevel QUIET", key="stranger")
    assert "accepts none of this user's keys" in refusal()


def test_a_start_up_file_that_prints_without_end_is_named_and_not_read_for_ever(sshd: Sshd) -> None:
    (sshd.folder / ".bashrc").write_text("exec cat /dev/zero\n")
    said = refusal()
    assert said.startswith("board prints without end before it takes a command; mend the start-up files")


def test_an_answer_that_goes_on_for_ever_is_waited_for_so_long_and_read_so_far(sshd: Sshd) -> None:
    connection = Connection("board")
    start_s = time.monotonic()
    with pytest.raises(DeviceTimeoutError, match=r"did not answer within 0.3 s"):
        connection.ask("while :; do echo x; done", timeout_s=0.3)
    with pytest.raises(DeviceError, match="more than 16 MiB; it was ended"):
        connection.ask("cat /dev/zero")
    assert time.monotonic() - start_s < 8.0
    assert connection.ask("echo again").stdout == b"again\n"
    connection.close()


def test_a_question_that_was_given_up_half_sent_does_not_spoil_the_next(sshd: Sshd) -> None:
    """As Ctrl-C does: what undoes our changes on the board is asked right after it."""
    connection = Connection("board")
    with pytest.raises(KeyboardInterrupt):
        connection.retried(lambda: interrupted(connection))
    assert connection.ask('echo "$1"', "next").stdout == b"next\n"
    connection.close()


def interrupted(connection: Connection) -> None:
    master = connection._master
    assert master is not None
    master.send(Script.of("cat >/dev/null", ["x" * 1_000_000]).request())
    master.move(0.0)
    assert master.unsent_bytes
    raise KeyboardInterrupt


def test_what_was_closed_is_not_opened_again(sshd: Sshd) -> None:
    device = devices.connect("ssh:board")
    assert isinstance(device, Ssh)
    device.close()
    for use in (device.state, lambda: device.converse(["cat"]).__enter__(), lambda: device.push(b"model")):
        with pytest.raises(DeviceError, match="the connection to board was closed; connect again"):
            use()


@pytest.mark.slow
def test_a_jump_host_of_the_users_configuration_is_used(sshd: Sshd) -> None:
    sshd.write_config()
    text = sshd.config.read_text()
    sshd.config.write_text(text + text.replace("Host board board2", "Host far\nProxyJump board", 1))
    with devices.connect("ssh:far") as device:
        assert device.info().kind == "ssh"


def test_a_connection_that_broke_is_made_anew_and_the_question_asked_again(
    sshd: Sshd, caplog: pytest.LogCaptureFixture
) -> None:
    with devices.connect("ssh:board") as device:
        assert isinstance(device, Ssh)
        for ask in (
            lambda: device.state().load is not None,
            lambda: device.run(["echo", "again"], timeout_s=10).stdout == b"again\n",
            lambda: device.pull(device.push(os.urandom(100)), max_bytes=100),
        ):
            sshd.cut()
            assert ask()
    assert caplog.text.count("connecting again") == 3


def test_a_board_that_stays_away_is_looked_for_three_times_with_growing_pauses(sshd: Sshd) -> None:
    pauses_s: list[float] = []
    connection = Connection("board", pause=pauses_s.append)
    sshd.cut()
    sshd.stop()
    start_s = time.monotonic()
    with pytest.raises(DeviceLostError, match="it takes no SSH connections"):
        connection.ask("true")
    assert time.monotonic() - start_s < 5.0
    assert len(pauses_s) == 2
    assert 0 < pauses_s[0] < pauses_s[1] * 1.5
    connection.close()


def test_closing_leaves_neither_a_client_nor_its_folder(sshd: Sshd) -> None:
    connection = Connection("board")
    mark = str(connection.folder)
    assert running(mark)
    connection.close()
    connection.close()
    assert ended(mark)
    assert not connection.folder.exists()


def test_a_server_that_gives_commands_no_process_group_is_refused(sshd: Sshd) -> None:
    """What runs there could not be ended."""
    authorized = sshd.folder / "authorized"
    authorized.write_text(f'command="sh -c \\"$SSH_ORIGINAL_COMMAND\\"; true" {authorized.read_text()}')
    assert (
        "cannot be measured on: its SSH server gives commands no process group: install OpenSSH" in refusal()
    )


def test_a_server_that_opens_no_further_session_says_so_and_what_runs_goes_on(sshd: Sshd) -> None:
    sshd.stop()
    sshd.start(sessions=2)
    with devices.connect("ssh:board") as device:
        assert isinstance(device, Ssh)
        with device.converse(["cat"]) as program:
            for use in (
                lambda: device.run(["true"], timeout_s=10),
                lambda: device.push(b"model"),
                lambda: device.converse(["cat"]).__enter__(),
            ):
                with pytest.raises(DeviceError, match=r"opens no further session .* raise MaxSessions"):
                    use()
            program.write(b"goes on\n")
            assert program.read(100, timeout_s=10) == b"goes on\n"


_SESSION = """
import sys, devices
with devices.connect("ssh:board") as device, device.quiet(1), device.scratch():
    with device.converse(["sh", "-c", "sh -c 'sleep 999; : " + sys.argv[1] + "' & cat"]) as program:
        device.run(["sh", "-c", "sleep 998; : " + sys.argv[1]], timeout_s=100)
"""


def test_a_session_that_is_killed_leaves_nothing_running_on_the_board(sshd: Sshd, tmp_path: Path) -> None:
    """Its connection ends with it; what its programs left in our folder goes with the next connection."""
    mark = secrets.token_hex(8)
    session = subprocess.Popen([sys.executable, "-c", _SESSION, mark], start_new_session=True)
    try:
        wait_for(lambda: len(on_board(mark, session.pid)) >= 3, lambda: "the programs do not start")
    finally:
        os.killpg(session.pid, signal.SIGKILL)
        session.wait()
    wait_for(
        lambda: not on_board(f"998; : {mark}", session.pid), lambda: "a program still runs", within_s=5.0
    )
    with devices.connect("ssh:board"):
        assert ended(mark)
        assert sshd.ours() == []


def on_board(mark: str, session: int) -> list[int]:
    return [pid for pid in running(mark) if pid != session]
