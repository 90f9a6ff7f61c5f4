"""kanpinn interpret: reads a formula off the network of a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kanpinn._support.errors import InputError, integer, number
from kanpinn.cli.options import Json, RunPath, Trust
from kanpinn.cli.screen import note, reporting

if TYPE_CHECKING:
    from kanpinn.interpret.formula import Formula
    from kanpinn.solvers.fit import Fitted
    from kanpinn.solvers.solution import Solution

FILES = ("formula.json", "formula.tex", "network.png")


def interpret_command(
    run: RunPath,
    library: Annotated[
        str | None, typer.Option(metavar="NAMES", help="What edges may become: sin,exp,x^2.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="The limit on the search's processor time; 180 by default.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The seed of rows and fits.")] = 0,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Read a formula off a run's network.

    Every edge becomes c f(a x + b) + d with a function f of the library. For a problem, the
    formula's residual is shown as well. formula.json, formula.tex and network.png are written to
    the run folder.
    """
    with reporting():
        from kanpinn.interpret.interpret import interpret as read
        from kanpinn.interpret.pruning import kan_of
        from kanpinn.interpret.univariate import functions
        from kanpinn.runs.results import config_of, load
        from kanpinn.runs.results.record import run_folder

        limit: dict[str, Any] = {} if seconds is None else {"seconds": seconds}
        for given in limit.values():
            number("--seconds", given, above=True)
        integer("--seed", seed, least=0)
        names = None if library is None else [n.strip() for n in library.split(",")]
        functions(names)  # refuses unknown names before the run is loaded
        if config_of(run, trust).file.kind == "eigen":
            raise InputError(f"{run} has eigenmodes: formulas are for solutions and fits")
        result = cast("Solution | Fitted", load(run, trust=trust))
        kan_of(result.surrogate)  # refuses networks other than KANs
        formula = read(result, names, seed=seed, **limit)
        folder = run_folder(run)
        _write(result, formula, folder)
        if json:
            typer.echo((folder / FILES[0]).read_text(encoding="utf-8"), nl=False)
            return
        for line in _lines(result, formula):
            typer.echo(line)
        note(f"written to {folder}: {', '.join(FILES)}")


def _write(result: "Solution | Fitted", formula: "Formula", folder: Path) -> None:
    """Write formula.json, formula.tex and network.png."""
    from dataclasses import asdict

    import sympy

    from kanpinn._support.files import write_text
    from kanpinn.interpret.pictures import draw_network
    from kanpinn.plotting.style import save
    from kanpinn.runs.results.record import write_record

    named = list(zip(result.fields, formula.expressions, strict=True))
    record = {
        "formulas": {
            name: {"expression": str(one), "latex": sympy.latex(one)} for name, one in named
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
    write_record(folder / FILES[0], record)
    equations = "".join(f"{name} = {sympy.latex(one)}\n" for name, one in named)
    write_text(folder / FILES[1], equations)
    symbolic = tuple(formula.graph.edges) if formula.own_edges else ()
    save(draw_network(result, symbolic), folder / FILES[2])


def _lines(result: "Solution | Fitted", formula: "Formula") -> Iterator[str]:
    """Yield the lines that the command prints about a formula."""
    from kanpinn.interpret.pictures import edge_table

    if not formula.own_edges:
        width = list(formula.graph.width)
        yield f"read off a KAN {width} that was fitted to the values of this network"
    table = edge_table(formula)
    yield str(table)
    for layer, unit in sorted(formula.graph.products):
        yield f"layer {layer}: the edges to {unit} are multiplied"
    for name, expression in zip(result.fields, formula.expressions, strict=True):
        yield f"{name} = {expression}"
    yield f"relative error {formula.error:.1e} on rows that were not used to fit constants"
    for defect in formula.defects:
        yield f"{defect.name}: its residual is {defect.relative:.1e} of the terms"
    if formula.is_identity:
        yield "the formula solves the problem: the residual is rounding"
