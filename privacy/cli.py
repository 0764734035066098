"""``medfed privacy``: a thin shell; each command imports what it needs when it is called."""

import typer

from privacy.leakage.cli import attack
from privacy.ledger.cli import ledger, verify
from privacy.planning.cli import plan

app = typer.Typer(add_completion=False, no_args_is_help=True, help="What the messages of a run give away.")


@app.callback()
def privacy() -> None:
    """What the messages of a run give away, and what the sites' ledgers say."""


for command in (attack, plan, ledger, verify):
    app.command()(command)
