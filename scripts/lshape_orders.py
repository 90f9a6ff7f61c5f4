"""Observed orders of convergence on the L-shape against theory, for five forms of the problem.

What: -Δu = 1 on [-1, 1]² without [0, 1]², u = 0 on the boundary, solved (1) by the strong form as
it is, (2) by the energy, (3) by the energy in coordinates that are fine near the inward corner, (4)
by the strong form with that corner's functions r^(2j/3) sin(2jθ/3) beside the network and (5) with
the other corners' r² ln r too. Networks grow in width and grid together; L2 and H1 errors stand
against the coefficients N that are solved for. Orders are in h = N^(-1/2), as for a quasi-uniform
space of N functions in the plane, which is what theory is about; a KAN's functions are none, so
that agreement is an observation, not a proof.

Errors are against a solution of form (5) with another seed. It is judged by the maximum principle
(a bound of its error at any point) and by one more seed; errors below ten times that one's distance
are left out of the fits, and so is where errors have levelled off.

How long: four minutes on two idle cores; --smoke: half a minute, its orders mean little.

Writes to --output: errors.csv, lshape_orders.md, lshape_orders.png, lshape_orders.json, and
pieces/, the errors of each solve: a run that was stopped goes on from them.
"""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from common import options, verdicts
from common.pieces import Pieces
from lshape_forms import solves as cases
from lshape_forms.solves import SMOKE, Size
from lshape_forms.theory import THEORY, draw

import kanpinn as kp
from kanpinn.accuracy import ErrorNorm, Errors
from kanpinn.accuracy.orders import Fit, before_level
from kanpinn.plotting.style import STYLE, new_figure, save

NAME = Path(__file__).stem
NORMS = {"l2": "L2", "h1": "H1"}
CLEAR = 10.0  # times the reference's own error


def main(given: Sequence[str] | None = None) -> None:
    parser = options.parser(NAME, __doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    chosen = options.finish(NAME, parser.parse_args(given))
    output = chosen.output
    size, seeds = (SMOKE, chosen.seeds[:1]) if chosen.smoke else (Size(), chosen.seeds)
    output.mkdir(parents=True, exist_ok=True)
    figures: dict[str, verdicts.Figure] = {}
    norm, own = reference(size, figures)
    results = sweep(size, seeds, norm, Pieces.under(output, again=chosen.smoke))
    floors = {"l2": CLEAR * own.l2_relative, "h1": CLEAR * own.h1_relative}
    fits = {
        (case, name): fitted([r for r in results if r.case == case], name, floors[name])
        for case in THEORY
        for name in NORMS
    }
    judge(fits, figures)
    if chosen.smoke:
        figures = {name: {**figure, "met": None} for name, figure in figures.items()}
    publish(results, fits, own, figures, output)


def reference(size: Size, figures: dict[str, verdicts.Figure]) -> tuple[ErrorNorm, Errors]:
    """Return the norm that measures errors, and the reference's own error.

    The latter is its distance from one more reference solution.
    """
    one, other = (cases.Known(seed, size) for seed in cases.REFERENCE_SEEDS)
    norm = ErrorNorm(cases.LShape(levels=size.levels), one)
    own = norm(other.jet)
    for name, value in (
        ("reference: max |u| on the boundary", one.boundary_error),
        ("reference: max |residual|", one.largest_residual),
        ("reference: bound of |e| at any point", one.bound),
        ("reference: relative L2 distance to another seed", own.l2_relative),
        ("reference: relative H1 distance to another seed", own.h1_relative),
    ):
        figures[name] = {"value": value, "target": "told", "met": None}
        print(f"{name}: {value:.1e}", flush=True)
    return norm, own


def sweep(size: Size, seeds: Sequence[int], norm: ErrorNorm, pieces: Pieces) -> list[cases.Result]:
    """Return the errors of every form, size and seed, in the order of the forms."""
    results: list[cases.Result] = []
    for case in cases.CASES:
        for width, grid in size.networks:
            found = [
                row
                for seed in seeds
                for row in pieces.records(
                    cases.Result,
                    {"case": case, "width": width, "grid": grid, "seed": seed, "size": repr(size)},
                    lambda: [cases.measure(case, width, grid, seed, norm, size)],  # noqa: B023
                )
            ]
            results += found
            errors = ", ".join(f"L2 {r.l2:.1e} H1 {r.h1:.1e}" for r in found)
            print(f"{case}, N = {found[0].coefficients}: {errors}", flush=True)
    return results


def fitted(results: Sequence[cases.Result], norm: str, floor: float) -> Fit | None:
    """Return the order in h = N^(-1/2), None unless two sizes have errors above the floor."""
    low = {r.coefficients for r in results if getattr(r, norm) < floor}
    kept = [r for r in results if r.coefficients not in low]
    if len({r.coefficients for r in kept}) < 2:
        return None
    inverse, errors = [r.coefficients**0.5 for r in kept], [getattr(r, norm) for r in kept]
    falling = set(before_level(inverse, errors))
    pairs = [pair for pair in zip(inverse, errors, strict=True) if pair[0] in falling]
    return kp.fit_order(*zip(*pairs, strict=True))


def judge(fits: dict[tuple[str, str], Fit | None], figures: dict[str, verdicts.Figure]) -> None:
    for (case, norm), fit in fits.items():
        least, best = THEORY[case].guaranteed[norm], THEORY[case].best[norm]
        told = "no order guaranteed" if least is None else f">= {least:.2f} guaranteed"
        met = None
        if least is not None:
            met = fit is not None and fit.order + (fit.margin or 0.0) >= least
        figures[f"{case}: order of {NORMS[norm]} in N^(-1/2)"] = {
            "value": fit and [fit.order, fit.margin],
            "target": f"{told}, best approximation {best:.2f}",
            "met": met,
        }


def publish(
    results: Sequence[cases.Result],
    fits: dict[tuple[str, str], Fit | None],
    own: Errors,
    figures: dict[str, verdicts.Figure],
    output: Path,
) -> None:
    verdicts.write(output / "lshape_orders.json", figures)
    with (output / "errors.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [f.name for f in dataclasses.fields(cases.Result)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(result) for result in results)
    text = page(results, fits, figures)
    (output / "lshape_orders.md").write_text(text, encoding="utf-8")
    picture = new_figure(9.5, 4.6)
    both = picture.subplots(1, 2)
    for axes, norm, error in zip(both, NORMS, (own.l2_relative, own.h1_relative), strict=True):
        draw(axes, results, norm, error)
    handles, labels = both[0].get_legend_handles_labels()
    picture.legend(
        handles, labels, loc="outside lower center", ncols=5, fontsize=STYLE.small, frameon=False
    )
    picture.suptitle("L-shape: errors against size; dashed: best approximation, quasi-uniform")
    save(picture, output / "lshape_orders.png")
    print(f"\n{text}")


def at_end(results: Sequence[cases.Result], norm: str) -> str:
    """Return the order between the two largest sizes, as text."""
    last = sorted({r.coefficients for r in results})[-2:]
    pairs = [(r.coefficients**0.5, getattr(r, norm)) for r in results if r.coefficients in last]
    return f"{kp.observed_order(*zip(*pairs, strict=True)):.1f}"


def page(
    results: Sequence[cases.Result],
    fits: dict[tuple[str, str], Fit | None],
    figures: dict[str, verdicts.Figure],
) -> str:
    """Return the orders beside those of the theory, as Markdown."""
    head = ["form", "norm", "observed order in N^(-1/2)", "at the largest two sizes"]
    lines = [f"| {' | '.join([*head, 'guaranteed', 'best approximation'])} |", "|" + "---|" * 6]
    for (case, norm), fit in fits.items():
        least, best = THEORY[case].guaranteed[norm], THEORY[case].best[norm]
        told = "–" if least is None else f"{least:.2f}"
        last = at_end([r for r in results if r.case == case], norm)
        lines.append(f"| {case} | {NORMS[norm]} | {fit or '–'} | {last} | {told} | {best:.2f} |")
    lines += ["", *(f"- {case}: {theory.why}." for case, theory in THEORY.items()), ""]
    lines += [f"- {n}: {f['value']:.1e}" for n, f in figures.items() if n.startswith("reference")]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
