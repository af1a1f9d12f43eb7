"""The page without a browser: small, complete without its script, and safe whatever its data say."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw.results.reporting.drawing.elements import figure_text
from cars_hw.results.reporting.drawing.stills import Axis
from cars_hw.results.reporting.model import Page
from cars_hw.results.reporting.page import page_html, script, style
from cars_hw.results.reporting.run_model import FileLink, FrontMember, GraphNode, GraphPart, PickData, Warned
from tests.fakes.pages import page_of_one, page_of_several

_KILO = 1000
_HOSTILE = "</script><script>hacked = 1</script><img src=x onerror='hacked = 1'>\"'\u2028"
#: Where the tones of marks stand for themselves, text of the same tone stands beside them.
_TEXT_COLOURS = ("ink", "muted", "accent", "measured", *(f"series-{i}" for i in range(6)))


class _Parser(HTMLParser):
    """What the markup holds: tags, links, and the text of tables and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.links += [given[name] or "" for name in ("src", "href", "xlink:href", "action") if name in given]
        self.ids += [given["id"] or ""] if "id" in given else []
        assert not any(name.startswith("on") or name == "style" for name in given)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self.tags[-1] if self.tags else "", []).append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    return page_of_one()


@pytest.fixture(scope="module")
def large() -> Page:
    return page_of_one(generations=100, population=64)


def test_a_page_of_100_generations_of_64_and_its_script_are_small(large: Page) -> None:
    assert len(gzip.compress(page_html(large).encode())) <= 250 * _KILO
    assert len(gzip.compress(script().encode())) <= 60 * _KILO
    assert len(large.runs[0].members.architecture) == 6400


def test_without_the_script_tables_hold_the_whole_front_and_pictures_remain(page: Page) -> None:
    found = _Parser(page_html(page))
    run, text = page.runs[0], "\n".join(found.text["td"])
    for member in run.front:
        assert run.members.architecture[member.member] in text
        assert figure_text(member.costs[1]) in text
    fronts, over_generations, accuracy, curves, logo = 2, 2, 1, 1, 1
    assert found.tags.count("svg") == fronts + over_generations + accuracy + curves + logo
    for part in run.graphs[next(pick.number for pick in run.picks if pick.choice == "knee")]:
        assert all(node.label in text for node in part.nodes)


def test_each_run_of_several_has_its_own_tables(page: Page) -> None:
    several = page_of_several()
    text = page_html(several)
    for run in several.runs:
        assert f"The last front of {run.name}" in text
        assert all(run.members.architecture[member.member] in text for member in run.front)
    assert "search.generations" in text
    assert "Differences" not in page_html(page)


def test_warnings_stand_above_the_results_and_name_the_runs_that_have_them() -> None:
    several = page_of_several()
    last = replace(several.runs[-1], warnings=(Warned("limits", "no member keeps the limit"),))
    text = page_html(replace(several, runs=(*several.runs[:-1], last)))
    assert "wide-0, wide-1, wide-2: the device was 12 % slower" in text
    assert text.index("narrow: no member keeps the limit") < text.index('class="tiles"')


def test_what_is_not_there_has_no_section(page: Page) -> None:
    bare = replace(page.runs[0], accuracy=(), retrained=(), files=(), warnings=(), graphs={}, breakdowns={})
    found = _Parser(page_html(replace(page, runs=(bare,))))
    assert not {"accuracy", "retrained", "files", "differences"} & set(found.ids)
    assert {"#accuracy", "#retrained", "#files"}.isdisjoint(found.links)
    assert {"front", "progress", "spent", "configuration"} <= set(found.ids)


def test_names_from_outside_are_text_and_never_markup(page: Page) -> None:
    hostile = _hostile(page)
    text = page_html(hostile)
    found = _Parser(text)
    assert found.tags.count("script") == 2
    assert "img" not in found.tags
    data = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert json.loads(data[1]) == hostile.to_json()


def test_nothing_is_loaded_and_no_script_but_the_pages_own_may_run(page: Page) -> None:
    text = page_html(page)
    found = _Parser(text)
    assert all(link.startswith("#") or link == "export/knee.onnx" for link in found.links)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert f"script-src 'sha256-{digest}';" in found.policy
    assert found.policy.startswith("default-src 'none';")


def test_every_name_of_an_element_is_there_once() -> None:
    ids = _Parser(page_html(page_of_several())).ids
    assert sorted(set(ids)) == sorted(ids)


def test_a_front_of_one_member_after_one_generation_is_a_page(page: Page) -> None:
    run = page.runs[0]
    first = replace(run.generations[0], population=(0,), errors=(0.5,), front=1, infeasible=())
    pooled = replace(
        page.configurations[0].hypervolume,
        generation=(0,),
        runs=(1,),
        mean=(0.5,),
        deviation=(None,),
        least=(0.5,),
        most=(0.5,),
    )
    kind = replace(page.configurations[0], hypervolume=pooled, best_error=pooled, front=((0, 0),))
    one = replace(run, generations=(first,), front=run.front[:1], picks=(), retrained=(), accuracy=())
    text = page_html(replace(page, runs=(one,), configurations=(kind,)))
    assert "The last front of first: 1 member<" in text
    assert not re.search(r'="[^"]*\b(nan|inf)\b', text)


@given(low=st.floats(-1e9, 1e9), width=st.floats(1e-6, 1e9))
def test_an_axis_has_a_few_round_ticks_within_it(low: float, width: float) -> None:
    axis = Axis("", low, low + max(width, abs(low) * 1e-6))
    assert 3 <= len(axis.ticks) <= 8
    assert all(axis.low - width * 1e-6 <= tick <= axis.high + width * 1e-6 for tick in axis.ticks)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_is_told_from_its_ground_by_a_contrast_of_at_least_4_5(theme: int) -> None:
    def colour(name: str) -> str:
        found = re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\)", style())
        assert found is not None, name
        return found[theme + 1]

    for name in _TEXT_COLOURS:
        for ground in ("panel", "raised", "ground"):
            assert _contrast(colour(name), colour(ground)) >= 4.5, (name, ground)
    assert _contrast(colour("warning"), colour("warning-ground")) >= 4.5
    assert _contrast(colour("accent"), colour("accent-ground")) >= 4.5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (9999, "9999"),
        (12345, "12\u202f345"),
        (1234567, "1\u202f234\u202f567"),
        (1234570.0, "1\u202f234\u202f570"),
        (0.082, "0.082"),
        (0.000012, "0.000012"),
        (-3.5, "-3.5"),
    ],
)
def test_numbers_are_written_with_all_their_digits_and_no_exponent(value: float, text: str) -> None:
    assert figure_text(value) == text


def _hostile(page: Page) -> Page:
    """Return the page with every kind of text that comes from outside made hostile."""
    run = page.runs[0]
    part = GraphPart(_HOSTILE, 2, (GraphNode("a", _HOSTILE, (_HOSTILE,)),))
    return replace(
        page,
        title=_HOSTILE,
        made_by=_HOSTILE,
        objectives=(page.objectives[0], *(replace(one, label=_HOSTILE) for one in page.objectives[1:])),
        runs=(
            replace(
                run,
                name=_HOSTILE,
                path=_HOSTILE,
                summary=_HOSTILE,
                warnings=(Warned("table", _HOSTILE),),
                trust=_HOSTILE,
                notes=(_HOSTILE,),
                limit_texts={"latency_ms": _HOSTILE},
                members=replace(run.members, architecture=tuple(_HOSTILE for _ in run.members.architecture)),
                front=tuple(_hostile_member(one) for one in run.front),
                picks=tuple(PickData(_HOSTILE, one.number, _HOSTILE) for one in run.picks),
                graphs={one.number: (part,) for one in run.front},
                no_breakdown={_HOSTILE: _HOSTILE},
                accuracy=tuple(replace(one, text=_HOSTILE) for one in run.accuracy),
                retrained=tuple(
                    replace(one, name=_HOSTILE, judged=_HOSTILE, architecture=_HOSTILE)
                    for one in run.retrained
                ),
                toml=_HOSTILE,
                files=(FileLink(_HOSTILE, "export/x", 1),),
            ),
        ),
    )


def _hostile_member(member: FrontMember) -> FrontMember:
    return replace(member, violations=(_HOSTILE,), picks=(_HOSTILE,), retrained=(_HOSTILE,))


def _contrast(one: str, other: str) -> float:
    """Return the ratio of WCAG 2.2, 1.4.3."""
    low, high = sorted(_luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels: Sequence[float] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
