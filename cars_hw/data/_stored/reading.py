"""Images of any size in files: looked at, and decoded by a rule into the cache."""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import __version__ as pillow_version
from pydantic import Field

from cars_hw.data._check import Check, Finding
from cars_hw.data._image_set import DataSet, ImageSet, Labels, Progressed
from cars_hw.data._resize import Channels, ResizeRule, seen
from cars_hw.data._stored import cache
from cars_hw.data._stored.decoding import Decoded, Load, Unreadable, decode, each
from cars_hw.errors import DataError
from devices.foundation import Settings

logger = logging.getLogger(__name__)

#: Of another version, or of another of Pillow, an entry of the cache is decoded anew.
_VERSION = f"1 {pillow_version}"
#: Decoding more images than these takes long enough to be told of.
_MANY = 5000
#: Images between two tellings of progress.
_TOLD_EVERY = 64


class StoredSettings(Settings):
    """Settings of data sets of files in which images have any size.

    Attributes:
        channels: 3: colours, and grey images as such; 1: all become grey.
        flips: Whether a mirrored image keeps its label: false for digits or letters.
        skip_unreadable: Whether images that do not decode are left out; else they are named, and that is all.
        max_cache_bytes: What decoded images may take on the disk, those of other data sets among them; those
            that were not used for longest make room.
    """

    channels: Channels = 3
    flips: bool = True
    skip_unreadable: bool = False
    max_cache_bytes: int = Field(default=20_000_000_000, ge=1_000_000)


@dataclass(frozen=True)
class Part:
    """Labelled images that are decoded together.

    Attributes:
        labels: (n,), indices into the class names.
        class_names: All classes of the data set.
        source: Where the images are from, for a model card.
    """

    labels: Labels
    class_names: tuple[str, ...]
    source: str


class Contents(ABC):
    """The files of a ``Part``, in its order."""

    @abstractmethod
    def loads(self) -> Iterator[Load]:
        """Yield what returns the content of each file."""

    @abstractmethod
    def name(self, number: int) -> str:
        """Return what a message calls the file, fit to be printed."""

    @abstractmethod
    def identity(self) -> Iterator[bytes]:
        """Yield what tells all contents from any others."""


class StoredDataSet(DataSet):
    """Images of any size in files; a subclass says which parts there are."""

    has_any_size = True

    def read(self) -> ImageSet:
        return self.read_by(None)

    def read_test(self) -> ImageSet | None:
        return self.read_test_by(None)

    @abstractmethod
    def read_by(self, rule: ResizeRule | None) -> ImageSet: ...

    @abstractmethod
    def read_test_by(self, rule: ResizeRule | None) -> ImageSet | None: ...

    def check(
        self, rule: ResizeRule | None = None, progressed: Progressed = lambda _done, _of: None
    ) -> Check:
        return self.looked_at(Look(rule, progressed=progressed))

    def survey(self) -> Check:
        return self.looked_at(Look(whole=False))

    @abstractmethod
    def looked_at(self, look: "Look") -> Check:
        """Return what ``look`` finds in all parts.

        Raises:
            DataError: Nothing can be said of the images one by one.
        """


def read_part(
    owner: DataSet, settings: StoredSettings, rule: ResizeRule | None, part: Part, contents: Contents
) -> ImageSet:
    """Return the images of ``part``, decoded by ``rule`` once for this and later processes.

    Args:
        owner: The data set.
        settings: Its own.
        rule: What each image goes through; ``None`` where all have the size of the first.
        part: The images.
        contents: Their files.

    Raises:
        DataError: An image cannot be used, there is no room for all, or the cache cannot be written to.
    """
    exact = rule is None
    rule = rule or _own_size(owner, contents)
    shape = (settings.channels, rule.height, rule.width)
    facts = (_VERSION, rule.values(), settings.channels, settings.skip_unreadable, exact, len(part.labels))
    key = _digest(repr(facts), contents)
    entry = cache.Entry(owner.name, key, len(part.labels), shape, settings.max_cache_bytes)
    with cache.found_or_alone(entry) as found:
        kept = found
        if kept is None:
            if len(part.labels) > _MANY:
                logger.warning("decoding %d images of %s, once", len(part.labels), owner.name)
            work = partial(decode, rule=rule, channels=settings.channels, is_exact=exact)
            results = each(contents.loads(), work)
            kept = cache.fill(entry, _usable(owner, results, contents, skips=settings.skip_unreadable))
    left_out = len(part.labels) - len(kept.kept)
    source = f"{part.source}; {left_out} unreadable images left out" if left_out else part.source
    return ImageSet(
        owner.name,
        kept.images,
        part.labels[kept.kept],
        settings.flips,
        source,
        class_names=part.class_names,
        resized_by=rule,
        sums=kept.sums,
    )


@dataclass(frozen=True)
class Look:
    """How images are looked at, without keeping any.

    Attributes:
        rule: What they are to go through, if that is known.
        whole: Whether all of each is decoded, or its header alone read.
        progressed: Told now and then how many of how many are done.
    """

    rule: ResizeRule | None = None
    whole: bool = True
    progressed: Progressed = lambda _done, _of: None

    def at(self, owner: DataSet, channels: int, parts: Mapping[str, tuple[Part, Contents]]) -> Check:
        """Return how many images ``parts`` have, of which size, and which cannot be used."""
        counts: dict[str, dict[str, int]] = {}
        sizes: Counter[tuple[int, int]] = Counter()
        kinds: Counter[str] = Counter()
        problems: list[Finding] = []
        total, done = sum(len(part.labels) for part, _ in parts.values()), 0
        for role, (part, contents) in parts.items():
            usable = np.zeros(len(part.class_names), np.int64)
            for i, one in enumerate(each(contents.loads(), partial(seen, whole=self.whole))):
                reason = self._reason(one)
                if reason:
                    problems.append(Finding(contents.name(i), reason))
                if not isinstance(one, Unreadable):
                    usable[part.labels[i]] += 1
                    sizes[one[:2]] += 1
                    kinds[one[2]] += 1
                done += 1
                if done % _TOLD_EVERY == 0 or done == total:
                    self.progressed(done, total)
            counts[role] = dict(zip(part.class_names, usable.tolist(), strict=True))
        return Check(owner.name, channels, counts, dict(sizes), dict(kinds), problems=tuple(problems))

    def _reason(self, one: tuple[int, int, str] | Unreadable) -> str:
        """Return why an image cannot be used; empty where it can."""
        if isinstance(one, Unreadable):
            return one.reason
        return self.rule.refusal(*one[:2]) if self.rule else ""


def first_of(problems: tuple[Finding, ...]) -> str:
    """Return the first of ``problems``, and how many there are beside it."""
    more = f"; so are {len(problems) - 1} more: data.check lists all" if len(problems) > 1 else ""
    return f"{problems[0]}{more}"


def _usable(
    owner: DataSet, results: Iterator[Decoded | Unreadable], contents: Contents, *, skips: bool
) -> Iterator[tuple[int, Decoded]]:
    """Yield the images that decode, numbered; in the end, name one that does not.

    Raises:
        DataError: There is one, and it is not to be skipped; or there is no other.
    """
    problems: list[Finding] = []
    n = 0
    for i, one in enumerate(results):
        if isinstance(one, Unreadable):
            problems.append(Finding(contents.name(i), one.reason))
        elif not problems or skips:
            n += 1
            yield i, one
    if problems and not (skips and n):
        raise DataError(f"{owner.name} holds an image that cannot be used: {first_of(tuple(problems))}")


def _own_size(owner: DataSet, contents: Contents) -> ResizeRule:
    """Return the rule that changes no image of the size of the first one.

    Raises:
        DataError: That one is larger than any rule makes them.
    """
    for one in each(contents.loads(), partial(seen, whole=False)):
        if isinstance(one, Unreadable):
            continue
        return ResizeRule.checked(
            f"the first image of {owner.name}", {"mode": "pad", "height": one[0], "width": one[1]}
        )
    raise DataError(f"{owner.name} holds no image that can be read")


def _digest(facts: str, contents: Contents) -> str:
    sha = hashlib.sha256(facts.encode())
    for piece in contents.identity():
        sha.update(piece)
    return sha.hexdigest()[:40]
