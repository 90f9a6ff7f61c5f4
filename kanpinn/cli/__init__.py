"""The command line: thin commands over the package; it alone owns the screen and the threads."""

import typer

from kanpinn.cli.check import check
from kanpinn.cli.listing import list_everything
from kanpinn.cli.new import new
from kanpinn.cli.runs import export, plot
from kanpinn.cli.schema import schema
from kanpinn.cli.solve import solve

app = typer.Typer(
    help="Solve partial differential equations with Kolmogorov–Arnold networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(solve)
app.command()(check)
app.command()(plot)
app.command("list")(list_everything)
app.command()(export)
app.command()(schema)
app.command()(new)
