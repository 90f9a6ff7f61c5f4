"""Evolutions by kanpinn's march and by other codes, in one run: errors against seconds.

What: the problems burgers (whose odd solution is periodic too), allen_cahn, kuramoto_sivashinsky,
zabusky_kruskal and schroedinger of problems/, solved by kp.March at several tolerances; by SciPy's
solve_ivp(Radau) with Galerkin's method on the splines of the march of the same tolerance, those of
the window with the most intervals; by Fourier modes with ETDRK4 time steps, and by Dedalus with
Fourier modes and its RK443, at several resolutions. Dedalus is installed by pip into an environment
of its own, for which it needs the headers of MPI and FFTW; where that fails its row says so.

Errors are relative L2 errors over space at the last moment, against a formula or finer Fourier
modes. Seconds are those of the processor, of one thread, without imports.

How long: ten minutes on one idle core; --smoke: some seconds, without Dedalus.

Writes to --output: points.csv (every solve), table.md (seconds of the march to an error, and the
other codes' ratios to them), march_peers.png and .pdf, march_peers.json; and pieces/: a run that
was stopped continues from them.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from common import script
from common.pieces import Pieces
from marches import codes, picture
from marches.codes import Point
from numpy import ndarray
from peers.launch import PeerError, default_folder

NAME = Path(__file__).stem
ERRORS = (1e-4, 1e-6, 1e-8)


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        NAME,
        __doc__,
        given,
        only=dict(nargs="+", choices=codes.CASES, default=[*codes.CASES]),
        budget=dict(type=float, default=20.0, help="seconds of the last solve (20)"),
        environments=dict(type=Path, default=default_folder()),
    )
    torch.set_num_threads(1)
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    codes.march(codes.smoke(codes.burgers()), 1e-3)  # imports what a solve needs
    points: list[Point] = []
    for name in chosen.only:
        case = codes.CASES[name]()
        case = codes.smoke(case) if chosen.smoke else case
        folder = None if chosen.smoke else chosen.environments.expanduser()
        made = partial(measured, case, chosen.budget, folder)
        points += pieces.records(Point, {"case": name, "budget": chosen.budget}, made)
    write(points, chosen.output, chosen.smoke)


def measured(case: codes.Case, budget: float, folder: Path | None) -> list[Point]:
    """Return the points of all codes; without Dedalus if there is no folder for it."""
    found = []
    for one in points_of(case, budget, folder):
        print(f"{one.case}, {one.code}, {one.setting}: {one.error:.1e} in {one.seconds:.2f} s")
        sys.stdout.flush()
        found.append(one)
    return found


def points_of(case: codes.Case, budget: float, folder: Path | None) -> Iterator[Point]:
    """Yield the points of all codes; a code stops after the first solve above the budget."""
    exact, patient = case.exact(), True
    for point, tolerance, breaks in codes.marches(case, exact, budget):
        yield point
        if patient:
            other = codes.radau(case, exact, tolerance, breaks)
            yield other
            patient = 3 * other.seconds < budget
    yield from (codes.etdrk4(case, exact, *one) for one in case.resolutions)
    if folder is not None:
        yield from of_dedalus(case, exact, budget, folder)


def of_dedalus(case: codes.Case, exact: ndarray, budget: float, folder: Path) -> Iterator[Point]:
    """Yield the points of Dedalus, or say why there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for one in case.resolutions:
            found = codes.dedalus(case, exact, *one, folder)
            yield found
            if 3 * found.seconds > budget:
                return
    except PeerError as error:
        print(f"{case.name}: no row for Dedalus: {error}", file=sys.stderr)


def write(points: Sequence[Point], output: Path, smoke: bool) -> None:
    """Write the points, the table, the picture and the verdicts."""
    with (output / "points.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*Point.__annotations__])
        writer.writeheader()
        writer.writerows(vars(one) for one in points)
    text = picture.markdown(picture.ratios(points, ERRORS))
    (output / "table.md").write_text(text, encoding="utf-8")
    picture.draw(points, output / NAME, smoke)
    figures: dict[str, script.Verdict] = {}
    for case in dict.fromkeys(one.case for one in points):
        own = [one for one in points if one.case == case]
        march, other = (
            picture.seconds_to([p for p in own if p.code == code], 1e-6)
            for code in ("kanpinn", "splines, scipy Radau")
        )
        figures[f"{case}: seconds of scipy's Radau to 1e-6 on the same splines, ratio"] = (
            script.verdict(other / march, ">= 1", None if smoke else other >= march)
        )
    script.write_verdicts(output / f"{NAME}.json", figures)
    print(f"\n{text}")


if __name__ == "__main__":
    main()
