"""The page from whole, partial, damaged and hostile run folders. Oracles: by hand, html.parser, byte equality."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medfed.errors import RunFolderError
from medfed.report.page import render_run
from medfed.results import MeanSummary
from tests.medfed.report.html_page import Page, assert_sound

HOSTILE = [
    "<script>alert(1)</script>",
    "x" * 10_000,
    "x" * 9_999 + "y",
    "\N{HOSPITAL} \N{GRINNING FACE} St. Élise",
    '" onload="alert(1)',
    "$\\alpha$ & {{ 7 * 7 }}",
    "--><svg/onload=alert(1)>",
    "",
    "\u202eright to left",
]


def test_a_finished_run(finished: Path):
    path = render_run(finished)
    page = Page(path)
    assert path == finished / "report.html"
    assert_sound(page)
    for text in (
        "nuclei-unet",
        "COMPLETED",
        "Worth it for images from other sites",
        "percentile bootstrap over patients",
    ):
        assert text in page.text
    for text in ("1000 resamples", "never pooled", "Where neither truth nor prediction", "2.13.0", "medfed simulate"):
        assert text in page.text
    assert len([a for a in page.named("svg") if "photo" in (a.get("class") or "")]) == 15
    assert path.stat().st_size < 10_000_000


def test_sections_come_in_order(finished: Path):
    page = Page(render_run(finished))
    found = [attributes["id"] for attributes in page.named("section") if "id" in attributes]
    assert found == [
        "sites",
        "curves",
        "results",
        "classes",
        "shift",
        "images",
        "warnings",
        "reading",
        "scenario",
        "versions",
    ]


def test_the_same_results_give_the_same_bytes(finished: Path):
    first = render_run(finished).read_bytes()
    assert render_run(finished).read_bytes() == first


def test_degraded_names_site_rounds_and_cause(tmp_path: Path, build: Any):
    rounds = build.fail(build.rounds(), "fluo_360", [3, 4, 5, 9])
    page = Page(render_run(build.run(tmp_path, build.summary(status="DEGRADED"), rounds)))
    assert "DEGRADED" in page.text
    assert "fluo_360, rounds 3\N{EN DASH}5, 9: ran out of memory" in page.text
    assert "lower training.batch_size" in page.text


def test_classification_has_captions_and_left_out_sites_are_marked(tmp_path: Path, build: Any):
    sites = ["a", "b", "c"]
    summary = build.summary(sites, task="classification", classes=("normal", "pneumonia"), left_out=["c"])
    folder = build.run(tmp_path, summary, build.rounds(sites, metric="auroc"))
    build.synthetic_examples(folder, sites, side=28, segmentation=False)
    page = Page(render_run(folder))
    assert_sound(page)
    assert "truth pneumonia, predicted normal; probability of the truth 17\N{NO-BREAK SPACE}%" in page.text
    assert "wrong" in page.text
    assert "left out" in page.text


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "STOPPED", "rounds": 0, "cross_site": {}, "mean": MeanSummary(), "gap_closed": {}},
        {"cross_site": {}, "gap_closed": {}, "best_local_site": {}},
        {"gap_closed": {"dice": None}, "best_local_site": {"dice": "nobody"}},
        {"headline_metric": "unheard_of"},
        {"status": "DEGRADED", "warnings": ["w"] * 1000},
        {"left_out": ["unknown site"]},
    ],
)
@pytest.mark.parametrize("sites", [[], ["only"], ["a", "b"]])
def test_partial_summaries(tmp_path: Path, build: Any, sites: list[str], changes: dict[str, Any]):
    folder = build.run(tmp_path, build.summary(sites, **changes), None, None, None)
    assert_sound(Page(render_run(folder)))


def test_null_metrics_and_no_baselines(tmp_path: Path, build: Any):
    summary = build.summary(["a", "b"])
    nothing = {"dice": build.estimate(None)}
    bare = {"federated": nothing, "local": None, "pooled": None, "per_class": {"nucleus": nothing}}
    sites = {name: site.model_copy(update=bare) for name, site in summary.sites.items()}
    rounds = [
        r.model_copy(update={"sites": {k: s.model_copy(update={"val": {"dice": None}}) for k, s in r.sites.items()}})
        for r in build.rounds(["a", "b"], 2)
    ]
    changed = summary.model_copy(
        update={"sites": sites, "cross_site": {"a": {"b": nothing}}, "mean": MeanSummary(federated=nothing)}
    )
    page = Page(render_run(build.run(tmp_path, changed, rounds)))
    assert_sound(page)
    assert "nan" not in page.text.lower().replace("nanog", "")


def test_hostile_names_neither_break_nor_inject(tmp_path: Path, build: Any):
    bad = HOSTILE[0]
    summary = build.summary(
        HOSTILE, classes=["<b>", "y" * 5000], name="<i>n</i>", warnings=[bad], status="DEGRADED", left_out=[HOSTILE[-1]]
    )
    rounds = build.fail(build.rounds(HOSTILE), bad, [1], f"</section>{bad}")
    environment = {"command": f"</pre>{bad}", "versions": {bad: bad}, "git": None, "deep": {"a": [{"b": bad}]}}
    folder = build.run(tmp_path, summary, rounds, f"</pre>{bad}", environment)
    build.synthetic_examples(folder, HOSTILE)
    path = render_run(folder)
    assert_sound(Page(path))
    assert "<script" not in path.read_text(encoding="utf-8")
    assert path.stat().st_size < 2_000_000


def test_nothing_that_names_a_patient_a_file_or_a_folder_reaches_the_page(tmp_path: Path, build: Any):
    scenario = 'name = "n"\n[data]\npath = "/home/jane/SMITH/labels.csv"\nimage_size = 96\n'
    environment = {"command": "medfed simulate /home/jane/n.toml --set data.path=/home/jane/x.csv", "python": "3.11.9"}
    folder = build.run(tmp_path / "jane", build.summary(), build.rounds(), scenario, environment)
    build.synthetic_examples(folder, build.sites)
    listing = folder / "figures" / "examples.json"
    assert "fluo_256-best.png" in listing.read_text()
    path = render_run(folder)
    text = path.read_text()
    for name in ("jane", "SMITH", "labels.csv", ".png", str(tmp_path)):
        assert name not in text
    page = Page(path)
    for shown in ("image_size = 96", "(case 1)", "(case 15)", "medfed simulate scenario.toml", "3.11.9"):
        assert shown in page.text
    assert "Case 1, best of fluo_256: Dice 0.900" in [attributes.get("aria-label") for attributes in page.named("svg")]


def test_a_bundled_path_is_shown_and_a_scenario_that_cannot_be_read_is_not(tmp_path: Path, build: Any):
    assert "package:medfed/data" in Page(render_run(build.run(tmp_path / "a", build.summary()))).text
    for broken in ("path = /home/jane", 'data = "/home/jane'):
        text = Page(render_run(build.run(tmp_path / "b", build.summary(), scenario=broken))).text
        assert "/home/jane" not in text
        assert "scenario.toml: not valid TOML" in text


def test_three_hundred_sites_stay_below_ten_megabytes(tmp_path: Path, build: Any):
    sites = [f"hospital-{k}" for k in range(300)]
    summary = build.summary(sites, cross_site={})
    small = {i: {j: {"dice": build.estimate(0.5)} for j in sites[:60]} for i in sites[:60]}
    folder = build.run(tmp_path, summary.model_copy(update={"cross_site": small}), build.rounds(sites, 3))
    build.synthetic_examples(folder, sites[:40], side=32)
    path = render_run(folder)
    page = Page(path)
    assert_sound(page)
    assert "16 more sites are not shown" in page.text
    assert path.stat().st_size < 10_000_000


def test_damaged_parts_are_named_on_the_page(finished: Path, build: Any):
    with (finished / "rounds.jsonl").open("a") as file:
        file.write('{"round": 13, "seco')  # killed while writing
    (finished / "environment.json").write_text("[1, 2")
    (finished / "figures" / "examples.npz").write_bytes(b"PK\x03\x04 not a zip")
    text = Page(render_run(finished)).text
    for part in ("rounds.jsonl, line 13", "environment.json: not valid JSON", "figures/examples could not be read"):
        assert part in text


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"image_0": np.zeros((0, 0, 0), np.uint8)},
        {"image_0": np.zeros((1, 4, 4), np.uint8), "truth_0": np.zeros(3, np.uint8)},
    ],
)
def test_examples_that_cannot_be_shown_are_left_out(tmp_path: Path, build: Any, arrays: dict[str, Any]):
    folder = build.run(tmp_path, build.summary(), build.rounds())
    entry = {"site": "fluo_256", "rank": "best", "name": "n", "score": None, "index": 0}
    build.examples(folder, [entry, {"rank": "nonsense"}], arrays)
    text = Page(render_run(folder)).text
    assert "Test image 0 could not be shown" in text
    assert "has an entry that cannot be read" in text


@pytest.mark.parametrize("content", [None, "", "{}", '{"schema_version": 2}'])
def test_a_folder_without_summary_is_one_clear_line(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"summary\.json") as caught:
        render_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_rendering_imports_neither_torch_nor_pyplot(finished: Path):
    code = "import sys, pathlib; from medfed.report.page import render_run; render_run(pathlib.Path(sys.argv[1]));"
    code += "print(json.dumps(sorted({'torch', 'matplotlib.pyplot'} & set(sys.modules))))"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}", str(finished)],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []
