"""What ssh says when it cannot connect, as one line each with what helps."""

import re

from devices.foundation.text import one_line

#: What ssh prints, in the order in which it is looked for, and what helps. ``{host}`` is the address.
_REMEDIES: tuple[tuple[str, str], ...] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Offending .* key",
        "its host key is not the one that this machine knows: find out why, and if it was set up anew, run "
        "`ssh-keygen -R HOST` and connect to it once by `ssh {host}`",
    ),
    (
        r"Host key verification failed|No .* host key is known",
        "its host key is not known here: connect to it once by `ssh {host}`, and compare the key that it "
        "shows",
    ),
    (
        r"Permission denied|Too many authentication failures|no mutual signature",
        "it accepts none of this user's keys, and passwords are not asked for: run `ssh-copy-id {host}`, or "
        "start ssh-agent and `ssh-add` where the key has a passphrase",
    ),
    (
        r"Could not resolve hostname|Name or service not known|nodename nor servname",
        "no machine of this name is known: check the spelling, or name it in ~/.ssh/config",
    ),
    (r"Connection refused", "it takes no SSH connections: start sshd there, or check the port"),
    (
        r"timed out|No route to host|Network is unreachable|Host is down",
        "nothing answers there: switch it on, and check the network",
    ),
    (r"Can't open user config file", "let CARS_HW_SSH_CONFIG name a file that is there, or unset it"),
    (r"terminal configuration|Bad configuration option|Bad owner or permissions", "mend ssh's configuration"),
    (r"too long for Unix domain socket", "set TMPDIR to a folder of a short name"),
)


def explained(said: bytes | str) -> tuple[str, str]:
    """Return the line of ssh's complaint that tells most, and what helps, which may hold ``{host}``."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for pattern, remedy in _REMEDIES:
        for line in lines:
            if re.search(pattern, line):
                return one_line(line.strip("@ ")), remedy
    return one_line(lines[-1] if lines else "ssh says nothing"), "try `ssh {host} true`"
