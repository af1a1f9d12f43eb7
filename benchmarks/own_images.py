"""From a folder of messy images to a retrained, exported, measured file: the commands of docs/own-images.md.

The page's commands are run as they stand, one after the other, in a folder that holds nothing but the images
(``_messy.py`` says which, and why they are enlarged ones), with the settings that the page changes in the one
configuration. Each is timed. Then the file is held against torch, and against the script beside it, on the
raw files of images that neither training nor search saw. An image of which half is missing lies in the folder
at first: the first command has to name it.

What is done is kept, and is not done again; a command that was interrupted is repeated, and goes on. With
``--short``, few images and steps show that all of it runs, and nothing is stored. With ``--quick``, what the
last full run left is judged again. A command that fails ends this one, with status 1; status 4: the machine
was too busy to measure.
"""

import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

from _agreement import agreement
from _messy import ROOT, write_damaged, write_messy
from _page import Command, commands, edited, settings
from _rows import Row, finish, option_parser, store, stored

_RESULTS = "own_images"
_CORES, _MINUTES = 2, 15
_TOO_BUSY = "too busy"
_TOO_NOISY = 4
#: Of what verbs tell, what no row needs: names of this machine, and the size of each image.
_NOT_KEPT = ("conditions", "sizes")
#: Half of an interval of 95 %, in standard errors.
_NORMAL = 1.96


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
        name: Of the folder.
        classes: Of CIFAR-10.
        training: Images of each to train and search on.
        testing: Images of each that are kept for the end.
        changes: Values of the configuration by dotted keys, over those of the page.
        measuring: Options of the verbs that measure.
    """

    name: str
    classes: Sequence[str]
    training: int
    testing: int
    changes: Mapping[str, object]
    measuring: Sequence[str] = ()


_FULL = Scale("full", ("airplane", "automobile", "bird", "cat", "deer"), 800, 200, {})
_SHORT = Scale(
    "short",
    ("bird", "cat", "deer"),
    40,
    18,
    {
        "data.fitness_images": 30,
        "training.batch_size": 16,
        "search.warm_up_epochs": 0.5,
        "search.epochs_per_generation": 0.5,
        "search.generations": 1,
        "strategy.population_size": 4,
        "retraining.epochs": 2,
        "retraining.batch_size": 32,
    },
    ("--precision=0.2", "--spread-s=1"),
)


def main() -> None:
    """Do what is not done, and print the rows."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--short", action="store_true", help="few images and steps, to see that it runs")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "own_images", help="of everything")
    options = parser.parse_args()
    if options.quick:
        finish(rows(stored(_RESULTS), "stored"), options)
    found = whole(_SHORT if options.short else _FULL, options.folder.resolve())
    if not options.short:
        store(_RESULTS, found)
    finish(rows(found, "fresh"), options)


def whole(scale: Scale, folder: Path) -> dict[str, Any]:
    """Return what each step came to; do those that are not done.

    Raises:
        SystemExit: One failed, or the folder holds another beginning.
    """
    place = folder / scale.name
    place.mkdir(parents=True, exist_ok=True)
    steps = Steps(place, scale)
    asked = {"scale": asdict(scale), "commands": [shlex.join(one.words) for one in commands()]}
    asked["settings"] = settings()
    begun = place / "asked.json"
    if begun.exists() and json.loads(begun.read_text()) != json.loads(json.dumps(asked)):
        sys.exit(f"{place} holds the beginning of another one; delete it")
    begun.write_text(json.dumps(asked))
    photos = place / "photos"
    wanted = {"train": scale.training, "test": scale.testing}
    found = {"images": steps.done("images", lambda: asdict(write_messy(photos, scale.classes, wanted)))}
    for command in commands():
        if command.name == "data check":
            found["refused"] = steps.done("refused", partial(steps.refused, command, photos))
        found[command.name] = steps.done(command.name, partial(steps.run, command))
    found["agreement"] = steps.done("agreement", partial(agreement, place))
    return {"asked": asked, "steps": found}


class Steps:
    """Does steps in a folder, and keeps what each came to.

    Args:
        place: The folder, which commands are run in.
        scale: How much is done.
    """

    def __init__(self, place: Path, scale: Scale) -> None:
        self._place, self._scale = place, scale
        self._kept = place / "steps"
        self._kept.mkdir(exist_ok=True)

    def done(self, name: str, do: Callable[[], Any]) -> dict[str, Any]:
        """Return times and result of a step, from its file where it was done before."""
        path, begun = self._kept / f"{name}.json", self._kept / f"{name}.begun"
        if path.exists():
            kept: dict[str, Any] = json.loads(path.read_text())
            return kept
        attempts = 1 + (len(begun.read_text()) if begun.exists() else 0)
        begun.write_text("." * attempts)
        print(f"{name} ...", flush=True)
        start_s, start_cpu_s = time.perf_counter(), _cpu_s()
        result = do()
        found = {
            "wall_s": time.perf_counter() - start_s,
            "cpu_s": _cpu_s() - start_cpu_s,
            "attempts": attempts,
            "result": result,
        }
        print(f"{name}: {found['wall_s']:.1f} s, {found['cpu_s']:.1f} s of a core", flush=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
        return found

    def refused(self, command: Command, photos: Path) -> list[str]:
        """Put a damaged image into the folder, see that the command names it, and take it away."""
        damaged = write_damaged(photos, self._scale.classes[0])
        told = json.loads(self._run([*command.words, "--json"], status=1))
        names = [problem["name"] for problem in told["problems"]]
        if names != [str(damaged.relative_to(photos))]:
            sys.exit(f"{shlex.join(command.words)} names {names}, and not {damaged}")
        damaged.unlink()
        return names

    def run(self, command: Command) -> Any:
        """Run a command of the page; return what it tells."""
        words = list(command.words)
        if words[0] == "python":
            return self._run([*words[:2], *self._files(words[2:])]).splitlines()
        if command.name in ("profile", "table validate"):
            words += self._scale.measuring
        if command.name == "search" and (self._place / "runs").exists():
            words.append("--resume")
        if command.name == "init":
            self._run([*words, "--force"])
            return self._changed(self._place / words[2])
        told = json.loads(self._run([*words, "--json"]))
        return {key: value for key, value in told.items() if key not in _NOT_KEPT}

    def _run(self, words: Sequence[str], *, status: int = 0) -> str:
        """Run a command; return what it prints.

        Raises:
            SystemExit: It ends with another status.
        """
        start = ["-m", "cars_hw"] if words[0] == "cars-hw" else []
        here = {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(self._place / "cache")}
        done = subprocess.run(
            [sys.executable, *start, *words[1:]],
            cwd=self._place,
            env={**os.environ, **here},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != status:
            print(done.stderr[-2000:], file=sys.stderr)
            print(f"{shlex.join(words[:12])} ended with {done.returncode}", file=sys.stderr)
            sys.exit(_TOO_NOISY if _TOO_BUSY in done.stderr else 1)
        return done.stdout

    def _files(self, patterns: Sequence[str]) -> list[str]:
        """Return the files that a shell makes of patterns."""
        return sorted(name for pattern in patterns for name in glob(pattern, root_dir=self._place))

    def _changed(self, config: Path) -> dict[str, object]:
        """Change the settings of a configuration as the page says; return them by dotted keys."""
        changes = {**settings(), **self._scale.changes}
        config.write_text(edited(config.read_text(), changes))
        return changes


def rows(found: Mapping[str, Any], source: str) -> list[Row]:
    """Return the claims, of what each step came to."""
    steps = found["steps"]
    return [replace(row, source=source) for row in (*_times(steps), *_results(steps))]


def _times(steps: Mapping[str, Any]) -> list[Row]:
    """Return how long everything takes, and each step."""
    waited, used = (sum(step[key] for step in steps.values()) / 60 for key in ("wall_s", "cpu_s"))
    whole = Row(
        "own_images.minutes",
        waited,
        "min",
        f"<= {_MINUTES}",
        peer=used / _CORES,
        peer_name="of two cores that were used",
        n=len(steps),
    )
    each = [
        Row(
            f"own_images.seconds.{name.replace(' ', '_')}",
            step["wall_s"],
            "s",
            peer=step["cpu_s"],
            peer_name="seconds of a core",
            n=step["attempts"],
        )
        for name, step in steps.items()
    ]
    return [whole, *each]


def _results(steps: Mapping[str, Any]) -> list[Row]:
    """Return what comes out."""
    told = {name: step["result"] for name, step in steps.items()}
    written, checked, same = sum(told["images"]["images"].values()), told["data check"], told["agreement"]
    [retrained] = told["retrain"].values()
    if not retrained["images"]["are_unseen"]:
        sys.exit("the images that judge were seen")
    n, error, bench = same["images"], 100 * retrained["error"], told["bench"]
    half = _NORMAL * (error * (100 - error) / n) ** 0.5
    classes = len(retrained["classes"])
    [shared] = [
        one["error"] for one in told["search"]["front"] if one["architecture"] == retrained["architecture"]
    ]
    predicted = bench["predicted_ms"]
    return [
        Row("own_images.lost", written - checked["images"] + len(checked["problems"]), "", "<= 0", n=written),
        Row(
            "own_images.retrained_error",
            error,
            "%",
            spread=(error - half, error + half),
            floor=100 * (1 - 1 / classes),
            peer=100 * shared,
            peer_name="on shared weights, as searched",
            n=n,
        ),
        *_agreements(same),
        Row(
            "own_images.measured_ms",
            bench["measured_ms"],
            "ms",
            spread=tuple(bench["measured_interval_ms"]),
            peer=predicted,
            peer_name="predicted",
        ),
    ]


def _agreements(same: Mapping[str, Any]) -> Iterator[Row]:
    """Yield how many images each file, and the script beside it, classify as torch does."""
    n = same["images"]
    for kind in ("onnx", "tflite"):
        file, example = (100 * same[kind][f"{who}_same"] / n for who in ("file", "example"))
        yield Row(f"own_images.file_agrees.{kind}", file, "%", ">= 100", n=n)
        yield Row(f"own_images.example_agrees.{kind}", example, "%", ">= 100", n=n)
        off = n * abs(same[kind]["example_error"] - same[kind]["card_error"])
        yield Row(f"own_images.example_off_card.{kind}", round(off), "images", "<= 0", n=n)


def _cpu_s() -> float:
    """Return the seconds of a core that this process and those it waited for have taken."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
