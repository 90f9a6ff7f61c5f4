"""Two-sided bounds of eigenvalues against eigenvalues that are known."""

import itertools
import math

import numpy
import pytest
import torch
from eigen_cases import DIRICHLET, NEUMANN, UNIT, Free, Membrane, Wind
from library import script
from scipy.optimize import brentq

import kanpinn as kp
from kanpinn.accuracy.certificates import Rules, digest
from kanpinn.accuracy.eigenvalue_bounds import PencilReader, eigenvalue_certificate
from kanpinn.pde.coefficients import Unsuitable


class Plane(Membrane):
    """A membrane with another domain, operator, mass or other conditions."""

    def __init__(self, domain=UNIT, operator=None, mass=None, conditions=None):
        self.domain = domain
        self.operator = operator or super().operator
        self.mass = mass or super().mass
        self.conditions = conditions or super().conditions


L_SHAPE = Plane(kp.LShape())
STIFF_HALF = kp.Box(x=(0.5, 1), y=(0, 0.3))
STRIP = kp.Box(x=(0, 1), y=(0, 0.3))


def stiff(p):
    return torch.where(p.x > 0.5, 4.0, 1.0)


TWO_MATERIALS = Plane(
    STRIP,
    lambda p, u: -stiff(p) * kp.laplacian(u),
    conditions=lambda: [
        kp.Dirichlet(STRIP.boundary["x_min", "x_max"], 0.0),
        kp.Neumann(STRIP.boundary["y_min", "y_max"], 0.0),
        kp.Interface(STRIP, STIFF_HALF.boundary["x_min"], stiff),
    ],
)
ELASTIC_SIDES = Plane(conditions=lambda: [kp.Robin(UNIT.boundary, 3.0, 1.0, 0.0)])
OSCILLATOR = Plane(
    kp.Box(x=(-6, 6), y=(-6, 6)),
    lambda p, u: -kp.laplacian(u) + (p.x**2 + p.y**2 - 10) * u.value,
)
LARGEST = Plane(operator=lambda p, u: kp.laplacian(u), mass=lambda p, u: (2 * u.value,))


def varied(p, u):
    wave, slopes = 4 * p.x + p.y, kp.directional(u, (4.0, 1.0))
    return (2 + torch.sin(wave)) * kp.laplacian(u) + torch.cos(wave) * slopes + p.y * u.value


VARIED = Plane(
    operator=varied,
    mass=lambda p, u: ((1 + p.x * p.y) * u.value,),
    conditions=lambda: [
        kp.Robin(UNIT.boundary["x_min"], lambda p: 1 + p.y, lambda p: 2.0 + 0 * p.y, 0.0),
        kp.Neumann(UNIT.boundary["y_min"]),
        kp.Dirichlet(UNIT.boundary["x_max", "y_max"]),
    ],
)


def certificate(problem, exact, noise=1e-7, width=1e-6):
    values = numpy.array(exact) + noise
    return eigenvalue_certificate(problem, values, numpy.full(len(values), width))


def two_materials():
    """Roots of k cos(k/2) sin(k/4) + 2 k sin(k/2) cos(k/4), squared."""

    def match(k):
        return math.cos(k / 2) * math.sin(k / 4) + 2 * math.sin(k / 2) * math.cos(k / 4)

    grid = numpy.linspace(1, 14, 131)
    pairs = [(a, b) for a, b in itertools.pairwise(grid) if match(a) * match(b) < 0]
    return [brentq(match, a, b, xtol=1e-14) ** 2 for a, b in pairs][:2]


def elastic_sides():
    """Twice the square of the first root of k tan(k/2) = 3."""
    return [2 * brentq(lambda k: k * math.sin(k / 2) - 3 * math.cos(k / 2), 1, 3, xtol=1e-14) ** 2]


@pytest.mark.parametrize(
    ("problem", "exact", "widest"),
    [
        (L_SHAPE, [9.6397238440219], 1e-4),
        (Membrane(), DIRICHLET[:2], 1e-6),  # the second of two equal eigenvalues is not asked for
        (Free(), NEUMANN[:3], 1e-8),
        (TWO_MATERIALS, two_materials(), 1e-6),
        (ELASTIC_SIDES, elastic_sides(), 1e-6),
        (OSCILLATOR, [-8.0, -6.0, -6.0], 1e-6),
        (LARGEST, [-value / 2 for value in DIRICHLET[:3]], 1e-6),
    ],
    ids=["corner", "cut double", "free", "two materials", "Robin", "well", "largest"],
)
def test_exact_eigenvalues_are_between_their_bounds(problem, exact, widest):
    found = certificate(problem, exact, width=widest).bound()
    assert found.numbers == tuple(range(1, len(exact) + 1)) and not found.ended
    slack = 1e-13 * numpy.abs(exact)  # the rounding of the exact eigenvalues
    assert (numpy.array(found.lower) <= exact + slack).all()
    assert (numpy.array(found.upper) >= exact - slack).all()
    assert (numpy.array(found.upper) - found.lower <= widest).all()


LARGE = kp.Box(x=(0, 1e6), y=(0, 1e6))


@pytest.mark.parametrize(
    "problem",
    [
        Plane(LARGE, conditions=lambda: [kp.Dirichlet(LARGE.boundary, 0.0)]),
        Plane(mass=lambda p, u: (1e12 * u.value,)),
    ],
    ids=["length", "mass"],
)
def test_bounds_do_not_depend_on_units(problem):
    exact = numpy.array(DIRICHLET[:1]) * 1e-12
    found = eigenvalue_certificate(problem, exact, 1e-6 * exact).bound()
    assert found.lower[0] < exact[0] < found.upper[0] < found.lower[0] * (1 + 1e-6)


def test_numbers_tell_of_eigenvalues_that_were_missed():
    found = certificate(Membrane(), [DIRICHLET[0], DIRICHLET[3]], width=1e-3).bound()
    assert found.numbers == (1, 4) and found.missed == [2, 3]
    assert str(found).startswith("eigenvalue 1 in [19.7392")


def test_a_script_with_numpy_alone_proves_intervals_and_finds_out_each_changed_array():
    """Eigenvalues that are bounded from above, of an equation whose coefficients all vary."""
    checker = script("check_eigenvalue_certificate")
    found = certificate(VARIED, [-5.0], width=1e-2)
    arrays, (lower, upper) = found.arrays(), found.limits
    assert numpy.allclose(checker.check(arrays), [-upper, -lower], rtol=1e-6)
    others = {"sign": -arrays["sign"], "fixed": ~arrays["fixed"]}
    others |= {"lower": arrays["upper"], "upper": arrays["lower"]}
    for name in arrays.keys() - {"digest"}:
        changed = arrays | {name: others.get(name, 2 * arrays[name] + 1)}
        with pytest.raises(ValueError, match="the file was changed"):
            checker.check(changed)
        changed["digest"] = numpy.array(digest(changed))
        with pytest.raises((ValueError, IndexError)):
            checker.check(changed)
    doubled = arrays | {name: 2 * arrays[name] for name in ("sign", "lower", "upper")}
    doubled["digest"] = numpy.array(digest(doubled))
    with pytest.raises(ValueError, match="not positive"):
        checker.check(doubled)


@pytest.mark.parametrize("shift", [20.0, 150.0])
def test_the_script_counts_negative_eigenvalues_by_blocks(shift):
    mesh = PencilReader(L_SHAPE, Rules(4)).coarse
    for _ in range(3):
        mesh = mesh.refined(numpy.linalg.norm(mesh.corners, axis=2).min(axis=1) < 0.5)
    slopes = 2 * numpy.roll(mesh.slopes, -2, axis=1)
    local = numpy.einsum("tia,tja,t->tij", slopes, slopes, mesh.areas)
    local -= shift * numpy.eye(3) * mesh.areas[:, None, None] / 3
    matrix = numpy.zeros((len(mesh.ends), len(mesh.ends)))
    numpy.add.at(matrix, (mesh.edges[:, :, None], mesh.edges[:, None]), local)
    found = script("check_eigenvalue_certificate").negative(local, mesh.edges)
    assert found == (numpy.linalg.eigvalsh(matrix) < 0).sum() > 3


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Wind(), "convection"),
        (Plane(kp.Disk((0, 0), 1)), "straight sides"),
        (Plane(mass=lambda p, u: ((p.x - 0.3) * u.value,)), "mass is not positive"),
        (Plane(mass=lambda p, u: (u.value + kp.partial(u, "x"),)), "mass has derivatives"),
        (Plane(conditions=lambda: [kp.Robin(UNIT.boundary, -1.0, 1.0, 0.0)]), "not coercive"),
        (Plane(conditions=lambda: [kp.Robin(UNIT.boundary, "x", 1.0, 0.0)]), "vanishes"),
    ],
)
def test_there_are_no_bounds_where_no_theory_gives_them(problem, reason):
    with pytest.raises(Unsuitable, match=reason):
        eigenvalue_certificate(problem, numpy.array([20.0]), numpy.array([1.0]), most=300)
