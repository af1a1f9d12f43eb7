"""The text that ``benchmark_model`` prints: the classic tool's, old and new, and the CompiledModel one's."""

import re

from profilers.errors import GarbledOutputError
from profilers.runtimes._benchmark_model.timings import Timings
from profilers.runtimes._coverage import Coverage

#: Digits are bounded: what a device prints is not trusted.
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?(?:e[+-]?[0-9]{1,2})?"

_SAMPLES = re.compile(r"(?:INFO: )?count=(?P<count>[0-9]{1,9})(?P<rest>(?: .*)?)")
_PAIR = re.compile(rf"(?<!\S)(?P<name>first|curr|min|max|avg|std|p5|median|p95)=(?P<value>{_NUMBER})")
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: (?P<init>{_NUMBER}), First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): (?P<mean>{_NUMBER})$"
    rf"|Average inference timings in us: Warmup: {_NUMBER}, Init: (?P<old_init>{_NUMBER}), "
    rf"(?:no stats|Inference): (?P<old_mean>{_NUMBER})$"
)

#: A value of the CompiledModel tool has two decimals of a millisecond.
_COMPILED = re.compile(
    rf"(?P<name>Model initialization|Inference \((?:avg|min|max)\)): +(?P<ms>{_NUMBER}) ms"
    r"(?: \((?P<count>[0-9]{1,9}) runs\))?$"
)
_COMPILED_STEP_S = 1e-5

#: Coarser values than a hundredth are no measurements of small operations.
_COARSEST = 0.01

_APPLIED = re.compile(
    r"Explicitly applied (?P<name>\S{1,32}) delegate, and the model graph will be "
    r"(?P<extent>completely|partially) executed by the delegate(?: w/ (?P<n>[0-9]{1,6}) delegate kernels)?"
)
_NOT_APPLIED = re.compile(r"Though \S{1,32} delegate is explicitly applied, the model graph will not be")


def text_timings(text: str) -> Timings:
    """Read the timings of the measured runs.

    Raises:
        GarbledOutputError: There are none, they are incomplete, or too coarse for their size.
    """
    lines = [line.strip() for line in text.splitlines()]
    return _classic(lines) or _compiled(lines) or _none()


def text_coverage(text: str) -> Coverage | None:
    """Read what the classic tool reports of the delegate asked for; ``None`` if it reports nothing."""
    applied = _APPLIED.search(text)
    if applied is None:
        return Coverage((), 0, None) if _NOT_APPLIED.search(text) else None
    is_complete = applied["extent"] == "completely"
    return Coverage((applied["name"],), int(applied["n"] or 1), 0 if is_complete else None)


def _classic(lines: list[str]) -> Timings | None:
    """Read the second of two lines of samples (the first is the warm-up) and the summary below it."""
    samples = [found for line in lines if (found := _SAMPLES.fullmatch(line))]
    summaries = [found for line in lines if (found := _SUMMARY.search(line))]
    if not samples and not summaries:
        return None
    if len(samples) != 2 or len(summaries) != 1:
        raise GarbledOutputError(
            f"benchmark_model printed {len(samples)} lines of samples and {len(summaries)} summaries, "
            "not 2 and 1; run it again"
        )
    us = {pair["name"]: float(pair["value"]) for pair in _PAIR.finditer(samples[1]["rest"])}
    if "curr" in us and "avg" not in us:  # one sample, or all of them the same
        us |= dict.fromkeys(("min", "max", "avg"), us["curr"])
    if not us.keys() >= {"min", "max", "avg"}:
        raise GarbledOutputError(f"benchmark_model's line of samples lacks its numbers: {samples[1][0]:.80}")
    summary = summaries[0]
    mean_us, init_us = summary["mean"] or summary["old_mean"], summary["init"] or summary["old_init"]
    timings = Timings(
        n=int(samples[1]["count"]),
        mean_s=us["avg"] / 1e6,
        min_s=us["min"] / 1e6,
        max_s=us["max"] / 1e6,
        init_s=float(init_us) / 1e6,
        **{f"{name}_s": us[name] / 1e6 for name in ("p5", "median", "p95") if name in us},
    )
    if abs(float(mean_us) / 1e6 - timings.mean_s) > 1e-6 + 1e-3 * timings.mean_s:
        raise GarbledOutputError(f"benchmark_model's summary gives {mean_us} us for {timings}; run it again")
    return timings


def _compiled(lines: list[str]) -> Timings | None:
    matches = [match for line in lines if (match := _COMPILED.search(line))]
    if not matches:
        return None
    found = {match["name"]: match for match in matches}
    if len(found) != len(matches):
        raise GarbledOutputError("benchmark_model printed the results of several runs; run it again")
    s = {name: float(match["ms"]) / 1e3 for name, match in found.items()}
    count = found["Inference (avg)"]["count"] if "Inference (avg)" in found else None
    if count is None or not s.keys() >= {"Model initialization", "Inference (min)", "Inference (max)"}:
        raise GarbledOutputError(f"benchmark_model's results stop after {', '.join(found)}; run it again")
    mean_s = s["Inference (avg)"]
    if mean_s * _COARSEST < _COMPILED_STEP_S:
        raise GarbledOutputError(
            f"benchmark_model prints {mean_s * 1e3:.2f} ms, too coarse for an operation this small; "
            "get a build that has --result_file_path"
        )
    return Timings(
        n=int(count),
        mean_s=mean_s,
        min_s=s["Inference (min)"],
        max_s=s["Inference (max)"],
        init_s=s["Model initialization"],
    )


def _none() -> Timings:
    raise GarbledOutputError("benchmark_model printed no timings; run it again")
