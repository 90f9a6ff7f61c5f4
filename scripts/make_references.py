"""Reference solutions of the library's evolution problems that have no closed form.

What: the Allen–Cahn, Kuramoto–Sivashinsky, Schrödinger and Zabusky–Kruskal problems of problems/,
periodic in x, and its Allen–Cahn and Gray–Scott problems in two dimensions, are solved with Fourier
modes and ETDRK4 time steps in float64, each with two resolutions, whose difference is a generous
estimate of the finer one's error. Where the solution is smooth enough, the file holds its values on
a grid, between whose points splines interpolate, and the error of these splines at other points is
measured too. Otherwise, and in two dimensions, it holds points with weights.

How long: five minutes on one idle core; --smoke: some seconds, its files are of no use.

Writes to --output: a file for each problem, such as allen_cahn.h5, to be copied to problems/;
make_references.json; and pieces/, each solution: a run that was stopped continues from them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from common import options, verdicts
from common.pieces import Pieces
from references import cases, keeping, plane

NAME = Path(__file__).stem


def main(given: Sequence[str] | None = None) -> None:
    parser = options.parser(NAME, __doc__)
    known = [*cases.CASES, *plane.CASES]
    parser.add_argument("--only", nargs="+", choices=known, default=known)
    chosen = options.finish(NAME, parser.parse_args(given))
    chosen.output.mkdir(parents=True, exist_ok=True)
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    figures: dict[str, verdicts.Figure] = {}
    for name in chosen.only:
        if name in plane.CASES:
            square = plane.CASES[name]()
            square = plane.smoke(square) if chosen.smoke else square
            figures |= make_plane(name, square, chosen.output / f"{name}.h5", pieces)
            continue
        case = cases.CASES[name]()
        case = cases.smoke(case) if chosen.smoke else case
        figures |= make(name, case, chosen.output / f"{name}.h5", pieces)
    if chosen.smoke:
        figures = {name: {**figure, "met": None} for name, figure in figures.items()}
    verdicts.write(chosen.output / f"{NAME}.json", figures)


def make(name: str, case: cases.Case, path: Path, pieces: Pieces) -> dict[str, verdicts.Figure]:
    """Write the file of one reference solution and return its figures."""
    coarse, fine = (
        pieces.pickled(key_of(name, c, "fields"), partial(keeping.fields_of, c))
        for c in (case.coarser(), case)
    )
    differences = keeping.differences(case, coarse, fine)
    keeping.write(path, case, fine)
    found: dict[str, tuple[float, float]] = {"bytes": (path.stat().st_size, keeping.SIZE)}
    for end, difference in differences.items():
        what = f"relative L2 difference of two resolutions up to t = {end:.3g}"
        found[what] = difference, case.targets[end]
    if case.weights is None:
        errors = pieces.pickled(key_of(name, case, "between"), partial(keeping.between, case, path))
        for end, error in errors.items():
            found[f"relative L2 error between the points up to t = {end:.3g}"] = (
                error,
                case.targets[end],
            )
    return judged(name, found)


def make_plane(
    name: str, case: plane.PlaneCase, path: Path, pieces: Pieces
) -> dict[str, verdicts.Figure]:
    """Write the file of one reference solution in two dimensions and return its figures."""
    coarse, fine = (
        pieces.pickled(key_of(name, c, "fields"), partial(plane.solve, c))
        for c in (case.coarser(), case)
    )
    plane.write(path, case, fine)
    difference = plane.difference(case, coarse, fine)
    return judged(
        name,
        {
            "bytes": (path.stat().st_size, keeping.SIZE),
            "relative L2 difference of two resolutions": (difference, case.target),
        },
    )


def judged(name: str, found: Mapping[str, tuple[float, float]]) -> dict[str, verdicts.Figure]:
    """Print values and return them beside their targets."""
    figures: dict[str, verdicts.Figure] = {}
    for what, (value, target) in found.items():
        met = value <= target
        figures[f"{name}: {what}"] = {"value": value, "target": f"<= {target:g}", "met": met}
        print(f"{name}: {what}: {value:.2g}", flush=True)
    return figures


def key_of(name: str, case: cases.Case | plane.PlaneCase, what: str) -> dict[str, object]:
    """Return the key of a piece: what is kept of a case, and its resolution."""
    return {"reference": name, "what": what, "modes": case.modes, "step": case.step}


if __name__ == "__main__":
    main()
