"""A site's fault as one line. Oracles: inverse, and the form in which Flower wraps what an app raises."""

import pytest

from medfed.site_fault import SiteFault, line, read


@pytest.mark.parametrize("site", ["a", "St. Mary's: ward (3)", "x" * 199])
@pytest.mark.parametrize("remedy", ["lower training.batch_size", "make room on the site's disk"])
def test_what_is_written_is_read(site: str, remedy: str) -> None:
    fault = SiteFault("memory", "MemoryError", remedy)
    assert read(line(site, fault)) == fault
    assert read(f"<class 'medfed.errors.SiteError'>:<'{line(site, fault)}'>") == fault
    assert read(f"{line(site, fault)}\nTraceback: site b: other error (X); y") == fault


@pytest.mark.parametrize(
    "reason", ["", "boom", "node 3 broke\nsite a: b error (C); d", "site a: Bad Code error (C); d"]
)
def test_other_reasons_are_not_ours(reason: str) -> None:
    assert read(reason) is None
