"""A latency table, a search and its cost on one NVIDIA card, in at most 8 minutes and without any registry.

On a machine with Python 3.12, torch for CUDA, onnxruntime and numpy: ``--wheels FILE`` installs what else is
needed, into the folder of this benchmark, from the archive that ``scripts/gpu_wheels.py`` packs. Images are
generated. Each stage is a process with a time limit (``_gpu_stages.py``): the card; a table of ``darts``
under torch; its validation; rates of steps and evaluations; a search; its export by a process that sees no
card; what a search at the paper's scale would take; a table of many images a call, and its validation. A
stage that fails, or reaches its limit, is recorded, and the others go on. Another call goes on where this one
ended. What was found is stored with its hash in ``benchmarks/results``; ``--quick`` shows that again.

``--dry-run`` shows on a processor that everything runs. Its figures are none of a card: they are not stored.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean, median
from typing import Any

from _gpu_session import NEW_PASSES, Session, Stage
from _rows import Row, finish, option_parser, store, stored, unpack

_ROOT = Path(__file__).parents[1]
_STAGES = Path(__file__).parent / "_gpu_stages.py"
_RESULTS = "gpu"
_PACKAGES = ("cars_hw", "profilers", "latency_tables", "devices")
_MINUTES = 8.0
_DAY_S = 86_400
#: CARS' own count, which takes the evaluation of a generation for that of one member.
_PAPER_DAYS = 0.4
#: Seconds that each stage may take; the sum is no more than ``_MINUTES``.
LIMITS_S = {
    "card": 30,
    "profile": 85,
    "validate": 55,
    "steps": 60,
    "search": 50,
    "export": 35,
    "paper": 55,
    "profile_batched": 65,
    "validate_batched": 45,
}
#: Facts of card and software on which figures depend.
_IDENTITY = ("card", "python", "torch", "cuda", "numpy", "onnxruntime")
_NEEDS = {
    "validate": ("profile",),
    "export": ("search",),
    "validate_batched": ("profile_batched",),
}
#: What follows the names of the stages, and of the rows, of each table.
_TABLES = {"": "", "_batched": ".batched"}


def main() -> None:
    """Run what is missing, and print the rows."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--dry-run", action="store_true", help="on a processor, to see that it runs")
    parser.add_argument(
        "--leave-clocks", action="store_true", help="hold no clock of a card whose settings are not yours"
    )
    parser.add_argument("--wheels", type=Path, metavar="FILE", help="archive of wheels to install first")
    parser.add_argument("--folder", type=Path, help="of everything that is kept")
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="all that this call may take")
    options = parser.parse_args()
    if options.quick:
        finish(list(rows(stored(_RESULTS), source="stored")), options)
    if options.dry_run and options.json is not None:
        sys.exit("a dry run has no figures of a card: leave --json out")
    folder = options.folder or _ROOT / "runs" / ("benchmark_gpu_dry" if options.dry_run else "benchmark_gpu")
    session = Session(60 * options.minutes, environment={"PYTHONPATH": search_path(folder)}, tell=_tell)
    if options.wheels is not None:
        install(options.wheels, folder)
        _tell(f"wheels installed after {session.spent_s:.1f} s")
    raw = measured(session, folder, {"--dry-run": options.dry_run, "--leave-clocks": options.leave_clocks})
    if options.dry_run:
        _tell("dry run: no card was used; these figures are of a processor, and are not stored")
    else:
        store(_RESULTS, raw)
    finish(list(rows(raw, source="fresh")), options)


def search_path(folder: Path) -> str:
    """Return where stages look for modules: here, in what was installed into ``folder``, and as we do."""
    own = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join([str(_ROOT), str(folder / "site"), *own])


def measured(session: Session, folder: Path, flags: Mapping[str, bool]) -> dict[str, Any]:
    """Return what each stage came to, the first of which tells on what.

    Args:
        session: In which they run.
        folder: Of everything that is kept: in a folder of its own what is of one card, software and code.
        flags: Of the stages, and whether they are given.

    Raises:
        SystemExit: There is no card, and no dry run is asked for; or it cannot be told.
    """
    card = session.once(stage_of("card", folder, flags))
    identity = identity_of(card, flags)
    _tell(f"{identity['card'] or 'no card'}, torch {identity['torch']}")
    own = folder_of(folder, identity)
    outcomes = {
        "card": card,
        **session.run([stage_of(name, own, flags) for name in LIMITS_S if name != "card"]),
    }
    return {"identity": identity, "stages": outcomes}


def identity_of(card: Mapping[str, Any], flags: Mapping[str, bool]) -> dict[str, Any]:
    """Return on what figures depend: the card, software, code and flags.

    Args:
        card: What the stage of that name came to.
        flags: As above.

    Raises:
        SystemExit: As above.
    """
    facts = card["result"]
    if not facts:
        remedy = "; --wheels FILE installs what is missing" if "ModuleNotFoundError" in card["reason"] else ""
        sys.exit(f"card: {card['status']}: {card['reason']}{remedy}")
    if not facts["card"] and not flags["--dry-run"]:
        sys.exit(
            f"torch {facts['torch']} finds no CUDA card here; --dry-run shows on a processor that "
            "everything runs"
        )
    return {**{name: facts[name] for name in _IDENTITY}, "source": source_digest(), **flags}


def folder_of(folder: Path, identity: Mapping[str, Any]) -> Path:
    """Return where in ``folder`` lies what is of this card, software and code alone."""
    return folder / hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def stage_of(name: str, folder: Path, flags: Mapping[str, bool]) -> Stage:
    """Return the stage of that name, which keeps its files in ``folder``."""
    given = [flag for flag, is_given in flags.items() if is_given]
    sees_no_card = name == "export" or flags["--dry-run"]
    return Stage(
        name,
        LIMITS_S[name],
        folder,
        [sys.executable, str(_STAGES), name, "--folder", str(folder), *given],
        environment={"CUDA_VISIBLE_DEVICES": ""} if sees_no_card else {},
        needs=_NEEDS.get(name, ()),
    )


def install(archive: Path, folder: Path) -> None:
    """Install the wheels of ``archive`` into ``folder/site``, once.

    Raises:
        SystemExit: The archive cannot be read, or pip refuses it.
    """
    site, stamp = folder / "site", folder / "site.sha256"
    if not archive.is_file():
        sys.exit(f"{archive} is missing; scripts/gpu_wheels.py packs it")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    wheels = folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)  # pip takes no two versions of one package
    with tarfile.open(archive, "r:xz") as packed:
        unpack(packed, wheels)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    command += ["--upgrade", "--target", str(site), *map(str, sorted(wheels.glob("*.whl")))]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"the wheels of {archive} could not be installed: see above")
    stamp.write_text(digest)


def source_digest() -> str:
    """Return the SHA-256 of everything that is measured, and measures."""
    sha = hashlib.sha256()
    paths = [path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py")]
    for path in sorted([*paths, *Path(__file__).parent.glob("_gpu_*.py")]):
        sha.update(f"{path.relative_to(_ROOT)}\0".encode() + path.read_bytes())
    return sha.hexdigest()


def rows(raw: Mapping[str, Any], source: str) -> Iterator[Row]:
    """Yield the figures of ``raw``, as far as its stages came."""
    outcomes = raw["stages"]
    done = sum(one["status"] == "done" for one in outcomes.values())
    yield Row("gpu.stages", done, "stages", f">= {len(LIMITS_S)}", source=source)
    seconds = sum(one["seconds"] for one in outcomes.values())
    yield Row("gpu.minutes", seconds / 60, "min", f"<= {_MINUTES:g}", source=source)
    found = {name: one["result"] for name, one in outcomes.items() if one["result"]}
    for of_stage, of_row in _TABLES.items():
        if f"profile{of_stage}" in found:
            yield from _profile_rows(found[f"profile{of_stage}"], of_row, source)
        if f"validate{of_stage}" in found:
            yield from _validate_rows(found[f"validate{of_stage}"], of_row, source)
    yield from _step_rows(found.get("steps", {}), source)
    if "search" in found:
        rounds = found["search"]["generations"]
        yield Row("gpu.search_s", found["search"]["seconds"], "s", n=len(rounds), source=source)
        yield Row("gpu.front", len(rounds[-1]["front"]), "members", source=source)
    for name, one in found.get("export", {}).items():
        yield Row(
            f"gpu.export_difference.{name}", one["max_difference_to_torch"], n=one["images"], source=source
        )
    for name, one in found.get("paper", {}).items():
        days, by_paper = paper_days(one)
        yield Row(f"gpu.paper_days.{name}", days, "days", source=source)
        yield Row(
            f"gpu.paper_days_by_its_count.{name}",
            by_paper,
            "days",
            peer=_PAPER_DAYS,
            peer_name="published",
            source=source,
        )


def paper_days(one: Mapping[str, Any]) -> tuple[float, float]:
    """Return the days of a search by CARS at its paper's scale, reckoned from a few steps and evaluations.

    Warm-up trains new paths, as the first pass over the timed architectures did. A generation trains its
    members again and again: each as often as there were new passes at their price, since that is how CUDA
    graphs come about, and from then on as in later passes. Members and as many offspring are evaluated in
    each generation, the offspring also with the weights from before.

    Returns:
        With every evaluation; and as the paper counts, with one a generation.
    """
    new_s, later_s = one["step_s"][:NEW_PASSES], median(one["step_s"][NEW_PASSES:])
    generations, population = one["generations"], one["population"]
    times = min(one["steps"] / population, NEW_PASSES)  # that a member is trained in a generation, at most
    generation_s = population * times * fmean(new_s) + (one["steps"] - population * times) * later_s
    training_s = one["warm_up_steps"] * new_s[0] + generations * generation_s
    evaluation_s = median(one["evaluation_s"])
    every = population + generations * 3 * population
    return (
        (training_s + every * evaluation_s) / _DAY_S,
        (training_s + (1 + generations) * evaluation_s) / _DAY_S,
    )


def _profile_rows(found: Mapping[str, Any], which: str, source: str) -> Iterator[Row]:
    entries = found["entries"].values()
    yield Row(f"gpu.profile_s{which}", found["seconds"], "s", n=len(entries), source=source)
    yield Row(f"gpu.profile_failures{which}", len(found.get("failures", ())), "entries", source=source)
    bound = [entry["launch_bound"] for entry in entries if "launch_bound" in entry]
    if bound:
        share = 100 * sum(bound) / len(bound)
        yield Row(f"gpu.launch_bound{which}", share, "%", n=len(bound), source=source)


def _validate_rows(found: Mapping[str, Any], which: str, source: str) -> Iterator[Row]:
    error, floor = found["prediction_error"], found["floor"]
    n = error["n"]
    yield Row(
        f"gpu.rmspe{which}",
        error["rmspe_percent"],
        "%",
        floor=floor["rmspe_percent"],
        peer=error["constant_rmspe_percent"],
        peer_name="constant predictor",
        n=n,
        source=source,
    )
    yield Row(f"gpu.within_10{which}", error["within_10_percent"], "%", n=n, source=source)
    yield Row(f"gpu.kendall_tau{which}", error["kendall_tau"], floor=floor["kendall_tau"], n=n, source=source)


def _step_rows(found: Mapping[str, Any], source: str) -> Iterator[Row]:
    for name, one in found.items():
        steps_s = one["step_s"][NEW_PASSES:]
        yield Row(f"gpu.steps_per_s.{name}", 1 / median(steps_s), "1/s", n=len(steps_s), source=source)
        images = [one["fitness_images"] / seconds for seconds in one["evaluation_s"]]
        yield Row(f"gpu.evaluated_images_per_s.{name}", median(images), "1/s", n=len(images), source=source)


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
