"""Programs on a board that answer what they are asked."""

import secrets
import time

import pytest

from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices.ssh import Ssh
from tests.fakes.processes import ended, running
from tests.fakes.sshd import Sshd
from tests.fakes.waiting import wait_for

_UPPER = "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(line.upper()); sys.stdout.flush()"


def test_it_answers_each_question_until_its_input_ends(board: Ssh) -> None:
    with board.converse([board.python(), "-c", _UPPER], environment={"LC_ALL": "C"}) as program:
        for word in (b"one\n", b"two\n"):
            program.write(word)
            assert program.read(100, timeout_s=10) == word.upper()


def test_long_questions_and_answers_do_not_wait_for_each_other(board: Ssh) -> None:
    """A program that writes before it has read all, and complains a lot, fills three pipes at once."""
    script = (
        "import sys\n"
        "while part := sys.stdin.buffer.read(1000):\n"
        "    sys.stderr.buffer.write(part); sys.stdout.buffer.write(part); sys.stdout.flush()"
    )
    content = secrets.token_bytes(1 << 20)
    with board.converse([board.python(), "-c", script]) as program:
        program.write(content)
        answer = b""
        while len(answer) < len(content) // 1000 * 1000:
            answer += program.read(1 << 16, timeout_s=10)
        assert content.startswith(answer)


def test_a_program_that_ends_ends_its_answers_and_leaves_its_last_words(board: Ssh) -> None:
    script = "echo last; echo no such model >&2; exit 3"
    with board.converse(["sh", "-c", script]) as program:
        assert program.read(100, timeout_s=10) == b"last\n"
        assert program.read(100, timeout_s=10) == b""
        assert program.last_words() == "no such model\n"


def test_what_is_written_to_a_program_that_ended_is_lost(board: Ssh) -> None:
    with board.converse(["sh", "-c", "echo out of memory >&2"]) as program:
        assert program.read(100, timeout_s=10) == b""
        with pytest.raises(DeviceLostError, match=r"takes nothing any more \(out of memory\)"):
            program.write(b"questions\n" * 1_000_000)


def test_silence_is_waited_for_so_long_and_no_longer(board: Ssh) -> None:
    with board.converse(["cat"]) as program:
        start_s = time.monotonic()
        with pytest.raises(DeviceTimeoutError, match=r"said nothing for 0.2 s"):
            program.read(100, timeout_s=0.2)
        assert time.monotonic() - start_s < 2.0
        program.write(b"still there\n")
        assert program.read(100, timeout_s=10) == b"still there\n"


def test_complaints_without_end_are_no_answer(board: Ssh) -> None:
    with board.converse(["sh", "-c", "while :; do echo x >&2; done & cat"]) as program:
        start_s = time.monotonic()
        with pytest.raises(DeviceTimeoutError, match=r"said nothing for 0.2 s"):
            program.read(100, timeout_s=0.2)
        assert time.monotonic() - start_s < 2.0


def test_leaving_ends_the_program_when_its_input_ends(board: Ssh) -> None:
    mark = secrets.token_hex(8)
    with board.converse(["sh", "-c", f"cat >/dev/null; : {mark}"]):
        wait_for(lambda: running(mark), lambda: "the program does not start")
    assert ended(mark, within_s=1.0)


@pytest.mark.slow
def test_a_program_that_is_deaf_is_killed(shared_sshd: Sshd, board: Ssh) -> None:
    mark = secrets.token_hex(8)
    start_s = time.monotonic()
    with board.converse(["sh", "-c", f"trap '' HUP TERM; sleep 1000; : {mark}"]):
        pass
    assert ended(mark, within_s=1.0)
    assert time.monotonic() - start_s < 5.0
    assert not [name for name in shared_sshd.ours() if name.endswith(".pid")]


def test_programs_run_while_one_answers(board: Ssh) -> None:
    with board.converse(["cat"]) as program:
        with pytest.raises(DeviceTimeoutError):
            board.run(["sleep", "1000"], timeout_s=0.2)
        assert board.run(["echo", "beside it"], timeout_s=10).stdout == b"beside it\n"
        program.write(b"lives\n")
        assert program.read(100, timeout_s=10) == b"lives\n"


def test_a_program_that_cannot_start_says_so_by_its_end(board: Ssh) -> None:
    with board.converse(["no-such-program"]) as program:
        assert program.read(100, timeout_s=10) == b""
        assert "not found" in program.last_words()
    with pytest.raises(DeviceError, match="no program to run"), board.converse([]):
        pass
