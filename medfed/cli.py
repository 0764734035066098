"""The front door: ``medfed COMMAND``, from a literal table of commands.

A command's module is imported when the command is called, never for ``medfed --help``, which therefore answers
without torch, typer or rich. Each part keeps its commands in its own ``cli.py``.
"""

import difflib
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import click

from medfed import __version__
from medfed.errors import MedfedError

INTERRUPTED = 130  # 128 + SIGINT, as shells count

QUIET = {  # offline first: no library reports home unless the user has set it so
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Entry(NamedTuple):
    """Where a command lies (``package.module:attribute``: a typer app or a click command) and its line of help."""

    target: str
    help: str


COMMANDS: dict[str, Entry] = {
    "audit": Entry("medfed.audit.cli:app", "Measure privacy and robustness of a run or a model, with verdicts."),
    "compare": Entry("medfed.compare.cli:app", "Compare finished runs: what is better or worse, beyond chance."),
    "data": Entry("medfed.data.cli:app", "Look at data before it is used: data check MANIFEST."),
    "list": Entry("medfed.listing:command", "List the plug-ins of a kind: models, losses, strategies, ..."),
    "privacy": Entry("privacy.cli:app", "Attack the recorded updates of a run: what do they give away?"),
    "runs": Entry("medfed.compare.runs_cli:app", "List the runs in a folder, with their figures and audits."),
    "simulate": Entry("simulations.cli:app", "Run a scenario over all its sites on this machine."),
    "sweep": Entry("simulations.sweeps.cli:app", "Run a scenario over a grid of settings and several seeds."),
}


def load_command(name: str, target: str) -> click.Command:
    """The click command behind ``target``: a typer app with one command is that command, one with more a group."""
    from medfed.registry import resolve

    found = resolve(target)
    if not isinstance(found, click.Command):
        from typer.main import get_command

        found = get_command(found)
    assert isinstance(found, click.Command)
    found.name = name
    return found


class FrontDoor(click.Group):
    """A group whose commands are imported when they are called."""

    def __init__(self, table: Mapping[str, Entry], **settings: Any) -> None:
        super().__init__(**settings)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the table, sorted."""
        return sorted(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called ``cmd_name``; a name that is not in the table is a usage error."""
        if cmd_name in self.table:
            return load_command(cmd_name, self.table[cmd_name].target)
        near = difflib.get_close_matches(cmd_name, self.table, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ";"
        raise click.UsageError(f'no command "{cmd_name}"{hint} commands: {", ".join(sorted(self.table))}', ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and help lines from the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.table[name].help) for name in self.list_commands(ctx)])


def build_app(table: Mapping[str, Entry]) -> click.Group:
    """The ``medfed`` command group over ``table``."""
    app = FrontDoor(
        table,
        name="medfed",
        help="Federated training of medical image models, with evidence of whether the result is safe to use.",
        epilog="Exit codes: 0 completed, 1 errors found by a check, 2 bad input, 3 degraded, 4 stopped, 130 Ctrl-C.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    return click.version_option(__version__, prog_name="medfed", message="%(prog)s %(version)s")(app)


def _complain(message: str) -> None:
    for line in message.splitlines():
        print(f"medfed: error: {line}", file=sys.stderr)


def _usage(error: click.ClickException) -> str:
    """A wrong command line in one line, with where to read how it should look."""
    context = getattr(error, "ctx", None)
    where = f" (see {context.command_path} --help)" if context else ""
    return error.format_message() + where


def run(arguments: list[str], table: Mapping[str, Entry]) -> int:
    """Run one command line and return its exit code; errors that a user can mend become plain lines on stderr."""
    try:
        outcome = build_app(table).main(arguments, prog_name="medfed", standalone_mode=False)
    except MedfedError as error:
        _complain(str(error))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        _complain(_usage(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    return outcome if isinstance(outcome, int) else 0  # without standalone mode, click returns the code of an Exit


def main() -> NoReturn:
    """The console script ``medfed``."""
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    sys.exit(run(sys.argv[1:], COMMANDS))
