"""Problems, their sources, and what is refused."""

import pytest
import torch
from cases import Coupled, Line
from typer.testing import CliRunner

import kanpinn as kp
from kanpinn.cli import app
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels
from kanpinn.loss.terms import residual_term
from kanpinn.networks import Surrogate
from kanpinn.pde.boundary_value_problem import stated, with_parameter
from kanpinn.pde.exact_solution import exact_residual


class Given(kp.Problem):
    """Δu + u u_y = f on a rectangle, f written by hand; u = sin x exp y."""

    domain = kp.Box(x=(0, 2), y=(-1, 0.5))

    def residual(self, p, u):
        return kp.laplacian(u) + u.value * kp.partial(u, "y") - 2 * self.source(p)

    def source(self, p):
        return (torch.sin(p.x) * torch.exp(p.y)) ** 2 / 2

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.sin(p.x) * torch.exp(p.y)


class Derived(Given):
    """The same, its source left to be derived."""

    source = kp.Problem.source


@pytest.fixture
def p(generator):
    return kp.Box(x=(0, 2), y=(-1, 0.5)).from_unit(
        torch.rand(50, 2, generator=generator, dtype=torch.float64)
    )


def test_the_derived_source_is_the_explicit_one_and_gives_the_same_solution(p):
    assert (Derived().source(p) - Given().source(p)).abs().max() < 1e-10
    assert exact_residual(Given(), p).abs().max() < 1e-13
    assert exact_residual(Derived(), p).abs().max() < 1e-13
    values = [
        kp.solve(problem, kp.KAN([2, 12, 1], degree=5, grid=4))(p)
        for problem in (Given(), Derived())
    ]
    assert (values[0] - values[1]).abs().max() < 1e-6


class Apart(kp.Problem):
    """Two problems, each with a source of its own that is derived, as one system."""

    domain, fields = Given.domain, ("u", "v")

    def __init__(self):
        self.one, self.other = Derived(), Derived()
        self.other.exact = lambda p: p.x**2 * p.y

    def residual(self, p, u, v):
        return self.one.residual(p, u), self.other.residual(p, v)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return self.one.exact(p), self.other.exact(p)


def test_sources_of_several_problems_are_kept_apart(p):
    """Also at the points of a batch, which keeps what it was asked for."""
    batch, problem = Batch.made_of(p), Apart()
    for each in (problem.one, problem.other):
        assert torch.equal(each.source(batch), each.source(p))
    assert batch.known is not None and len(batch.known) == 2
    assert exact_residual(problem, batch).abs().max() < 1e-12


@pytest.mark.parametrize("power", [lambda s: s**2, lambda s: torch.sin(torch.pi * s)])
def test_a_residual_that_is_not_affine_in_the_source_is_refused(power, p):
    class NotAffine(Derived):
        def residual(self, p, u):
            return kp.laplacian(u) - power(self.source(p))

    with pytest.raises(kp.InputError, match=r"NotAffine.*affine in source"):
        NotAffine().source(p)


def test_a_source_without_exact_solution_is_refused(p):
    class Blind(Coupled):
        pass

    with pytest.raises(kp.InputError, match=r"Blind.*neither"):
        Blind().source(p)


def residual_of(function, problem=Given):
    class Odd(problem):
        def residual(self, p, u):
            return function(self, p, u)

    return Odd()


def term_of(problem, points=None, network=None):
    network = network or kp.KAN([problem.domain.dim, 3, 1], degree=5)
    surrogate = Surrogate(network, problem.domain)
    interior = kp.Box(x=(0, 2), y=(-1, 0.5)).quadrature(4)[0] if points is None else points
    return residual_term("interior", problem.equation, interior, surrogate, "residual")


@pytest.mark.parametrize(
    "function",
    [
        lambda self, p, u: kp.laplacian(u)[:, 0],
        lambda self, p, u: kp.laplacian(u).T,
        lambda self, p, u: kp.laplacian(u) - self.source(p)[:, 0],
        lambda self, p, u: kp.laplacian(u) - p.coords[:, 0],
        lambda self, p, u: (kp.laplacian(u), u.value - p.coords[:, 1]),
        lambda self, p, u: kp.laplacian(u).sum(),
        lambda self, p, u: (kp.laplacian(u), u.value[:, 1:]),
        lambda self, p, u: 0.0,
        lambda self, p, u: None,
        lambda self, p, u: (),
    ],
)
@pytest.mark.parametrize("n", [16, 1])
def test_a_residual_of_the_wrong_shape_is_refused(function, n):
    problem = residual_of(function)
    points = problem.domain.quadrature(4)[0][:n]
    with pytest.raises(kp.InputError, match=r"residual must .*\(n, 1\)"):
        term_of(problem, points)


@pytest.mark.parametrize(
    ("function", "channels"),
    [
        (lambda self, p, u: u.value - p.x, Channels(("x", "y"))),
        (lambda self, p, u: u - 1, Channels(("x", "y"))),
        (lambda self, p, u: kp.partial(u, "x"), Channels(("x", "y"), gradient=True)),
        (lambda self, p, u: kp.laplacian(u), Channels(("x", "y"), second="laplacian")),
        (
            lambda self, p, u: (kp.partial(u, "x", "x"), kp.partial(u, "y")),
            Channels(("x", "y"), second="diagonal"),
        ),
        (lambda self, p, u: kp.laplacian(u * u), Channels(("x", "y"), second="laplacian")),
        (
            lambda self, p, u: kp.laplacian(u) * kp.partial(u, "x", "y"),
            Channels(("x", "y"), second="hessian"),
        ),
    ],
)
def test_a_residual_carries_exactly_the_derivatives_it_uses(function, channels):
    assert term_of(residual_of(function)).channels == channels


def test_a_degree_below_the_order_is_refused_and_one_equal_to_it_warned_of():
    third = residual_of(lambda self, p, u: kp.partial(u, "x", "x", "x"))
    with pytest.raises(kp.InputError, match=r"degree = 2 .* order 3"):
        term_of(third, network=kp.KAN([2, 3, 1], degree=[5, 2]))
    with pytest.warns(UserWarning, match=r"degree = 3 .* order"):
        term_of(third, network=kp.KAN([2, 3, 1], degree=3))
    term_of(third, network=kp.KAN([2, 3, 1], degree=4))
    term_of(third, network=kp.MLP([2, 3, 1]))


def test_wrong_shapes_of_exact_solution_and_data_are_refused(p):
    class FlatExact(Given):
        def exact(self, p):
            return torch.sin(p.coords[:, 0])

    class FlatData(Given):
        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, lambda p: p.coords[:, 0])]

    with pytest.raises(kp.InputError, match=r"exact.*\(n, 1\)"):
        exact_residual(FlatExact(), p)
    for boundary in ("exact", "penalty"):
        with pytest.raises(kp.InputError, match=r"Dirichlet value.*\(n, 1\)"):
            kp.solve(FlatData(), kp.KAN([2, 3, 1], degree=5), boundary=boundary)


def test_derivatives_of_what_is_no_jet_of_the_solution_are_refused():
    fixed = residual_of(lambda self, p, u: kp.laplacian(kp.Jet(Channels(("x", "y")), u.value)))
    with pytest.raises(kp.InputError, match="not the solution's jet"):
        term_of(fixed)


def test_a_class_without_domain_or_with_odd_conditions_or_exact_solution_is_refused():
    class Nowhere(Line):
        domain = None

    class Unconditional(Line):
        def conditions(self):
            return ["u = 0"]

    with pytest.raises(kp.InputError, match=r"Nowhere\.domain"):
        Nowhere().check()
    with pytest.raises(kp.InputError, match=r"Unconditional\.conditions"):
        stated(Unconditional())
    with pytest.raises(TypeError, match="abstract"):
        type("Empty", (kp.Problem,), {})()
    problem = type("Odd", (Given,), {"exact": 3})()
    with pytest.raises(kp.InputError, match=r"Odd.exact must be a method, or None, got 3"):
        stated(problem)


class Noisy(kp.Problem):
    """u'' = 0 with u(0) = 0 and one measurement at x = ½, whose noise is drawn anew each time."""

    domain = kp.Box(x=(0, 1))
    slope = 1.0

    def __init__(self):
        self.calls = []

    def residual(self, p, u):
        return kp.laplacian(u)

    def conditions(self):
        measured = self.slope / 2 + 0.1 * torch.rand(1, dtype=torch.float64)
        self.calls.append(float(measured))
        left = kp.Dirichlet(self.domain.boundary["x_min"])
        return [left, kp.Observed(self.domain, [[0.5]], measured)]


def test_conditions_are_asked_for_once_a_solve():
    """So that every part of a solve, and the estimate of its error, has the same random data."""
    problem = Noisy()
    network = kp.KAN([1, 4, 1], degree=4, grid=2, seed=0)
    solution = kp.solve(problem, network, points=kp.Collocation(20, 2))
    (measured,) = problem.calls
    middle = torch.tensor([[0.5]], dtype=torch.float64)
    assert float(solution(middle)) == pytest.approx(measured, abs=1e-9)
    kp.estimate_error(solution)
    assert len(problem.calls) == 1
    assert solution.problem.conditions() is solution.problem.conditions()
    kp.solve(problem, network, points=kp.Collocation(20, 2))
    assert len(problem.calls) == 2


def test_automatic_trials_have_the_same_conditions():
    problem = Noisy()
    kp.solve(problem, tolerance=1e-3, budget=20, errors=False)
    assert len(problem.calls) == 1


def test_conditions_are_asked_for_anew_with_another_parameter():
    class Sloped(Noisy):
        def __init__(self, slope=1.0):
            super().__init__()
            self.slope = slope

    fixed = stated(Sloped())
    assert stated(fixed) is fixed
    changed = with_parameter(fixed, "slope", 4.0)
    assert float(changed.conditions()[1].values) > 2 > float(fixed.conditions()[1].values)


COUNTED = """
import kanpinn as kp

class Counted(kp.Problem):
    "-Δu = 1 on a disk, u = 0 on its boundary."
    domain = kp.Disk((0, 0), 1)

    def residual(self, p, u):
        return kp.laplacian(u) + 1

    def conditions(self):
        with open({log!r}, "a") as log:
            log.write("called\\n")
        return [kp.Dirichlet(self.domain.boundary)]
"""
EXACT = """
    def exact(self, p):
        return (1 - p.x**2 - p.y**2) / 4
"""
COUNTED_FILE = """
[problem]
class = "counted.py:Counted"

[network]
type = "kan"
width = [2, 8, 1]
degree = 4
grid = 2

[points]
interior = 100
boundary = 40

[[optimizer]]
type = "least_squares"

[run]
estimate = true
"""
REFERENCE = """
[reference]
type = "fem"
size = 0.5
tolerance = 1e-2
"""


@pytest.mark.parametrize(
    ("exact", "reference"), [(EXACT, ""), ("", REFERENCE)], ids=["exact", "reference"]
)
def test_the_command_line_asks_for_conditions_once(tmp_path, monkeypatch, exact, reference):
    if reference:  # the figures are those of the other case
        monkeypatch.setattr("kanpinn.plotting.draw_figures", lambda *_: [])
    log = tmp_path / "calls.txt"
    (tmp_path / "counted.py").write_text(COUNTED.format(log=str(log)) + exact)
    (tmp_path / "counted.toml").write_text(COUNTED_FILE + reference)
    arguments = ["solve", str(tmp_path / "counted.toml"), "--output", str(tmp_path / "results")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert log.read_text().count("called") == 1
