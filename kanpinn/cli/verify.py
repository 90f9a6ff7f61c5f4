"""kanpinn verify: compares a field that another code has computed with a solution made here."""

import json as to_json
from pathlib import Path
from typing import Annotated, Any

import typer

from kanpinn._support.errors import InputError
from kanpinn.cli.options import Json
from kanpinn.cli.screen import note, reporting


def verify_command(
    problem: Annotated[Path, typer.Argument(metavar="PROBLEM", help="A problem file.")],
    field: Annotated[
        str,
        typer.Argument(
            metavar="FIELD",
            help="A CSV, NPZ, HDF5, VTK or XDMF file of values, or FILE.py:FUNCTION of points.",
        ),
    ],
    tolerance: Annotated[
        float | None, typer.Option(help="The largest acceptable relative L2 error.")
    ] = None,
    budget: Annotated[float, typer.Option(help="The most seconds for the solution.")] = 60.0,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write verify.json and pictures there.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN",
            help="The column of a coordinate or field with another name there; may be repeated.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare a field of another code with a solution of a problem file.

    The table has relative errors, the place of the largest error and, if the field can be
    differentiated, residuals. Exit codes: 0 the field is within the tolerance, or no tolerance was
    given; 1 the field is not within the tolerance, or this cannot be told; 2 bad input.
    """
    with reporting():
        from kanpinn.runs.config import Config, SolveJob
        from kanpinn.runs.config.models import load_function
        from kanpinn.solvers.verify import verify

        config = Config.read(problem, ())
        if config.file.kind != "problem":
            raise InputError(f"{problem} is not the file of a problem with a solution")
        given: Any = field
        pairs = [text.partition("=") for text in column or ()]
        for text, (name, sign, other) in zip(column or (), pairs, strict=True):
            if not (name and sign and other):
                raise InputError(
                    f"--column must be NAME=COLUMN, such as u=temperature, got {text!r}"
                )
        columns = {name: other for name, _, other in pairs}
        if ".py:" in field:
            given = load_function(field, Path(), "FIELD")
        job = config.build()
        assert isinstance(job, SolveJob)
        verified = verify(job.problem, given, tolerance=tolerance, budget=budget, columns=columns)
        record = to_json.dumps(verified.record(), indent=2)
        typer.echo(record if json else str(verified))
        if output is not None:
            from kanpinn.plotting import draw_figures

            paths = draw_figures(verified, output)
            (output / "verify.json").write_text(record + "\n", encoding="utf-8")
            note(f"written to {output}: verify.json, {', '.join(path.name for path in paths)}")
        raise typer.Exit(1 if tolerance is not None and not verified.success else 0)
