"""The command line: thin commands over the package; it alone owns the screen and the threads.

Modules here import the package inside functions, so that help comes at once.
"""

from importlib import metadata
from typing import Annotated

import typer

from kanpinn.cli.check import check, schema
from kanpinn.cli.figures import export, plot, report
from kanpinn.cli.interpret import interpret
from kanpinn.cli.listing import list_everything
from kanpinn.cli.new import new
from kanpinn.cli.solve import fit, solve
from kanpinn.cli.study import study

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Solve partial differential equations, and fit data, with Kolmogorov–Arnold networks."""
    if version:
        try:
            typer.echo(f"kanpinn {metadata.version('kanpinn')}")
        except metadata.PackageNotFoundError:
            typer.echo("kanpinn, not installed")
        raise typer.Exit


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
