"""The page in a browser, as wide as a phone, a laptop and a large screen: it tells what it was given."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from cars_hw.results.reporting.drawing.elements import figure_text
from cars_hw.results.reporting.model import Page
from cars_hw.results.reporting.page import page_html
from cars_hw.results.reporting.run_model import FrontMember, Warned
from scripts.browser import Browser, Tab
from tests.fakes.environments import demand
from tests.fakes.pages import page_of_one, page_of_several

_WIDTHS = (390, 1280, 3840)
_AXE = Path(__file__).parents[4] / "node_modules" / "axe-core" / "axe.min.js"

#: Where the points of a chart lie in the window, those alone that no other is near.
_POINTS = """
(() => {{
  const host = document.querySelector('[data-chart="{chart}"]');
  host.scrollIntoView({{block: "center"}});
  const box = host.getBoundingClientRect();
  const far = (one, other) => one === other || Math.hypot(one.x - other.x, one.y - other.y) > 7;
  return host.points.filter(one => host.points.every(other => far(one, other)))
    .map(one => [box.left + one.x, box.top + one.y, one.member ?? -1]);
}})()
"""
_TOLD = """
(() => {
  const values = [...document.querySelectorAll("#tip dd")].map(each => ({...each.dataset}));
  const tip = document.getElementById("tip");
  const architecture = tip.querySelector(".mono")?.textContent;
  return {values, architecture, text: tip.textContent, hidden: tip.hidden};
})()
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    demand("chromium", is_there=shutil.which("chromium") is not None, remedy="Debian package chromium")
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def page() -> Page:
    return page_of_one()


@pytest.fixture(scope="module")
def written(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page_html(page), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "report.html"
    path.write_text(page_html(page_of_several()), encoding="utf-8")
    return path


@contextmanager
def _opened(browser: Browser, path: Path, width: int = 1280, scheme: str = "light") -> Iterator[Tab]:
    """Open a page; in the end it must have asked for nothing, and complained of nothing."""
    with browser.tab(width, 1000, scheme=scheme) as tab:
        tab.open(path)
        yield tab
        for method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            assert not tab.told(method)
        requests = [_of(event["params"], "request", "url") for event in tab.told("Network.requestWillBeSent")]
        assert requests == [path.as_uri()]


@pytest.mark.parametrize("width", _WIDTHS)
def test_what_a_point_tells_is_what_the_data_say(
    browser: Browser, written: Path, page: Page, width: int
) -> None:
    run, told = page.runs[0], 0
    front = {member.member: member for member in run.front}
    with _opened(browser, written, width) as tab:
        apart = [point for point in _points(tab, "front") if point[2] in front]
        for x, y, member in apart[:: max(1, len(apart) // 6)]:
            tab.point_at(x, y)
            tip = tab.evaluate(_TOLD)
            assert _of(tip, "architecture") == run.members.architecture[int(member)]
            assert _of(tip, "values") == _expected(page, front[int(member)])
            told += 1
    assert told >= 5


@pytest.mark.parametrize(("width", "scheme"), [*((width, "light") for width in _WIDTHS), (390, "dark")])
def test_nothing_is_wider_than_the_window(browser: Browser, several: Path, width: int, scheme: str) -> None:
    with _opened(browser, several, width, scheme) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert tab.evaluate(_OVERFLOWING) == []


#: Elements that reach beyond the window, but for what scrolls by itself.
_OVERFLOWING = """
[...document.querySelectorAll("body *:not(.unseen):not(.skip)")].filter(each =>
  !each.closest(".scroll, pre, nav, svg, [hidden]") && each.getBoundingClientRect().right > innerWidth + 1
).map(each => each.outerHTML.slice(0, 120))
"""


def test_a_point_that_is_clicked_chooses_its_member_everywhere(
    browser: Browser, written: Path, page: Page
) -> None:
    run = page.runs[0]
    with _opened(browser, written) as tab:
        members = {one.member: one for one in run.front}
        x, y, chosen = next(point for point in _points(tab, "front") if point[2] in members)
        member = members[int(chosen)]
        tab.click(x, y)
        assert tab.evaluate("document.querySelector('tr.chosen').dataset.member") == str(member.member)
        detail = tab.evaluate("document.getElementById('detail').textContent")
        assert f"Member {member.number} of the front" in str(detail)
        assert run.members.architecture[member.member] in str(detail)
        parts = str(tab.evaluate("document.getElementById('breakdown-chart').textContent"))
        assert (
            f"{figure_text(run.breakdowns[member.number]['latency_ms'].total_ms)}\u00a0ms predicted" in parts
        )
        assert str(tab.evaluate("document.getElementById('graph-of').textContent")).startswith(
            f"Member {member.number}"
        )


def test_a_row_that_is_pressed_chooses_its_member_in_the_chart(
    browser: Browser, written: Path, page: Page
) -> None:
    member = page.runs[0].front[-1]
    button = f"document.querySelector('tr[data-member=\"{member.member}\"] button')"
    with _opened(browser, written) as tab:
        tab.evaluate(f"{button}.focus()")
        tab.press("Enter")
        assert tab.evaluate(f"{button}.getAttribute('aria-pressed')") == "true"
        assert tab.evaluate("document.querySelectorAll('[aria-pressed=true].row-button').length") == 1
        halo = tab.evaluate("document.querySelectorAll('[data-chart=front] .halo').length")
        assert halo == 1
        assert "fastest" in str(tab.evaluate("document.getElementById('detail').textContent"))


def test_keys_alone_reach_choose_and_speak_every_member(browser: Browser, written: Path, page: Page) -> None:
    with _opened(browser, written) as tab:
        tab.evaluate("document.querySelector('[data-chart=front]').focus()")
        heard = set()
        for _ in range(int(str(tab.evaluate("document.querySelector('[data-chart=front]').points.length")))):
            tab.press("ArrowRight")
            heard.add(str(tab.evaluate("document.querySelector('[role=status]').textContent")))
        for member in page.runs[0].front:
            text = page.runs[0].members.architecture[member.member]
            assert any(line.startswith(f"#{member.number} ") and text in line for line in heard)
        tab.press("Home")
        tab.press("Enter")
        first = tab.evaluate("document.querySelector('[data-chart=front]').points[0].member")
        assert tab.evaluate("state.member") == first
        tab.press("Escape")
        assert _of(tab.evaluate(_TOLD), "hidden") is True


def test_any_two_objectives_and_any_generation_can_be_shown(
    browser: Browser, written: Path, page: Page
) -> None:
    generation = page.runs[0].generations[3]
    with _opened(browser, written) as tab:
        tab.evaluate("update({x: 1, y: 2, generation: 3})")
        titles = tab.evaluate(
            "[...document.querySelectorAll('[data-chart=front] .title')].map(t => t.textContent)"
        )
        assert titles == ["latency, ms", "parameters"]
        members = tab.evaluate("document.querySelector('[data-chart=front]').points.map(p => p.member)")
        assert isinstance(members, list)
        assert set(members) <= set(generation.population)
        assert {*generation.population[: generation.front]} & set(members)
        assert tab.evaluate("document.querySelector('output').textContent") == "generation 3 of 11"
        up = "document.querySelectorAll('select')[0]"  # is given what is across: both change places
        tab.evaluate(f"{up}.value = '1'; {up}.dispatchEvent(new Event('change'))")
        assert tab.evaluate("[state.x, state.y]") == [2, 1]


def test_figures_over_generations_and_epochs_and_latencies_are_those_of_the_data(
    browser: Browser, written: Path, page: Page
) -> None:
    run = page.runs[0]
    told = {name: list[JsonValue]() for name in ("hypervolume", "error", "accuracy", "curves")}
    with _opened(browser, written) as tab:
        for name, values in told.items():
            for x, y, _ in _points(tab, name)[:: 1 if name == "hypervolume" else 4]:
                tab.point_at(x, y)
                first = _of(tab.evaluate(_TOLD), "values")
                assert isinstance(first, list)
                values.append(_of(first[0], "value"))
    assert told["hypervolume"] == [_text(one.hypervolume) for one in run.generations]
    assert told["error"] == [_text(one.best_error) for one in run.generations][::4]
    assert len(told["accuracy"]) >= 3
    assert {*map(str, told["accuracy"])} <= {_text(one.measured) for one in run.accuracy[0].networks}
    errors = {_text(value) for one in run.retrained for value in one.curve.error if value is not None}
    assert {*map(str, told["curves"])} <= errors


def test_one_of_several_runs_is_shown_with_what_is_its_own(browser: Browser, several: Path) -> None:
    with _opened(browser, several) as tab:
        tab.evaluate("update({run: 3, member: null})")
        shown = (
            "[...document.querySelectorAll('[data-of-run]')].filter(e => !e.hidden).map(e => e.dataset.ofRun)"
        )
        assert set(_strings(tab.evaluate(shown))) == {"3"}
        assert tab.evaluate("document.querySelector('tr.chosen').dataset.run") == "3"
        tab.evaluate("document.querySelector('[data-chart=hypervolume]').focus()")
        tab.press("Home")
        spread = str(_of(tab.evaluate(_TOLD), "text"))
        assert "mean of 3 seeds" in spread or "narrow" in spread


def test_without_scripts_the_page_is_whole_and_nothing_overflows(browser: Browser, several: Path) -> None:
    with browser.tab(390, 1000) as tab:
        tab.open(several, runs_scripts=False)
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        assert tab.evaluate("document.querySelectorAll('main svg').length") == 2 + 2 + 4 + 4
        assert tab.evaluate("document.querySelectorAll('[data-of-run][hidden]').length") == 0
        assert tab.evaluate("document.querySelector('#theme').children.length") == 0


def test_markup_in_data_stays_text_when_the_script_shows_it(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    hostile = "</script><img src=x onerror='hacked = 1'><script>hacked = 1</script>"
    run = replace(page.runs[0], name=hostile, warnings=(Warned("table", hostile),))
    front = tuple(replace(one, violations=(hostile,), picks=(hostile,)) for one in run.front)
    path = tmp_path / "report.html"
    path.write_text(page_html(replace(page, title=hostile, runs=(replace(run, front=front),))))
    with _opened(browser, path) as tab:
        tab.evaluate("document.querySelector('[data-chart=front]').focus()")
        tab.press("Home")
        assert tab.evaluate("typeof hacked") == "undefined"
        assert tab.evaluate("document.querySelectorAll('img').length") == 0
        assert hostile in str(_of(tab.evaluate(_TOLD), "text"))


def test_colours_follow_the_system_until_somebody_chooses(browser: Browser, written: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    grounds = {}
    for scheme in ("light", "dark"):
        with _opened(browser, written, scheme=scheme) as tab:
            grounds[scheme] = tab.evaluate(ground)
            if scheme == "dark":
                tab.evaluate("document.querySelector('#theme button').click()")
                assert tab.evaluate(ground) == grounds["light"]
    assert grounds["light"] != grounds["dark"]


def test_print_is_light_and_shows_what_is_folded(browser: Browser, written: Path) -> None:
    with _opened(browser, written, scheme="dark") as tab:
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        tab.call("Emulation.setEmulatedMedia", media="print")
        assert (
            tab.evaluate("getComputedStyle(document.querySelector('.panel')).backgroundColor")
            == "rgb(255, 255, 255)"
        )
        assert tab.evaluate("getComputedStyle(document.querySelector('.bar')).display") == "none"
        assert tab.evaluate("[...document.querySelectorAll('details')].every(one => one.open)") is True


def test_axe_finds_no_barrier(browser: Browser, written: Path) -> None:
    _demand_axe()
    with _opened(browser, written, 390, "dark") as tab:
        assert _violations(tab) == []


@pytest.mark.slow
def test_axe_sees_a_barrier_that_is_there(browser: Browser, written: Path) -> None:
    _demand_axe()
    with _opened(browser, written) as tab:
        tab.evaluate("document.querySelector('h1').style.color = '#aaa'")
        tab.evaluate("document.querySelector('input').removeAttribute('aria-label')")
        assert {*_violations(tab)} == {"color-contrast", "label"}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", _WIDTHS)
def test_axe_finds_no_barrier_at_any_width(browser: Browser, several: Path, width: int, scheme: str) -> None:
    _demand_axe()
    with _opened(browser, several, width, scheme) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert _violations(tab) == []


def _demand_axe() -> None:
    demand("axe", is_there=_AXE.exists(), remedy="npm install --no-save axe-core@4.14.1")


def _violations(tab: Tab) -> list[str]:
    """Return what axe-core finds, by its rules' names."""
    tab.evaluate(_AXE.read_text(encoding="utf-8"))
    found = tab.evaluate("axe.run(document).then(found => found.violations.map(one => one.id))")
    return _strings(found)


def _expected(page: Page, member: FrontMember) -> list[JsonValue]:
    """Return what a member's rows hold, by the page's data."""
    rows: list[JsonValue] = []
    for objective, cost in zip(page.objectives, member.costs, strict=True):
        row: dict[str, JsonValue] = {"objective": objective.name, "value": _text(cost)}
        latency = member.latencies.get(objective.name)
        if latency is not None and latency.measured is not None and latency.measured_interval is not None:
            low, high = latency.measured_interval
            row |= {"low": _text(low), "high": _text(high), "predicted": _text(latency.predicted)}
        rows.append(row)
    return rows


def _text(value: float) -> str:
    return json.dumps(value)


def _points(tab: Tab, chart: str) -> list[tuple[float, float, float]]:
    found = tab.evaluate(_POINTS.format(chart=chart))
    assert isinstance(found, list)
    return [_point(each) for each in found]


def _point(values: JsonValue) -> tuple[float, float, float]:
    assert isinstance(values, list)
    x, y, member = (float(str(value)) for value in values)
    return x, y, member


def _of(value: JsonValue, *names: str) -> JsonValue:
    for name in names:
        assert isinstance(value, dict)
        value = value[name]
    return value


def _strings(value: JsonValue) -> list[str]:
    assert isinstance(value, list)
    return [str(each) for each in value]
