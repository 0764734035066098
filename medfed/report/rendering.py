"""A page from its template: one HTML text that needs no network, no script and no other file."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medfed.report import text

Functions = Mapping[str, Callable[..., Any]]

_FILTERS: Functions = {
    "number": text.number,
    "interval": text.interval,
    "metric": text.metric_title,
    "direction": text.direction,
    "short": text.short,
    "size": text.size,
    "duration": text.duration,
    "ranges": text.ranges,
    "percent": text.percent,
}


def render_page(template: str, values: Mapping[str, Any], filters: Functions, tests: Functions) -> str:
    """The page as text; everything in ``values`` is escaped, and a name that the template lacks is an error.

    Args:
        template: its file's name in ``medfed/report/templates``.
        values: by the names that the template uses.
        filters: of this page, besides those of all.
        tests: of this page.
    """
    loader = PackageLoader("medfed.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(_FILTERS, **filters)
    environment.tests.update(tests)
    style, _, _ = loader.get_source(environment, "report.css")
    return environment.get_template(template).render(style=Markup(style), **values)
