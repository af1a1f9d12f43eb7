"""The command line in this process, and the commands that its messages name."""

import io
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from cars_hw.cli import main

_QUOTED = re.compile(r"`(cars-hw [^`\n]*)`")
_NEXT = re.compile(r"^next: (.*)$", re.MULTILINE)
#: What names the program without being a command.
_NO_COMMAND = re.compile(r"^cars-hw: |'cars-hw\[\w+\]'", re.MULTILINE)


@dataclass(frozen=True)
class Done:
    """What a command did.

    Attributes:
        status: Its exit status.
        out: Its standard output.
        err: Its standard error.
    """

    status: int
    out: str
    err: str

    @property
    def commands(self) -> list[tuple[str, ...]]:
        """The commands that it printed, each by its words after the program's name."""
        return list(printed_commands(f"{self.out}\n{self.err}"))


def run(*words: str) -> Done:
    """Run ``cars-hw`` with ``words``; only errors that are none of ours come through."""
    before, status = sys.argv, 0
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        sys.argv = ["cars-hw", *words]
        try:
            main()
        except SystemExit as stopped:
            status = stopped.code if isinstance(stopped.code, int) else 0
        finally:
            sys.argv = before
    return Done(status, out.getvalue(), err.getvalue())


def printed_commands(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command in ``text``: in backquotes, or in a line that begins with ``next:``.

    Raises:
        AssertionError: The program is named in another way, so that nobody knows where a command ends.
    """
    rest = _NO_COMMAND.sub("", text)
    for found in _QUOTED.findall(rest):
        yield _words(shlex.split(found))
    rest = _QUOTED.sub("", rest)
    for line in _NEXT.findall(rest):
        parts: list[list[str]] = [[]]
        for word in _tokens(line):
            if word == ";":
                parts.append([])
            else:
                parts[-1].append(word)
        yield from map(_words, parts)
    assert "cars-hw " not in _NEXT.sub("", rest), rest


def _tokens(line: str) -> list[str]:
    """Split a line as a shell does, with ``;`` between commands as a word of its own."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";")
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


def _words(tokens: list[str]) -> tuple[str, ...]:
    assert tokens[0] == "cars-hw", tokens
    return tuple(tokens[1:])
