"""The command line: thin commands over the package; it alone owns the screen and the threads.

The modules import the package inside functions, so that `kanpinn --help` is fast.
"""

from typing import Annotated

import typer

import kanpinn
from kanpinn.cli.completion import completion_command
from kanpinn.cli.doctor import doctor_command
from kanpinn.cli.figures import export_command, plot_command, report_command
from kanpinn.cli.interpret import interpret_command
from kanpinn.cli.listing import list_command
from kanpinn.cli.new import new_command
from kanpinn.cli.solve import check_command, fit_command, schema_command, solve_command
from kanpinn.cli.study import study_command

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Solve partial differential equations, and fit data, with Kolmogorov–Arnold networks."""
    if version:
        typer.echo(f"kanpinn {kanpinn.__version__}")
        raise typer.Exit


for _name, _command in (
    ("solve", solve_command),
    ("fit", fit_command),
    ("interpret", interpret_command),
    ("study", study_command),
    ("check", check_command),
    ("plot", plot_command),
    ("report", report_command),
    ("list", list_command),
    ("export", export_command),
    ("schema", schema_command),
    ("new", new_command),
    ("doctor", doctor_command),
    ("completion", completion_command),
):
    app.command(_name)(_command)
