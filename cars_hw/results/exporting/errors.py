"""Errors of exporting, beside ``ExportError`` itself."""

from pathlib import Path

from profilers import ExportError


class NotRetrainedError(ExportError):
    """A member that cannot be exported as it is deployed before it is retrained.

    Args:
        run: Folder of the run.
        picks: The members that lack weights.
        has_plan: Whether the run says how to retrain.
        text: Why, in one line.
    """

    def __init__(self, run: Path, picks: tuple[str, ...], *, has_plan: bool, text: str) -> None:
        self.run, self.picks, self.has_plan = run, picks, has_plan
        super().__init__(text)
