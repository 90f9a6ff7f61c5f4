"""Networks in cells: peaks, fronts, layers, corners and waves, to a tolerance.

What: relative L2 errors, estimated errors, unknowns and processor seconds of `kp.Cells` from 4 × 4
cells with `kp.AdaptiveLeastSquares` on two peaks, a circular front, a boundary layer, an
oscillation that becomes faster towards a corner, corners that point inwards, one of them with a
reaction, all to 1e-8, and on Helmholtz' equation with wave numbers 40, 100 and 200 close to a
resonance, to 1e-8 and 1e-12. Six of these are also solved in cells to larger tolerances and by
quartic finite elements of scikit-fem, whose triangles are refined where the true error is largest.

How long: half an hour of one core; --smoke: seconds, its numbers mean nothing.

Writes to --output: cells.md, cells.png, cells.json, and pieces/, the solves: a run that was stopped
continues from them.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import script
from common.pieces import Pieces
from common.script import solve_job
from matplotlib.figure import Figure
from skfem import Basis, BilinearForm, ElementTriP4, LinearForm, MeshTri, condense, solve
from skfem.helpers import dot, grad
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.plotting.style import MARKERS, PALETTE, new_figure, tidy

Function = Callable[[Points], Tensor]


@dataclass(frozen=True)
class Weak:
    """The equation -ε Δu + b · ∇u + c u = f for finite elements.

    Args:
        source: f.
        diffusion, velocity: ε and b, which are constants.
        reaction: c; None for zero.
    """

    source: Function
    diffusion: float = 1.0
    velocity: tuple[float, float] = (0.0, 0.0)
    reaction: Function | None = None


@dataclass(frozen=True)
class Case:
    """A problem, the degree of its cells, and the relative L2 error and the seconds to reach.

    weak: its equation for finite elements; None if they do not solve this case.
    """

    name: str
    problem: kp.Problem
    degree: int
    tolerance: float
    seconds: float
    weak: Weak | None = None

    def exact(self, p: Points) -> Tensor:
        """The exact solution at points, (n, 1)."""
        assert self.problem.exact is not None
        found = self.problem.exact(p)
        assert isinstance(found, Tensor)
        return found


class BoundaryLayer(kp.Problem):
    """-ε Δu + 2 u_x + u_y = f on [-1, 1]²; layers of the width ε at two sides."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def __init__(self, width: float = 1e-3) -> None:
        self.width = width

    def residual(self, p, u):
        flow = 2 * kp.partial(u, "x") + kp.partial(u, "y")
        return -self.width * kp.laplacian(u) + flow - self.source(p)

    def source(self, p):
        """f by the product rule; A, B: the factors of the layers, C the cosine."""
        eps, pi = self.width, math.pi
        a, b = torch.exp((p.x - 1) / eps), torch.exp((p.y - 1) / eps)
        cos, sin = torch.cos(pi * (p.x + p.y)), torch.sin(pi * (p.x + p.y))
        own = 2 * eps * pi**2 * (1 - a) * (1 - b) * cos - 3 * pi * (1 - a) * (1 - b) * sin
        along = -a / eps * (1 - b) * cos - 2 * pi * a * (1 - b) * sin
        across = -2 * pi * b * (1 - a) * sin
        return own + along + across

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        layers = (1 - torch.exp((p.x - 1) / self.width)) * (1 - torch.exp((p.y - 1) / self.width))
        return layers * torch.cos(math.pi * (p.x + p.y))


class Oscillatory(kp.Problem):
    """-Δu - u / (α + r)⁴ = f on [0, 1]²; u = sin(1 / (α + r)), α = 1 / (N π): N half waves in r."""

    domain = kp.Box(x=(0, 1), y=(0, 1))

    def __init__(self, halves: int = 10) -> None:
        self.alpha = 1 / (halves * math.pi)

    def radius(self, p):
        return torch.sqrt(p.x**2 + p.y**2)

    def reaction(self, p):
        return -1 / (self.alpha + self.radius(p)) ** 4

    def source(self, p):
        r = self.radius(p)
        w = self.alpha + r
        return torch.cos(1 / w) * (1 / (r * w**2) - 2 / w**3)

    def residual(self, p, u):
        return -kp.laplacian(u) + self.reaction(p) * u.value - self.source(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.sin(1 / (self.alpha + self.radius(p)))


class CornerWithReaction(kp.Problem):
    """-Δu + 9 u = f in an L-shape; u = I_λ(3 r) sin λθ + sin(x + 2y), λ = 2/3.

    Unlike r^λ sin λθ, this solution is no singular function of Laplace's equation: the modified
    Bessel function is r^λ (1 + r² 9 / (4 (λ + 1)) + …).
    """

    domain = kp.LShape()
    corner = kp.Corner(domain, (0, 0), 1)

    def residual(self, p, u):
        return -kp.laplacian(u) + self.reaction(p) * u.value - self.source(p)

    def reaction(self, p):
        return torch.full_like(p.x, 9.0)

    def source(self, p):
        return 14 * torch.sin(p.x + 2 * p.y)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        r, theta = self.corner.polar(p.coords)
        power, terms = math.pi / self.corner.angle, 25
        term = total = r**power
        for k in range(1, terms):
            term = term * (9 * r**2 / 4) / (k * (k + power))
            total = total + term
        return total * torch.sin(power * theta) + torch.sin(p.x + 2 * p.y)


def corner(angle: float) -> kp.Problem:
    """Laplace's equation around a corner that points inwards."""
    return solve_job("reentrant_corner", [f"problem.parameters={{angle={angle}}}"]).problem


def cases(smoke: bool) -> list[Case]:
    """Return the cases; those of a smoke run take seconds."""
    peaks, front = (solve_job(name).problem for name in ("two_peaks", "circular_front"))
    layer = BoundaryLayer(0.1 if smoke else 1e-3)
    wave, l_shape, reaction = Oscillatory(3 if smoke else 10), corner(270), CornerWithReaction()
    degree, tolerance = (3, 0.9) if smoke else (12, 1e-8)

    def case(name: str, problem: kp.Problem, seconds: float, weak: Weak | None = None) -> Case:
        return Case(name, problem, degree, tolerance, seconds, weak)

    found = [
        case("two peaks", peaks, 20, Weak(peaks.source)),
        case("boundary layer", layer, 60, Weak(layer.source, layer.width, (2.0, 1.0))),
        case("oscillatory", wave, 60, Weak(wave.source, reaction=wave.reaction)),
        case("corner of 270°", l_shape, 60, Weak(lambda p: torch.zeros_like(p.x))),
        case(
            "corner with reaction", reaction, 60, Weak(reaction.source, reaction=reaction.reaction)
        ),
    ]
    if smoke:  # the quick ones; together they have all kinds of terms
        return found[1:3] + found[4:]
    found.insert(1, case("circular front", front, 60, Weak(front.source)))
    found += [case(f"corner of {angle}°", corner(angle), 60) for angle in (225, 315)]
    for k, degree, rough, fine in ((40, 20, 2, 4), (100, 24, 20, 60), (200, 24, 90, 180)):
        waves = solve_job("helmholtz40", [f"problem.parameters={{wavenumber={k}}}"]).problem
        found.append(Case(f"Helmholtz {k}", waves, degree, 1e-8, rough))
        found.append(Case(f"Helmholtz {k}, fine", waves, degree, 1e-12, fine))
    return found


ORDER = 10  # of the quadrature


@dataclass(frozen=True)
class OnMesh:
    """A finite element solution: triangles, unknowns, relative L2 error, seconds since the start.

    The seconds are those of the processor for this mesh and all coarser ones.
    """

    cells: int
    unknowns: int
    error: float
    seconds: float


def refined(case: Case, limit: float) -> Iterator[OnMesh]:
    """Solve on one mesh after another, until all together have taken more than `limit` seconds.

    The smallest set of triangles that causes half of the squared error of the gradient is refined.
    This is the true error, against the exact solution, so that no estimate of the error could lead
    to better meshes. The seconds to compute it do not count.
    """
    assert case.weak is not None
    mesh, seconds = first_mesh(case), 0.0
    while seconds < limit:
        begun = time.process_time()
        basis = Basis(mesh, ElementTriP4(), intorder=ORDER)
        values = _element_solution(case, case.weak, basis)
        seconds += time.process_time() - begun
        error, shares = _errors(case, basis, values)
        yield OnMesh(mesh.t.shape[1], basis.N, error, seconds)
        begun = time.process_time()
        mesh = mesh.refined(largest(shares))
        seconds += time.process_time() - begun


def first_mesh(case: Case) -> MeshTri:
    """The halves of 4 × 4 squares of the bounding box that lie in the domain."""
    domain, squares = case.problem.domain, 4
    (left, low), (right, high) = (corner.tolist() for corner in domain.bounds)
    sides = np.linspace(left, right, squares + 1), np.linspace(low, high, squares + 1)
    mesh = MeshTri.init_tensor(*sides)
    middles = torch.from_numpy(mesh.p[:, mesh.t].mean(axis=1).T.copy())
    outside = (~domain.contains(middles)).nonzero()[:, 0].numpy()
    return mesh.remove_elements(outside) if len(outside) else mesh


def largest(shares: np.ndarray) -> np.ndarray:
    """The smallest set of triangles with half of the sum of the shares."""
    falling = np.argsort(-shares)
    reached = np.cumsum(shares[falling])
    return falling[: int(np.searchsorted(reached, 0.5 * reached[-1])) + 1]


def _element_solution(case: Case, weak: Weak, basis: Basis) -> np.ndarray:
    @BilinearForm
    def form(u, v, w):
        x, y = weak.velocity
        found = weak.diffusion * dot(grad(u), grad(v)) + (x * u.grad[0] + y * u.grad[1]) * v
        return found if weak.reaction is None else found + _at(case, w.x, weak.reaction) * u * v

    @LinearForm
    def load(v, w):
        return _at(case, w.x, weak.source) * v

    known, walls = basis.zeros(), basis.get_dofs()
    known[walls] = _at(case, basis.doflocs[:, walls.flatten()], case.exact)
    return solve(*condense(form.assemble(basis), load.assemble(basis), x=known, D=walls))


def _at(case: Case, x: np.ndarray, function: Callable) -> np.ndarray:
    """The values of a function of points; x: their coordinates, (2, …)."""
    return function(_points(case, x)).numpy().reshape(x.shape[1:])


def _points(case: Case, x: np.ndarray) -> Points:
    coords = torch.from_numpy(np.ascontiguousarray(np.asarray(x).reshape(2, -1).T))
    return Points(coords, case.problem.domain.names)


def _errors(case: Case, basis: Basis, values: np.ndarray) -> tuple[float, np.ndarray]:
    """The relative L2 error, and the squared errors of the gradient by triangles."""
    places = np.asarray(basis.global_coordinates())
    coords = _points(case, places).coords.requires_grad_()
    exact = case.exact(Points(coords, case.problem.domain.names))
    (slopes,) = torch.autograd.grad(exact.sum(), coords)
    true = exact.detach().numpy().reshape(places.shape[1:])
    found = basis.interpolate(values)
    squares = [((e**2) * basis.dx).sum() for e in (np.asarray(found) - true, true)]
    missed = found.grad - slopes.numpy().T.reshape(places.shape)
    return math.sqrt(squares[0] / squares[1]), ((missed**2).sum(axis=0) * basis.dx).sum(axis=1)


@dataclass(frozen=True)
class Solved:
    """A solve of a case: its way ("cells" or "P4"), cells, unknowns, errors and seconds.

    tolerance: of the solve in cells; NaN for elements.
    """

    case: str
    way: str
    tolerance: float
    cells: int
    unknowns: int
    error: float
    estimated: float
    seconds: float
    status: str


def by_cells(case: Case, tolerance: float) -> Solved:
    """Solve once for the processor seconds, without measuring errors, and once for the errors."""
    begun = time.process_time()
    _solution(case, tolerance, errors=False)
    seconds = time.process_time() - begun
    found = _solution(case, tolerance, errors=True)
    assert found.errors is not None
    estimated = found.history.rows[-1].get("estimated_error", math.nan)
    error, cells = found.errors.l2_relative, int(found.history.rows[-1]["cells"])
    measured = found.parameters, error, estimated, seconds, found.status
    return Solved(case.name, "cells", tolerance, cells, *measured)


def _solution(case: Case, tolerance: float, errors: bool) -> kp.Solution:
    network = kp.Cells([2, 1], case.degree, 4 if case.degree > 4 else 2)  # few in a smoke run
    settings = kp.AdaptiveLeastSquares(tolerance=tolerance)
    return kp.solve(case.problem, network, settings, errors=errors, verified=False)


def by_elements(case: Case, limit: float) -> list[Solved]:
    """Solve on refined meshes, until all together have taken `limit` seconds."""
    return [
        Solved(
            case.name, "P4", math.nan, one.cells, one.unknowns, one.error, math.nan, one.seconds, ""
        )
        for one in refined(case, limit)
    ]


def all_ways(
    chosen: Sequence[Case], rougher: Sequence[float], limit: float, pieces: Pieces
) -> list[Solved]:
    """Measure every case; progress is written to standard error.

    Args:
        chosen: the cases.
        rougher: further tolerances, for the cases that are also solved by elements.
        limit: the seconds that elements may take for each case.
        pieces: where finished solves are kept.
    """
    _solution(
        chosen[0], 0.9, errors=False
    )  # loads libraries, whose time is not that of the first solve measured
    found = []
    for case in chosen:
        made = []
        for tolerance in (*rougher, case.tolerance) if case.weak else (case.tolerance,):
            key = {"case": case.name, "degree": case.degree, "tolerance": tolerance}
            made += pieces.records(Solved, key, lambda: [by_cells(case, tolerance)])  # noqa: B023
        if case.weak:
            more = {"case": case.name, "limit": limit}
            made += pieces.records(Solved, more, lambda: by_elements(case, limit))  # noqa: B023
        for one in made:
            sys.stderr.write(
                f"{one.case}: {one.way}, {one.cells} cells, {one.unknowns} unknowns, "
                f"error {one.error:.1e}, estimated {one.estimated:.1e}, {one.seconds:.2f} s "
                f"{one.status}\n"
            )
        found += made
    return found


def seconds_of_elements(elements: Sequence[Solved], error: float) -> float:
    """The seconds in which elements reach an error, interpolated between two meshes.

    If no mesh reaches the error, the seconds of the last one are returned, which are too few.
    """
    before = elements[0]
    for one in elements:
        if one.error <= error and one is not before:
            part = math.log(before.error / error) / math.log(before.error / one.error)
            return before.seconds * (one.seconds / before.seconds) ** part
        before = one
    return elements[-1].seconds


NAME = Path(__file__).stem
HEAD = ("problem", "way", "cells", "unknowns", "relative L2 error", "estimated", "seconds")


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        NAME, __doc__, given, only=dict(default="", help="cases whose names contain this")
    )
    wanted = [case for case in cases(chosen.smoke) if chosen.only in case.name]
    if not wanted:
        chosen.error(f"--only {chosen.only}: no case's name contains it")
    rougher, limit = ((), 0.01) if chosen.smoke else ((1e-5, 1e-6, 1e-7), 60.0)
    found = all_ways(wanted, rougher, limit, Pieces.under(chosen.output, again=chosen.smoke))
    rows = [
        [
            *(one.case, one.way, str(one.cells), str(one.unknowns)),
            *(f"{one.error:.1e}", f"{one.estimated:.1e}", f"{one.seconds:.2f}"),
        ]
        for one in found
    ]
    drawn = {NAME: draw(wanted, found)}
    script.publish(chosen, script.markdown(HEAD, rows), judged(wanted, found), drawn)


def judged(wanted: Sequence[Case], found: Sequence[Solved]) -> dict[str, script.Verdict]:
    """Return error, estimate and seconds of each solve in cells beside its targets."""
    figures: dict[str, script.Verdict] = {}
    for case in wanted:
        own = [s for s in found if s.case == case.name]
        (one,) = (s for s in own if s.tolerance == case.tolerance)
        slack = 3  # estimates are right up to this factor
        ratio, near = one.estimated / one.error, f"within a factor of {slack}"
        figures |= {
            f"{case.name}: {name}": script.verdict(value, target, met)
            for name, value, target, met in (
                ("error", one.error, f"at most {case.tolerance:g}", one.error <= case.tolerance),
                ("estimate over error", ratio, near, 1 / slack <= ratio <= slack),
                ("seconds", one.seconds, f"at most {case.seconds:g}", one.seconds <= case.seconds),
            )
        }
        figures |= {
            f"{case.name}: P4 over cells, at {cells.tolerance:g}": _beside(cells, own)
            for cells in own
            if case.weak and cells.way == "cells"
        }
    return figures


def _beside(cells: Solved, own: Sequence[Solved]) -> script.Verdict:
    """The ratio of the seconds of finite elements to those of cells, for the same error."""
    elements = [s for s in own if s.way == "P4"]
    ratio = seconds_of_elements(elements, cells.error) / cells.seconds
    return script.verdict(ratio, "at least 1", ratio >= 1)


def draw(wanted: Sequence[Case], found: Sequence[Solved]) -> Figure:
    """Draw errors over seconds: cells of all cases, and finite elements as lines."""
    figure = new_figure(7.5, 4.2)
    axes = figure.subplots()
    for number, case in enumerate(wanted):
        turn, which = divmod(number, len(PALETTE))
        color, marker = PALETTE[which], MARKERS[turn % len(MARKERS)]
        own = [s for s in found if s.case == case.name]
        cells, elements = ([s for s in own if s.way == way] for way in ("cells", "P4"))
        look: dict[str, Any] = {"marker": marker, "color": color, "label": case.name}
        axes.plot([s.seconds for s in cells], [s.error for s in cells], **look)
        axes.plot([s.seconds for s in elements], [s.error for s in elements], "--", color=color)
    axes.set(xscale="log", yscale="log", xlabel="processor seconds", ylabel="relative $L^2$ error")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    axes.grid(linewidth=0.4, color="#dddddd")
    tidy(axes)
    return figure


if __name__ == "__main__":
    main()
