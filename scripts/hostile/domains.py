"""Networks in cells on ten kinds of random domains in the plane, for five equations.

Domain and solution are drawn at random, twice for each pair: kanpinn was tuned on the first half,
and the second half was kept aside.
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from common import script
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Domain, Points

NAMES = ("Poisson", "reaction", "advection", "varying", "cubic")


class Drawn(kp.Problem):
    """One of five equations, with values on most of the boundary and a flux on one piece.

    Poisson: Δu = f; reaction: Δu - c u = f with c = 100; advection: Δu / 20 - b · ∇u = f with |b| =
    1; varying: ∇ · (a ∇u) = f with a = 1 + x² + y²; cubic: Δu - u³ = f. The solution is the sum of
    a wave and a peak, whose width is between 1/30 of the domain's height and that height. If the
    boundary has several pieces, the flux is given on the last one.

    Args:
        kind: one of NAMES.
        domain: in the plane.
        draw: the generator of the solution's numbers.
    """

    def __init__(self, kind: str, domain: Domain, draw: np.random.Generator) -> None:
        self.kind, self.domain = kind, domain
        self.wave = torch.from_numpy(draw.uniform(-8, 8, 2))
        self.phase, angle = (float(one) for one in draw.uniform(0, 2 * math.pi, 2))
        self.flow = math.cos(angle), math.sin(angle)
        low, high = domain.bounds
        self.top = low + (high - low) * torch.from_numpy(draw.uniform(0, 1, 2))
        self.width = float(high[1] - low[1]) / 30 ** float(draw.uniform(0, 1))

    def residual(self, p, u):
        return self.operator(p, u) - self.source(p)

    def operator(self, p, u):
        """The left-hand side of the equation, (n, 1)."""
        x, y = kp.partial(u, "x"), kp.partial(u, "y")
        if self.kind == "reaction":
            return kp.laplacian(u) - 100 * u.value
        if self.kind == "advection":
            return kp.laplacian(u) / 20 - self.flow[0] * x - self.flow[1] * y
        if self.kind == "varying":
            return (1 + p.x**2 + p.y**2) * kp.laplacian(u) + 2 * (p.x * x + p.y * y)
        return kp.laplacian(u) - (u.value**3 if self.kind == "cubic" else 0)

    def conditions(self):
        boundary = self.domain.boundary
        names = list(dict.fromkeys(boundary.names))
        if len(names) == 1:
            return [kp.Dirichlet(boundary, self.exact)]
        return [
            kp.Dirichlet(boundary[tuple(names[:-1])], self.exact),
            kp.Neumann(boundary[names[-1]], self.flux),
        ]

    def exact(self, p: Points) -> Tensor:
        wave = torch.sin(p.coords @ self.wave + self.phase)
        return wave[:, None] + self.peak(p)

    def peak(self, p: Points) -> Tensor:
        """exp(-|x - top|² / width²), (n, 1)."""
        square = ((p.coords - self.top) ** 2).sum(dim=1, keepdim=True)
        return torch.exp(-square / self.width**2)

    def flux(self, p: Points) -> Tensor:
        """∂u/∂n."""
        wave = torch.cos(p.coords @ self.wave + self.phase)[:, None] * self.wave
        slope = wave - 2 / self.width**2 * (p.coords - self.top) * self.peak(p)
        assert p.normals is not None
        return (slope * p.normals).sum(dim=1, keepdim=True)


Draw = np.random.Generator


def holes(draw: Draw) -> Domain:
    """A square with one to six small round holes."""
    domain: Domain = kp.Box(x=(0, 1), y=(0, 1))
    found: list[tuple[float, float, float]] = []
    while len(found) < 1 + int(draw.integers(6)):
        radius = float(draw.uniform(0.01, 0.06))
        x, y = (float(c) for c in draw.uniform(0.05 + radius, 0.95 - radius, 2))
        if all(math.hypot(x - a, y - b) > 1.2 * (radius + r) for a, b, r in found):
            found.append((x, y, radius))
            domain = domain - kp.Disk((x, y), radius)
    return domain


def ring(draw: Draw) -> Domain:
    """A disk with an eccentric round hole."""
    radius, angle = draw.uniform(0.2, 0.5), draw.uniform(0, 2 * math.pi)
    off = draw.uniform(0.1, 0.8 - radius)
    middle = float(off * math.cos(angle)), float(off * math.sin(angle))
    return kp.Disk((0, 0), 1) - kp.Disk(middle, float(radius))


def ellipse(draw: Draw) -> Domain:
    """An ellipse of any direction."""
    return kp.Ellipse((0, 0), (1, float(draw.uniform(0.3, 0.9))), float(draw.uniform(0, math.pi)))


def polygon(draw: Draw) -> Domain:
    """A convex polygon of three to eight corners."""
    count = int(draw.integers(3, 9))
    angles = (np.arange(count) + draw.uniform(-0.3, 0.3, count)) * 2 * math.pi / count
    return kp.Polygon([(math.cos(angle), math.sin(angle)) for angle in angles])


def star(draw: Draw) -> Domain:
    """A polygon whose corners alternately point outwards and inwards."""
    count = 2 * int(draw.integers(3, 6))
    angles = np.arange(count) * 2 * math.pi / count + draw.uniform(0, 2 * math.pi)
    radii = np.where(np.arange(count) % 2, draw.uniform(0.4, 0.7, count), 1.0)
    corners = zip(angles, radii, strict=True)
    return kp.Polygon([(r * math.cos(angle), r * math.sin(angle)) for angle, r in corners])


def notched(draw: Draw) -> Domain:
    """A rectangle with an oblique rectangular notch in one side."""
    width, angle = float(draw.uniform(0.1, 0.4)), float(draw.uniform(-0.5, 0.5))
    x, depth = float(draw.uniform(0.6, 1.4)), float(draw.uniform(0.3, 0.7))
    along, across = (
        np.array([math.cos(angle), math.sin(angle)]),
        [-math.sin(angle), math.cos(angle)],
    )
    base, half, up = np.array([x, -0.5]), along * width / 2, np.array(across) * (0.5 + depth)
    notch = kp.Polygon([base - half, base + half, base + half + up, base - half + up])
    return kp.Box(x=(0, 2), y=(0, 1)) - notch


def pair(draw: Draw) -> Domain:
    """The union of two disks, which meet in two corners that point inwards."""
    radius = float(draw.uniform(0.5, 1))
    return kp.Disk((0, 0), 1) | kp.Disk((float(draw.uniform(0.7, 1.3)), 0), radius)


def stadium(draw: Draw) -> Domain:
    """A rectangle with a half disk at its end."""
    length = float(draw.uniform(0.5, 2))
    return kp.Box(x=(0, length), y=(-0.5, 0.5)) | kp.Disk((length, 0), 0.5)


def bite(draw: Draw) -> Domain:
    """A disk without the part in another disk, which leaves two sharp corners."""
    return kp.Disk((0, 0), 1) - kp.Disk((float(draw.uniform(0.8, 1.3)), 0.1), 0.6)


def frame(draw: Draw) -> Domain:
    """A rectangle with a rectangular hole."""
    (x, y), (a, b) = draw.uniform(0.1, 0.5, 2), draw.uniform(0.2, 0.4, 2)
    hole = kp.Box(x=(float(2 * x), float(2 * x + a)), y=(float(y), float(y + b)))
    return kp.Box(x=(0, 2), y=(0, 1)) - hole


KINDS = (holes, ring, ellipse, polygon, star, notched, pair, stadium, bite, frame)


@dataclass(frozen=True)
class Solved:
    """A solve on a random domain, of the first or of the second half; NaN where it was refused."""

    half: int
    domain: str
    equation: str
    unknowns: int
    error: float
    estimated: float
    seconds: float
    status: str

    @property
    def converged(self) -> bool:
        return self.status.startswith("converged")

    def failed(self, tolerance: float) -> bool:
        """Return whether it did not converge, or to a wrong solution."""
        return not self.converged or self.error > SLACK * tolerance


SLACK = 3
"""Estimates are right up to this factor."""


def solved(half: int, domain: int, equation: int, degree: int, tolerance: float) -> Solved:
    """Draw a domain of a kind and a solution of an equation, and solve by cells of a degree."""
    draw = np.random.default_rng([half, domain, equation])
    problem = Drawn(NAMES[equation], KINDS[domain](draw), draw)
    names, begun = (KINDS[domain].__name__, NAMES[equation]), time.process_time()
    cells = 4 if degree > 4 else 2  # few in a smoke run
    network, settings = kp.Cells([2, 1], degree, cells), kp.AdaptiveLeastSquares(tolerance)
    try:
        solution = kp.solve(problem, network, settings, verified=False)
    except kp.InputError as refused:
        seconds = time.process_time() - begun
        return Solved(half, *names, 0, math.nan, math.nan, seconds, str(refused))
    seconds = time.process_time() - begun
    assert solution.errors is not None
    estimated = solution.history.rows[-1].get("estimated_error", math.nan)
    size, error, status = solution.parameters, solution.errors.l2_relative, solution.status
    return Solved(half, *names, size, error, estimated, seconds, status)


def judged(found: Sequence[Solved], tolerance: float) -> dict[str, script.Verdict]:
    """The worst figures of each half beside their targets."""
    figures: dict[str, script.Verdict] = {}
    for half in sorted({one.half for one in found}):
        own = [one for one in found if one.half == half]
        solves = [one for one in own if not math.isnan(one.error)]
        ratios = [one.estimated / one.error for one in solves if one.error > tolerance / 100]
        least, most = min(ratios, default=1.0), max(ratios, default=1.0)  # 1: all are rounding
        converged = sum(one.converged for one in own)
        wrong = sum(one.converged and one.failed(tolerance) for one in own)
        seconds = [one.seconds for one in own]
        rows: list[tuple[str, object, str, bool | None]] = [
            ("converged", f"{converged} of {len(own)}", "all", converged == len(own)),
            (f"converged with an error above {SLACK:g} tolerances", wrong, "none", wrong == 0),
            ("least estimate over error", least, f"at least 1/{SLACK}", least >= 1 / SLACK),
            ("greatest estimate over error", most, f"at most {SLACK}", most <= SLACK),
            ("median of the seconds", median(seconds), "none", None),
            ("most seconds", max(seconds), "at most 30", max(seconds) <= 30),
        ]
        figures |= {
            f"domains, half {half}: {name}": script.verdict(value, target, met)
            for name, value, target, met in rows
        }
    return figures


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, script.Verdict]:
    """Solve for all kinds and equations, in a smoke run for two of them, and judge the errors."""
    pairs = [(i, j) for i in range(len(KINDS)) for j in range(len(NAMES))]
    degree, tolerance = 12, 1e-8
    if chosen.smoke:
        assert all(kind(np.random.default_rng(0)).measure > 0 for kind in KINDS)
        pairs, degree, tolerance = [(KINDS.index(kind), 0) for kind in (ellipse, polygon)], 3, 0.5
    halves = range(1, chosen.halves + 1)
    found = [solved(half, i, j, degree, tolerance) for half in halves for i, j in pairs]
    script.write_rows(chosen.output / "domains.csv", Solved, found)
    failures += [
        f"{one.domain}, {one.equation}, half {one.half}: {one.status}, error {one.error:.1e}"
        for one in found
        if one.failed(tolerance)
    ]
    return judged(found, tolerance)
