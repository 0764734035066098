"""The project as a whole: its environment, its packages, its tables of strings, its files."""

import io
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module, metadata
from pathlib import Path

import pytest

PACKAGES = ("medfed", "server", "client", "robustness", "privacy", "simulations")

# torchattacks 3.5.1 is installed without its dependencies (Makefile: setup says why).
ALLOWED_CONFLICTS = (
    r"torchattacks 3\.5\.1 requires torchvision, which is not installed\.",
    r"torchattacks 3\.5\.1 has requirement requests~=2\.25\.1, but you have requests \S+\.",
)


def _pyproject(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())


def _project_files(repository: Path) -> list[Path]:
    """Tracked files, and those that git would track."""
    if not (repository / ".git").exists():
        pytest.skip("not a git checkout, so the project's files cannot be told from others")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout
    return [repository / name for name in listed.split("\0") if name and (repository / name).is_file()]


def test_the_installed_packages_disagree_in_the_two_known_ways_only():
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    lines = checked.stdout.splitlines()
    assert len(lines) == len(ALLOWED_CONFLICTS), checked.stdout + checked.stderr
    for pattern in ALLOWED_CONFLICTS:
        assert any(re.fullmatch(pattern, line) for line in lines), checked.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_imported_from_this_tree(package, repository):
    assert Path(import_module(package).__file__) == repository / package / "__init__.py"


def test_the_packages_are_seen_from_any_folder(repository, tmp_path):
    # The console script and spawned workers do not run in the repository root.
    code = f"import {', '.join(PACKAGES)}; print(*[m.__file__ for m in ({', '.join(PACKAGES)})], sep='\\n')"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.split() == [str(repository / package / "__init__.py") for package in PACKAGES]


def _targets() -> list[str]:
    import medfed
    from medfed import cli, registry

    return [*registry.KINDS.values(), *(entry.target for entry in cli.COMMANDS.values()), *medfed._PUBLIC.values()]


def test_every_string_in_every_table_resolves():
    from medfed.registry import resolve

    unresolved = {}
    for target in _targets():
        try:
            resolve(target)
        except (ImportError, AttributeError) as error:
            unresolved[target] = repr(error)
    assert not unresolved


def test_the_public_interface_is_what_the_package_says():
    import medfed

    assert set(medfed._PUBLIC) == set(medfed.__all__)
    assert all(getattr(medfed, name) is not None for name in medfed.__all__)
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        medfed.simulat  # noqa: B018


def test_help_is_answered_without_heavy_imports():
    code = (
        "import sys; from medfed.cli import COMMANDS, run; code = run(['--help'], COMMANDS);"
        "print([m for m in ('torch', 'numpy', 'flwr', 'monai', 'typer', 'rich', 'pydantic') if m in sys.modules], code)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "[] 0"


def test_the_version_is_the_same_everywhere(repository):
    import medfed

    assert medfed.__version__ == _pyproject(repository)["project"]["version"] == metadata.version("medfed")


def test_no_file_names_this_machine(repository):
    places = [str(place) for place in (repository, repository.parent, Path.home()) if len(place.parts) > 1]
    pattern = re.compile(r"(?<![\w.~$}])(" + "|".join(map(re.escape, places)) + r")/")
    found = [
        f"{path.relative_to(repository)}: {match.group()}"
        for path in _project_files(repository)
        if (match := pattern.search(path.read_bytes().decode(errors="ignore")))
    ]
    assert not found


def test_constraints_pin_versions_and_nothing_else(repository):
    lines = (repository / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][\w.]*", line)] == []
    assert "torch==2.13.0" in lines
    assert not any(line.startswith(("torchattacks", "medfed")) for line in lines)


def test_constraints_pin_every_dependency_in_its_range(repository):
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pins = dict(line.split("==") for line in (repository / "constraints.txt").read_text().split())
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    project = _pyproject(repository)["project"]
    declared = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    for requirement in map(Requirement, declared):
        if requirement.name != "torchattacks":
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), str(requirement)


def test_every_folder_with_code_is_listed_as_a_package(repository):
    listed = _pyproject(repository)["tool"]["setuptools"]["packages"]
    code = [path.relative_to(repository) for path in _project_files(repository) if path.suffix == ".py"]
    found = {".".join(path.parent.parts) for path in code if path.parts[0] in PACKAGES}
    assert sorted(listed) == sorted(found)


def test_every_data_file_of_a_package_is_packaged(repository):
    packaged = {
        path
        for package, patterns in _pyproject(repository)["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in (repository / package).glob(pattern)
    }
    folders = tuple(repository / package for package in PACKAGES)
    data = {
        path
        for path in _project_files(repository)
        if path.suffix != ".py" and any(folder in path.parents for folder in folders)
    }
    assert data - packaged == set()


def test_a_bundle_for_flower_carries_the_code_and_nothing_else(repository):
    from flwr.cli.build import build_fab_from_files
    from flwr.common.constant import FAB_MAX_SIZE

    files = {path.relative_to(repository).as_posix(): path for path in _project_files(repository)}
    bundle, _ = build_fab_from_files(files)
    code = {name for name in files if name.endswith(".py") and name.split("/")[0] in PACKAGES}
    expected = {name for name in code if not name.startswith("medfed/data/samples/")}
    carried = set(zipfile.ZipFile(io.BytesIO(bundle)).namelist())
    assert carried == expected | {"LICENSE", "pyproject.toml", ".info/CONTENT"}
    assert len(bundle) < FAB_MAX_SIZE


def test_the_app_is_named_where_flower_looks_for_it(repository):
    from medfed.registry import resolve

    components = _pyproject(repository)["tool"]["flwr"]["app"]["components"]
    assert {name: type(resolve(target)).__name__ for name, target in components.items()} == {
        "serverapp": "ServerApp",
        "clientapp": "ClientApp",
    }


def test_shapes_and_types_are_checked_while_testing():
    # The hook of pyproject.toml (--jaxtyping-packages) is on: a wrong argument of one of our dataclasses is refused.
    from jaxtyping import TypeCheckError

    from medfed.types import SiteData

    with pytest.raises(TypeCheckError, match="train"):
        SiteData(site="a", train=1, val=2, test=3)
