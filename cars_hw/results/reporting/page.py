"""The page of one or several runs: one file that is complete, loads nothing, and needs no script to be read.

Whatever comes from outside is text, in the markup and in the script; the page's own policy lets no script run
but the one that it carries.
"""

import base64
import hashlib
import json
from functools import lru_cache
from importlib import resources

from cars_hw.results.reporting.drawing import sections
from cars_hw.results.reporting.drawing.elements import Html, element, joined
from cars_hw.results.reporting.model import Page

#: In the order in which they build on each other.
_SCRIPTS = ("base", "pointing", "front", "plots", "graph", "member", "main")
#: What ends or opens an element inside a script, and line ends that only JavaScript has.
_ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
_SECTIONS = {
    "front": "Front",
    "graph": "Network",
    "progress": "Progress",
    "accuracy": "Accuracy",
    "retrained": "Retrained",
    "spent": "Cost",
    "differences": "Differences",
    "configuration": "Configuration",
    "files": "Files",
}


def page_html(page: Page) -> str:
    """Return the page.

    Args:
        page: What it shows; each run has one generation at least whose members are kept.
    """
    content = joined(
        section(page)
        for section in (
            sections.hero,
            sections.front,
            sections.network,
            sections.progress,
            sections.accuracy,
            sections.retrained,
            sections.spending,
            sections.configuration,
        )
    )
    body = element(
        "body",
        {},
        element("a", {"class": "skip", "href": "#front"}, "Skip to the front"),
        _bar(content),
        element("main", {}, content),
        element("footer", {"class": "foot"}, element("p", {}, f"Written by {page.made_by}.")),
        element("script", {"type": "application/json", "id": "page-data"}, _data(page)),
        element("script", {}, Html(script())),
    )
    return f'<!doctype html>\n<html lang="en">{_head(page)}{body}</html>\n'


@lru_cache
def script() -> str:
    """Return the script that a page carries."""
    return "".join(_asset(f"{name}.js") for name in _SCRIPTS)


@lru_cache
def style() -> str:
    """Return the style that a page carries."""
    return _asset("style.css")


def _asset(name: str) -> str:
    return (resources.files("cars_hw.results.reporting.drawing") / "assets" / name).read_text(
        encoding="utf-8"
    )


def _head(page: Page) -> Html:
    policy = (
        f"default-src 'none'; script-src {_digest(script())}; style-src {_digest(style())}; "
        "base-uri 'none'; form-action 'none'"
    )
    return element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", {}, page.title),
        element("style", {}, Html(style())),
    )


def _bar(content: str) -> Html:
    """Return the bar on top: links to the sections that there are."""
    links = [
        element("li", {}, element("a", {"href": f"#{name}"}, title))
        for name, title in _SECTIONS.items()
        if f'<section class="panel" id="{name}"' in content
    ]
    dots = joined(
        element("circle", {"cx": x, "cy": y, "r": 2.6, "class": "front"})
        for x, y in ((4, 5), (9, 13), (19, 18))
    )
    line = element("path", {"class": "stairs", "d": "M4 5V13H9V18H19"})
    logo = element("svg", {"viewBox": "0 0 24 24", "aria-hidden": "true"}, line, dots)
    return element(
        "header",
        {"class": "bar"},
        element(
            "div",
            {},
            element("div", {"class": "brand"}, logo, element("span", {}, "cars_hw")),
            element("nav", {"aria-label": "Sections"}, element("ul", {}, *links)),
            element("div", {"id": "theme"}),
        ),
    )


def _data(page: Page) -> Html:
    """Return the data as the script reads them: no sign of them can end the element that they are in."""
    text = json.dumps(page.to_json(), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Html(text.translate(_ESCAPED))


def _digest(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
