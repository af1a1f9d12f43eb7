"""What every ``--help`` has: the short option, and examples."""

from collections.abc import Sequence

#: Of every command: ``-h`` is ``--help``.
HELP = {"help_option_names": ["-h", "--help"]}


def epilog(examples: Sequence[str]) -> str:
    """Return examples as the end of a command's help, one on a line."""
    return "\n\n".join(["Examples:", *examples])
