"""What is sent to a board holds nothing that any shell takes for its own, and comes out as it was meant."""

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices._errors import DeviceError
from devices._ssh.scripts import Script

WORDS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40), max_size=4
)


@given(WORDS)
def test_a_command_line_is_letters_digits_and_backslashes_between_single_quotes(words: list[str]) -> None:
    line = Script.of("exit 3", words).command_line()
    assert re.fullmatch(r"""exec sh -c 'eval "\$\(printf "\$1"\)"' sh '(\\[0-7]{3}|[A-Za-z])*'""", line)


@given(WORDS)
@settings(max_examples=25)
def test_sh_gives_a_script_the_words_that_were_meant_and_its_status_comes_back(words: list[str]) -> None:
    script = Script.of('for word do printf "%s\\0" "$word"; done; echo err >&2; exit 255', words)
    done = subprocess.run(["sh", "-c", script.command_line()], capture_output=True, timeout=10)
    found = script.completed(done.stdout, done.stderr)
    assert found is not None
    assert found.stdout.decode() == "".join(f"{word}\0" for word in words)
    assert (found.stderr, found.exit_status) == (b"err\n", 255)


@given(WORDS)
@settings(max_examples=25)
def test_a_request_is_one_line_that_means_the_same(words: list[str]) -> None:
    script = Script.of('for word do printf "%s\\0" "$word"; done; exit 7', words)
    assert script.request().count(b"\n") == 1
    loop = 'while IFS= read -r line; do eval "$(printf "$line")" </dev/null; done'
    done = subprocess.run(["sh", "-c", loop], input=script.request(), capture_output=True, timeout=10)
    assert script.has_ended(done.stdout, done.stderr)
    found = script.completed(done.stdout[: -len(script.before_output())], done.stderr)
    assert found is not None
    assert found.stdout.decode() == "".join(f"{word}\0" for word in words)
    assert found.exit_status == 7


def test_no_part_of_an_answer_is_taken_for_all_of_it() -> None:
    """At every byte of both outputs."""
    script = Script.of("echo out; echo err >&2; exit 4")
    done = subprocess.run(["sh", "-c", script.command_line()], capture_output=True, timeout=10)
    output, errors = done.stdout + script.before_output(), done.stderr
    assert script.has_ended(output, errors)
    assert not any(script.has_ended(output[:n], errors) for n in range(len(output)))
    assert not any(script.has_ended(output, errors[:n]) for n in range(len(errors)))
    assert all(script.completed(done.stdout, errors[:n]) is None for n in range(len(errors)))


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_noise_is_no_answer(output: bytes, errors: bytes) -> None:
    script = Script.of("true")
    assert not script.has_ended(output, errors)
    assert script.completed(output, errors) is None


def test_a_word_that_no_program_can_be_given_is_refused() -> None:
    with pytest.raises(DeviceError, match="cannot hold a NUL"):
        Script.of("true", ["a\0b"])
