"""Sections whose outcome is known: one that measures, one that breaks, one that cannot serve, one that draws."""

from typing import ClassVar

import torch

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.costs import Cost
from medfed.audit.results import Finding, Sample, SectionResult, share
from medfed.registry import plugin

CALLS: list[str] = []
"""Names of the sections that were measured."""


@plugin
class Steady:
    """Finds ``right`` of 100."""

    title: ClassVar[str] = "Steady"
    right: int = 90

    def __call__(self, context: AuditContext) -> SectionResult:
        CALLS.append("steady")
        finding = Finding(what="share", estimate=share(self.right, 100), threshold=0.5, kind="share")
        samples = (Sample(site="=cmd|' /C calc'!A0", row=7, measure="right", value=0.5),)
        return SectionResult(findings=(finding,), samples=samples, tried="Tried.", meaning="Meant.", remedy="Do.")


@plugin
class Broken:
    """Raises."""

    title: ClassVar[str] = "Broken"

    def __call__(self, context: AuditContext) -> SectionResult:
        CALLS.append("broken")
        raise ZeroDivisionError("a bug <b>in</b> the section")


@plugin
class Silent:
    """Cannot serve the run."""

    title: ClassVar[str] = "Silent"

    def __call__(self, context: AuditContext) -> SectionResult:
        CALLS.append("silent")
        raise NotTestedError("no recorded updates")


@plugin
class Drawing:
    """Shows what it draws: from its own generators, and (as a library would) from the global one."""

    title: ClassVar[str] = "Drawing"

    def __call__(self, context: AuditContext) -> SectionResult:
        CALLS.append("drawing")
        own = torch.rand(1, generator=context.torch_generator("x")).item() + context.numpy_generator("x").random()
        tests = context.draw_tests(5, "x")
        table = {
            "title": "draws",
            "columns": ("what", "value"),
            "rows": (("own", own), ("global", torch.rand(1).item()), ("rows", str(tests.rows))),
        }
        return SectionResult.model_validate({"tables": (table,)})


SECTIONS = {"steady": Steady, "broken": Broken, "silent": Silent, "drawing": Drawing}

COSTS = {name: Cost(lambda section, context: 0.1) for name in SECTIONS}
