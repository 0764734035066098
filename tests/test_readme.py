"""What README.md and docs/ say is true: examples run, keys and plug-ins exist, links lead somewhere.

Oracles: the pydantic sections for keys, the command table for commands, the file system for links, the contracts'
Protocols and FedAvg for the worked plug-ins.
"""

import csv
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [text for found, text in _FENCE.findall(page.read_text()) if found == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and most renderers make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in _LINK.findall(prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert not broken


@every_page
def test_lines_are_at_most_120_characters(page: Path) -> None:
    long = [line for line in prose(page).splitlines() if len(line) > 120 and not line.startswith("|")]
    assert not long


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    (example,) = blocks(README, "python")
    (tmp_path / "simulations").mkdir()
    (tmp_path / "simulations" / "scenarios").symlink_to(ROOT / "simulations" / "scenarios")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(README), "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "COMPLETED runs-python/nuclei-unet/report.html"
    assert sum("federated" in line and "local" in line for line in said) == 2
    assert (tmp_path / "runs-python" / "nuclei-unet" / "report.html").is_file()


@pytest.fixture
def own_images(tmp_path: Path) -> Path:
    """A folder with the README's scenario, and a manifest of its columns with images of dark and light squares."""
    from PIL import Image

    header, *rows = list(csv.reader(blocks(README, "csv")[0].splitlines()))
    assert {"benign", "malignant"} == {row[header.index("label")] for row in rows}
    (tmp_path / "images").mkdir()
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        for number in range(48):
            name, site, label = (
                f"images/{number}.png",
                ("north", "south")[number % 2],
                ("benign", "malignant")[number // 24],
            )
            Image.new("L", (40, 32), 60 + 100 * (number // 24) + number).save(tmp_path / name)
            writer.writerow({"image": name, "label": label, "site": site, "patient": f"p-{number}"})
    (scenario,) = blocks(README, "toml")
    (tmp_path / "my-lesions.toml").write_text(scenario)
    return tmp_path


def test_the_first_scenario_of_ones_own_runs(own_images: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from medfed.cli import COMMANDS, run

    monkeypatch.chdir(own_images)
    lines = [line for text in blocks(README, "") for line in text.splitlines() if line.startswith("medfed ")]
    commands = [shlex.split(line)[1:] for line in lines]
    assert [command[0] for command in commands] == ["data", "simulate", "simulate", "simulate"]
    assert run(commands[0], COMMANDS) == 0, capsys.readouterr()
    quick = ["--set", "training.rounds=1", "--set", "engine.workers=1", "--set", "model.width=2"]
    assert run([*commands[1], *quick], COMMANDS) == 0, capsys.readouterr()
    assert run([*commands[3], *quick], COMMANDS) == 0, capsys.readouterr()
    for name in ("my-lesions", "my-lesions-without-north"):
        assert (own_images / "runs" / name / "report.html").is_file()
    assert "left out" in capsys.readouterr().out


def _sections() -> dict[str, list[str]]:
    """Heading in docs/scenario.md -> the keys that must stand under it, from the sections themselves."""
    from medfed.config import Scenario
    from medfed.section import Section
    from medfed.sections import Columns

    found = {"Top level": [], "[data.columns]": list(Columns.model_fields)}
    for name, field in Scenario.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys = field.annotation.model_fields.items()
            found[f"[{name}]"] = [key for key, inner in keys if inner.annotation is not Columns]
        else:
            found["Top level"].append(name)
    return found


def test_the_scenario_page_has_exactly_the_keys_that_exist() -> None:
    parts = re.split(r"^## (.+)$", (ROOT / "docs" / "scenario.md").read_text(), flags=re.MULTILINE)
    said = {
        heading: re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE)
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    assert said == _sections()


def test_the_scenario_page_has_the_defaults_that_hold() -> None:
    """Numbers, words and booleans of the default column, against the sections."""
    from medfed.config import Scenario
    from medfed.section import Section

    page = (ROOT / "docs" / "scenario.md").read_text()
    for name, field in Scenario.model_fields.items():
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, Section)):
            continue
        (body,) = re.findall(rf"^## \[{name}\]$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        said = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", body, re.MULTILINE))
        for key, inner in field.annotation.model_fields.items():
            if inner.is_required():
                assert said[key] == "-", key
            elif isinstance(inner.default, bool):
                assert said[key] == str(inner.default).lower(), key
            elif isinstance(inner.default, int | float | str):
                assert said[key].strip("`") in (str(inner.default), repr(inner.default).replace("'", '"')), key


def test_every_command_of_the_table_is_named() -> None:
    from medfed.cli import COMMANDS

    text = README.read_text()
    assert set(re.findall(r"`medfed ([a-z]+)", text)) == set(COMMANDS)


def test_every_kind_of_plug_in_names_its_contract_and_its_table() -> None:
    from medfed.registry import KINDS, resolve

    rows = re.findall(
        r"^\| (\w+) \| (.+) \| `(\w+)` in (.+) \|$", (ROOT / "docs" / "plugins.md").read_text(), re.MULTILINE
    )
    assert {kind for kind, *_ in rows} == set(KINDS) - {"source"}
    for kind, contract, table, place in rows:
        assert resolve(KINDS[kind]).__class__ is dict
        assert KINDS[kind].endswith(f":{table}")
        paths = re.findall(r"`([\w/]+\.py)`", f"{contract} {place}")
        assert paths
        assert all((ROOT / path).is_file() for path in paths)


@pytest.fixture
def own_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, on the import path, with the files and the scenario of docs/plugins.md."""
    page = ROOT / "docs" / "plugins.md"
    for text in blocks(page, "python"):
        (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text)
    (scenario,) = blocks(page, "toml")
    (tmp_path / "own.toml").write_text(scenario)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_worked_plug_ins_run(own_plugins: Path) -> None:
    from medfed import load_scenario, simulate
    from medfed.data.transforms.contract import Transform
    from medfed.models.contract import Model
    from server.strategies.contract import Strategy

    scenario = load_scenario(own_plugins / "own.toml", ("engine.workers=1",))
    assert isinstance(scenario.model, Model)
    assert isinstance(scenario.training.transforms[1], Transform)
    assert isinstance(scenario.federation.strategy, Strategy)
    run = simulate(scenario, out=own_plugins / "runs")
    assert run.status == "COMPLETED"
    assert "my_strategies:Momentum" in (run.folder / "scenario.toml").read_text()
    assert (run.folder / "checkpoints" / "3" / "state.safetensors").is_file()


def test_momentum_without_momentum_is_fedavg(own_plugins: Path) -> None:
    """Oracle: FedAvg with uniform weights; and by hand, v = 0.5 * 1 + 2 after changes 1 and 2."""
    import torch

    from medfed.registry import lookup
    from medfed.types import Update
    from server.strategies.contract import Aggregate
    from server.strategies.fedavg import FedAvg

    def aggregate(mean: dict[str, torch.Tensor]) -> Aggregate:
        return Aggregate(mean, {}, {}, num_updates=1, num_sites=1, parameters=frozenset({"w"}))

    momentum = lookup("strategy", "my_strategies:Momentum")
    weights, mean = {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([0.25, -0.5])}
    plain, _ = FedAvg(weighting="uniform")(weights, aggregate(mean), {})
    assert torch.equal(momentum(beta=0.0)(weights, aggregate(mean), {})[0]["w"], plain["w"])
    update = Update("a", mean, num_examples=7, num_steps=1, metrics={})
    assert momentum().weight(update) == FedAvg(weighting="uniform").weight(update)
    one, state = momentum(beta=0.5)({"w": torch.zeros(1)}, aggregate({"w": torch.ones(1)}), {})
    two, state = momentum(beta=0.5)(one, aggregate({"w": 2 * torch.ones(1)}), state)
    assert (float(two["w"]), float(state["w"])) == (3.5, 2.5)
