"""kanpinn interpret: reads a formula off the network of a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.interrupts import importing
from kanpinn.cli.figures import writing
from kanpinn.cli.options import RunPath, Trust
from kanpinn.cli.screen import note, plain_table, reporting

if TYPE_CHECKING:
    from kanpinn.interpret.formula import EdgeRow, Formula
    from kanpinn.solvers.fit import Fitted
    from kanpinn.solvers.solution import Solution

HEADS = ("edge", "function", "a", "b", "c", "d", "R²", "complexity")
FILES = ("formula.json", "formula.tex", "network.png")


def interpret_command(
    run: RunPath,
    library: Annotated[
        str | None,
        typer.Option(
            "--library",
            metavar="NAMES",
            help="The functions that edges may become: sin,exp,square.",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds",
            help="The limit on the search's processor time; by default that of kanpinn.interpret.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", help="The seed of the sampled rows and of the fits."),
    ] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print formula.json on standard output, nothing else.")
    ] = False,
    trust: Trust = False,
) -> None:
    """Read a formula off a run's network.

    Every edge becomes c f(a x + b) + d with a function f of the library. For a problem the residual
    that the formula leaves is shown, too. formula.json, formula.tex and network.png are written to
    the run folder.
    """
    with reporting():
        with importing():
            from kanpinn.interpret.interpret import interpret as read
            from kanpinn.interpret.pruning import kan_of
            from kanpinn.interpret.univariate import functions
            from kanpinn.runs.results import config_of, load
            from kanpinn.runs.results.record import run_folder

        limit: dict[str, Any] = {}
        if seconds is not None:
            number("--seconds", seconds, above=True)
            limit["seconds"] = seconds
        integer("--seed", seed, least=0)
        names = None if library is None else [n.strip() for n in library.split(",")]
        functions(names)  # refuses unknown names before the run is loaded
        if config_of(run, trust).file.kind == "eigen":
            raise InputError(
                f"{run} has the modes of an eigenvalue problem: formulas are for solutions and fits"
            )
        result = cast("Solution | Fitted", load(run, trust=trust))
        kan_of(result.surrogate)  # refuses networks other than KANs
        formula = read(result, names, seed=seed, **limit)
        folder, record = run_folder(run), formula_record(result, formula)
        with writing(folder):
            _write(result, formula, record, folder)
        if json:
            typer.echo((folder / FILES[0]).read_text(encoding="utf-8"), nl=False)
            return
        for line in _lines(result, formula):
            typer.echo(line)
        note(f"written to {folder}: {', '.join(FILES)}")


def formula_record(result: "Solution | Fitted", formula: "Formula") -> dict[str, Any]:
    """Return the contents of formula.json as plain values."""
    from dataclasses import asdict

    import sympy

    return {
        "formulas": {
            name: {"expression": str(e), "latex": sympy.latex(e)}
            for name, e in zip(result.fields, formula.expressions, strict=True)
        },
        "inputs": [str(symbol) for symbol in formula.symbols],
        "error": formula.error,
        "exact_constants": formula.exact_constants,
        "complexity": formula.complexity,
        "width": list(formula.graph.width),
        "own_edges": formula.own_edges,
        "edges": [asdict(edge) for edge in formula.edges],
        "products": sorted(formula.graph.products),
        "defects": [asdict(defect) for defect in formula.defects],
    }


def _write(
    result: "Solution | Fitted", formula: "Formula", record: dict[str, Any], folder: Path
) -> None:
    import sympy

    from kanpinn._support.files import write_text
    from kanpinn.interpret.pictures import draw_network
    from kanpinn.plotting.style import save
    from kanpinn.runs.results.record import write_record

    read, drawn, picture = FILES
    write_record(folder / read, record)
    equations = (
        f"{name} = {sympy.latex(e)}\n"
        for name, e in zip(result.fields, formula.expressions, strict=True)
    )
    write_text(folder / drawn, "".join(equations))
    symbolic = tuple(formula.graph.edges) if formula.own_edges else ()
    save(draw_network(result, symbolic), folder / picture)


def _lines(result: "Solution | Fitted", formula: "Formula") -> Iterator[str]:
    if not formula.own_edges:
        width = list(formula.graph.width)
        yield f"read off a KAN {width} that was fitted to the values of this network"
    yield plain_table([HEADS, *map(_cells, formula.edges)])
    for layer, unit in sorted(formula.graph.products):
        yield f"layer {layer}: the edges to {unit} are multiplied"
    for name, expression in zip(result.fields, formula.expressions, strict=True):
        yield f"{name} = {expression}"
    yield f"relative error {formula.error:.1e} on rows that were not used to fit constants"
    for defect in formula.defects:
        yield f"{defect.name}: its residual is {defect.relative:.1e} of the terms"
    if formula.is_identity:
        yield "the formula solves the problem: the residual is rounding"


def _cells(edge: "EdgeRow") -> list[str]:
    numbers = (f"{value:.6g}" for value in (edge.a, edge.b, edge.c, edge.d))
    place = f"layer {edge.layer}: {edge.input} to {edge.output}"
    return [place, edge.function, *numbers, f"{edge.r2:.6f}", f"{edge.complexity:g}"]
