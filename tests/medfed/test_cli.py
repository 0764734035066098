"""The front door: which command runs, what a user reads when something is wrong, and the exit code.

Oracle: the table given to :func:`medfed.cli.run`, and the exit codes that DESIGN.md lists.
"""

import sys
from types import ModuleType
from typing import Annotated, Literal

import click
import pytest
import typer

from medfed import __version__, cli, listing, registry
from medfed.errors import DataError, QuorumError


def _single() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def only(scenario: str, code: int = 0) -> None:
        """Take one argument."""
        typer.echo(f"ran {scenario}")
        raise typer.Exit(code)

    return app


def _several() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)

    @app.command()
    def check(manifest: str) -> None:
        typer.echo(f"checked {manifest}")

    return app


@click.command()
@click.argument("fault")
def _failing(fault: str) -> None:
    faults = {
        "data": DataError("a.csv, row 3: no image\na.csv, row 9: no image"),
        "quorum": QuorumError("1 of 4 sites answered"),
        "interrupt": KeyboardInterrupt(),
        "bug": ZeroDivisionError("a bug"),
    }
    raise faults[fault]


@pytest.fixture
def table(monkeypatch):
    """Three commands in a module of our own, and one whose module does not exist."""
    module = ModuleType("part_under_test")
    module.single, module.several, module.failing = _single(), _several(), _failing
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = ("single", "several", "failing")
    return {
        **{name: cli.Entry(f"{module.__name__}:{name}", f"Help of {name}.") for name in names},
        "missing": cli.Entry("no_such_module:app", "Help of missing."),
    }


def test_help_lists_the_table_and_imports_no_command(table, capsys):
    assert cli.run(["--help"], table) == 0
    shown = capsys.readouterr().out
    assert all(name in shown and entry.help in shown for name, entry in table.items())


def test_version(capsys):
    assert cli.run(["--version"], {}) == 0
    assert capsys.readouterr().out == f"medfed {__version__}\n"


@pytest.mark.parametrize("code", [0, 3, 4])
def test_a_typer_app_with_one_command_is_that_command(table, capsys, code):
    assert cli.run(["single", "a.toml", "--code", str(code)], table) == code
    assert capsys.readouterr().out == "ran a.toml\n"


def test_a_typer_app_with_a_callback_is_a_group(table, capsys):
    assert cli.run(["several", "check", "a.csv"], table) == 0
    assert capsys.readouterr().out == "checked a.csv\n"


@pytest.mark.parametrize(
    ("fault", "code", "lines"),
    [
        ("data", 2, ["medfed: error: a.csv, row 3: no image", "medfed: error: a.csv, row 9: no image"]),
        ("quorum", 4, ["medfed: error: 1 of 4 sites answered"]),
    ],
)
def test_an_error_that_a_user_can_mend_is_plain_lines_on_stderr(table, capsys, fault, code, lines):
    assert cli.run(["failing", fault], table) == code
    shown = capsys.readouterr()
    assert (shown.out, shown.err.splitlines()) == ("", lines)


def test_ctrl_c_ends_with_130(table):
    assert cli.run(["failing", "interrupt"], table) == 130


def test_a_bug_keeps_its_traceback(table):
    with pytest.raises(ZeroDivisionError):
        cli.run(["failing", "bug"], table)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["singel"], 'no command "singel"; did you mean "single"? commands: failing, missing, several, single'),
        (["xyz"], 'no command "xyz"; commands: failing, missing, several, single'),
        (["single"], "Missing argument 'SCENARIO'. (see medfed single --help)"),
        (["--nonsense"], "No such option '--nonsense'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(table, capsys, arguments, line):
    assert cli.run(arguments, table) == 2
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert shown.startswith(f"medfed: error: {line}")


def test_without_arguments_the_help_is_shown(table, capsys):
    cli.run([], table)
    shown = capsys.readouterr()
    assert "Help of single." in shown.out + shown.err


def test_main_turns_telemetry_off_unless_the_user_has_set_it(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["medfed", "--version"])
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    for variable in ("FLWR_DISABLE_UPDATE_CHECK", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(variable, "to be removed")
        monkeypatch.delenv(variable)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert {name: cli.os.environ[name] for name in cli.QUIET} == cli.QUIET | {"FLWR_TELEMETRY_ENABLED": "1"}


@pytest.mark.parametrize(
    ("command", "expected"), [("data", click.Group), ("list", click.Command), ("simulate", click.Command)]
)
def test_the_real_commands_load(command, expected):
    loaded = cli.load_command(command, cli.COMMANDS[command].target)
    assert isinstance(loaded, expected)
    assert isinstance(loaded, click.Group) == (expected is click.Group)


@pytest.mark.parametrize(
    ("kind", "word"), [("model", "models"), ("loss", "losses"), ("strategy", "strategies"), ("optimizer", "optimizers")]
)
def test_plurals_by_hand(kind, word):
    assert listing.plural(kind) == word
    assert listing.kind_of(word) == listing.kind_of(kind) == kind


@pytest.mark.parametrize("kind", registry.KINDS)
def test_list_shows_every_plugin_with_every_field(kind, capsys):
    assert cli.run(["list", listing.plural(kind)], cli.COMMANDS) == 0
    shown = capsys.readouterr().out
    for name, cls in registry.table(kind).items():
        assert name in shown
        assert all(f"{field}: " in shown for field in getattr(cls, "__pydantic_fields__", ()))


def test_list_without_a_kind_names_all_plugins(capsys):
    assert cli.run(["list"], cli.COMMANDS) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    expected = {listing.plural(kind): ", ".join(sorted(registry.table(kind))) for kind in registry.KINDS}
    assert lines == expected


def test_an_unknown_kind_is_one_line_with_all_kinds_and_code_2(capsys):
    assert cli.run(["list", "modles"], cli.COMMANDS) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('medfed: error: unknown kind "modles"')
    assert all(listing.plural(kind) in line for kind in registry.KINDS)


def test_a_field_is_written_with_type_default_and_bounds():
    unet = next(entry for entry in listing.entries("model") if entry.name == "unet")
    assert str(next(field for field in unet.fields if field.name == "depth")) == "depth: int = 3 (>= 1, <= 6)"


def test_a_field_that_holds_a_plug_in_is_written_as_in_a_scenario():
    # Oracle: by hand; a default with fields is one that the scenario's own parser reads.
    bucketing = next(entry for entry in listing.entries("aggregator") if entry.name == "bucketing")
    assert "inner: aggregator = 'median'" in map(str, bucketing.fields)
    with_fields = registry.build("aggregator", {"name": "trimmed_mean", "num_byzantine": 2})
    assert listing.default_text("aggregator", with_fields) == "{name = 'trimmed_mean', num_byzantine = 2}"


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (Annotated[float, "bounds"], "float"),
        (Literal["a", "b"], "'a' | 'b'"),
        (Literal["none"] | Annotated[float, "bounds"], "'none' | float"),
        (tuple[Annotated[float, "bounds"], ...], "tuple[float, ...]"),
        (int | None, "int | None"),
    ],
)
def test_types_are_written_as_a_person_writes_them(annotation, text):
    # Oracle: by hand.
    assert listing.type_name(annotation) == text
