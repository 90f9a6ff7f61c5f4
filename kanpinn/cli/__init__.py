"""The command line: commands that call the package. Only the commands print and set threads.

The modules import the package inside functions, so that `kanpinn --help` is fast.
"""

from typing import Annotated

import typer

import kanpinn
from kanpinn.cli import completion, doctor, figures, interpret, listing, new, solve, study, verify

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
    ("solve", solve.solve_command),
    ("fit", solve.fit_command),
    ("verify", verify.verify_command),
    ("interpret", interpret.interpret_command),
    ("study", study.study_command),
    ("check", solve.check_command),
    ("plot", figures.plot_command),
    ("report", figures.report_command),
    ("list", listing.list_command),
    ("export", figures.export_command),
    ("certify", figures.certify_command),
    ("schema", solve.schema_command),
    ("new", new.new_command),
    ("doctor", doctor.doctor_command),
    ("completion", completion.completion_command),
):
    app.command(_name)(_command)
