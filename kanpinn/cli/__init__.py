"""The command line: thin commands over the package; it alone owns the screen and the threads.

Modules here import the package inside functions, so that help comes at once.
"""

from importlib import metadata
from typing import Annotated

import typer

from kanpinn.cli.check import check
from kanpinn.cli.fit import fit
from kanpinn.cli.interpret import interpret
from kanpinn.cli.listing import list_everything
from kanpinn.cli.new import new
from kanpinn.cli.report import report
from kanpinn.cli.runs import export, plot
from kanpinn.cli.schema import schema
from kanpinn.cli.solve import solve
from kanpinn.cli.study import study

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> bool:
    if wanted:
        try:
            typer.echo(f"kanpinn {metadata.version('kanpinn')}")
        except metadata.PackageNotFoundError:
            typer.echo("kanpinn, not installed")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Solve partial differential equations, and fit data, with Kolmogorov–Arnold networks."""


app.command()(solve)
app.command()(fit)
app.command()(interpret)
app.command()(study)
app.command()(check)
app.command()(plot)
app.command()(report)
app.command("list")(list_everything)
app.command()(export)
app.command()(schema)
app.command()(new)
