"""Hardware that is not this processor: whether what is measured there is what was asked for.

Each part stands alone, and its raw results are stored: ``--part NAME`` runs one of them anew, ``--quick``
judges what the last runs stored. ``webgpu`` needs onnxruntime-ep-webgpu and SwiftShader, which plays a card:
it is never timed. ``ssh`` needs openssh-server.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import _ssh
import _webgpu
from _rows import Row, finish, option_parser, store, stored

_RESULTS = "remote"

#: A part: what it measures, and what its raw results claim.
_Part = tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any], str], Sequence[Row]]]

PARTS: dict[str, _Part] = {
    "webgpu": (_webgpu.measured, _webgpu.rows),
    "ssh": (_ssh.measured, _ssh.rows),
}


def main(options: argparse.Namespace) -> None:
    """Run the parts, or judge what was stored of them."""
    fresh: Sequence[str] = []
    if not options.quick:
        fresh = [options.part] if options.part else list(PARTS)
    raw = {} if list(fresh) == list(PARTS) else dict(stored(_RESULTS))
    for name in fresh:
        measured, _ = PARTS[name]
        raw[name] = measured()
    if fresh:
        store(_RESULTS, raw)
    found: list[Row] = []
    for name, one in raw.items():
        _, rows = PARTS[name]
        found += rows(one, "fresh" if name in fresh else "stored")
    finish(found, options)


if __name__ == "__main__":
    parser = option_parser(__doc__ or "")
    parser.add_argument(
        "--part", choices=PARTS, help="run this one alone, beside what is stored of the others"
    )
    main(parser.parse_args())
