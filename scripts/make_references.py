"""Reference solutions of the evolution problems that no formula solves, for the library.

What: the Allen–Cahn, Kuramoto–Sivashinsky and Schrödinger problems of problems/, periodic in x, by
Fourier modes and ETDRK4 time steps in float64, each on two resolutions, whose difference is a
generous estimate of the finer one's error. Where the solution allows it a file is a grid, between
whose points splines interpolate: their error at other points is measured too.

How long: five minutes on one idle core; --smoke: ten seconds, its files are of no use.

Writes to --output: allen_cahn.h5, kuramoto_sivashinsky.h5, schroedinger.h5, which belong into
problems/, and make_references.json.
"""

from collections.abc import Sequence
from pathlib import Path

from common import options, verdicts
from references import cases, keeping
from references.spectral import solve

NAME = Path(__file__).stem


def main(given: Sequence[str] | None = None) -> None:
    parser = options.parser(NAME, __doc__)
    parser.add_argument("--only", nargs="+", choices=cases.CASES, default=[*cases.CASES])
    chosen = options.finish(NAME, parser.parse_args(given))
    chosen.output.mkdir(parents=True, exist_ok=True)
    figures: dict[str, verdicts.Figure] = {}
    for name in chosen.only:
        case = cases.CASES[name]()
        make(name, cases.smoke(case) if chosen.smoke else case, chosen.output, figures)
    if chosen.smoke:
        figures = {name: {**figure, "met": None} for name, figure in figures.items()}
    verdicts.write(chosen.output / f"{NAME}.json", figures)


def make(name: str, case: cases.Case, output: Path, figures: dict[str, verdicts.Figure]) -> None:
    """One file, and its figures."""
    coarse, fine = (
        keeping.fields_of(solve(c.equation, c.t, c.modes, c.step), c)
        for c in (case.coarser(), case)
    )
    difference = keeping.relative(coarse, fine, keeping.weights_of(case))
    path = output / f"{name}.h5"
    keeping.write(path, case, fine)
    found = {
        "relative L2 difference of two resolutions": (difference, case.target),
        "bytes": (path.stat().st_size, keeping.SIZE),
    }
    if case.weights is None:
        found["relative L2 error between the points"] = (keeping.between(case, path), case.target)
    for what, (value, target) in found.items():
        met = value <= target
        figures[f"{name}: {what}"] = {"value": value, "target": f"<= {target:g}", "met": met}
        print(f"{name}: {what}: {value:.2g}", flush=True)


if __name__ == "__main__":
    main()
