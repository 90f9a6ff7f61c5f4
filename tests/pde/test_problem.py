"""Problems, their sources, and what is refused."""

import functools
import math

import pytest
import torch
from cases import Coupled, Cubic, Line, Stated
from commands import kanpinn
from random_problems import DOMAINS, EVOLVING, STEADY, Drawn

import kanpinn as kp
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, find_channels
from kanpinn.loss.terms import residual_term
from kanpinn.networks import Surrogate
from kanpinn.pde.boundary_value_problem import stated, with_parameter
from kanpinn.pde.checks import check_well_posed
from kanpinn.pde.defects import exact_defects
from kanpinn.pde.problem import exact_columns


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


def exact_residual(problem, p):
    """The residual of the exact solution, which is zero if it satisfies the equation."""
    return find_channels(lambda c: problem.equation(p, exact_columns(problem, p, c)), p.names)[1]


@pytest.fixture
def p(generator):
    return kp.Box(x=(0, 2), y=(-1, 0.5)).image(
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
type = "solution"
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
    result = kanpinn(*arguments)
    assert result.exit_code == 0, result.output
    assert log.read_text().count("called") == 1


# --- What cannot be solved is refused in one line: what it is, what was given, what was expected


SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))
DISK = kp.Disk((0, 0), 1)


def given(*conditions, residual=None, fields=("u",)):
    """A problem of parts on the square; Δu = 1 for each field unless there is a residual."""
    residual = residual or (lambda p, *fields: tuple(kp.laplacian(u) - 1 for u in fields))
    return Stated(SQUARE, residual, conditions or [kp.Dirichlet(SQUARE.boundary)], fields)


def solve(problem):
    d, m = problem.domain.dim, len(problem.fields)
    points = kp.Collocation(16, 16)
    return kp.solve(problem, kp.KAN([d, 3, m], degree=5, grid=2), points=points)


def refused(make, *words):
    with pytest.raises(kp.InputError) as caught:
        make()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    for word in words:
        assert word in message


PIECES = {
    "disk": (DISK, "cirle", "circle"),
    "polygon": (kp.LShape(), "notchx", "notch_x"),
    "what was cut away": (SQUARE - kp.Box(x=(0.5, 2), y=(-2, 2)), "y_mx", "y_max"),
    "box over time": (SQUARE.over(t=(0, 1)), "inital", "initial"),
}


@pytest.mark.parametrize("case", PIECES.values(), ids=PIECES)
def test_pieces_that_do_not_exist(case):
    domain, wrong, right = case
    words = f"no piece '{wrong}'", "its pieces are", f'did you mean "{right}"'
    refused(lambda: kp.Dirichlet(domain.boundary[wrong]), *words)


NAN = math.nan
OBSERVED = {
    "values": ([[0.0, 0.0], [0.5, 0.0]], [1.0, NAN], "1 values that are not finite", "[0.5, 0.0]"),
    "points": ([[0.0, NAN]], [1.0], "1 points that are not finite"),
    "outside": ([[0.9, 0.9], [0.0, 0.0]], [1.0, 2.0], "1 points outside the domain", "[0.9, 0.9]"),
    "lengths": ([[0.0, 0.0]], [1.0, 2.0], "(n, 2)", "(1, 2) and (2, 1)"),
    "coordinates": ([[0.0, 0.0, 0.0]], [1.0], "(n, 2)", "(1, 3) and (1, 1)"),
}


@pytest.mark.parametrize("case", OBSERVED.values(), ids=OBSERVED)
def test_observations_that_are_no_numbers_or_lie_outside(case):
    at, values, *words = case
    refused(lambda: kp.Observed(DISK, at, values), "Observed", *words)


def test_observations_of_more_fields_or_without_a_noise():
    refused(lambda: kp.Observed(DISK, [[0.0, 0.0]], [1.0], noise=0), "noise > 0", "got 0")
    three = kp.Observed(SQUARE, [[0.0, 0.0]], [[1.0, 2.0, 3.0]])
    walls = kp.Dirichlet(SQUARE.boundary)
    refused(lambda: solve(given(walls, three, fields=("u", "v"))), "3 columns", "2 fields")


def test_fewer_equations_than_fields():
    problem = given(residual=lambda p, u, v: kp.laplacian(u), fields=("u", "v"))
    words = "Stated.residual gives 1 equation for the 2 fields u, v", "one for each"
    refused(lambda: solve(problem), *words)
    walls = kp.Dirichlet(SQUARE.boundary)
    second = kp.Constraint(SQUARE, lambda p, u, v: v.value - p.x)
    data = kp.Observed(SQUARE, [[0.0, 0.0]], [1.0], field="v")
    for condition in (second, data):
        assert solve(given(walls, condition, residual=problem.operator, fields=("u", "v")))


def test_data_that_are_not_finite():
    for data in (NAN, math.inf):
        refused(lambda data=data: kp.Dirichlet(SQUARE.boundary, data), "Dirichlet", f"got {data}")
    refused(lambda: kp.Integral(SQUARE, NAN), "Integral", "got nan")
    refused(lambda: kp.Integral(SQUARE, "sin(x)"), "Integral", "got 'sin")
    assert torch.isfinite(solve(given())(SQUARE.quadrature(3)[0])).all()


# --- Whether exact solutions satisfy their problems: a defect says by how much they do not


def on_line(residual, exact, given=None, **settings):
    """An equation on [-1, 2] with the values of a solution, or of another function, at its ends."""
    ends = [kp.Dirichlet(Line.domain.boundary, given or exact)]
    return Stated(Line.domain, residual, ends, exact=exact, **settings)


class Ends(Line):
    """The same solution with a condition for each end: faces of one point."""

    def conditions(self):
        faces = [self.domain.boundary[name] for name in ("x_min", "x_max")]
        return [kp.Dirichlet(face, self.exact) for face in faces]


PAIR = on_line(  # two equations at two points are no broadcast
    lambda p, u, v: (kp.laplacian(u), kp.laplacian(v) - 2),
    lambda p: torch.cat([1 - p.x, p.x**2], dim=1),
    fields=("u", "v"),
)


@pytest.mark.parametrize("problem", [Line(), Cubic(), Ends(), PAIR])
def test_solutions_satisfy_their_problems_to_rounding(problem):
    defects = list(exact_defects(problem))
    name = type(problem).__name__
    assert defects[0].name == f"{name}.residual"
    assert [d.name for d in defects[1:]] == [
        f"{name}.conditions()[{i}]" for i in range(len(problem.conditions()))
    ]
    assert all(d.is_rounding for d in defects)


def test_a_wrong_solution_has_a_defect():
    """u'' = 0 with u = x at the ends, and u = x² given for the solution."""
    wrong = on_line(lambda p, u: kp.laplacian(u), lambda p: p.x**2, lambda p: p.x)
    inside, at_ends = exact_defects(wrong)
    assert not inside.is_rounding and inside.size == pytest.approx(2)
    assert at_ends.size == pytest.approx((((1 + 1) ** 2 + (4 - 2) ** 2) / 2) ** 0.5)


def test_without_a_solution_there_is_no_defect():
    assert list(exact_defects(Coupled())) == []


def test_a_broadcast_is_refused():
    broadcast = on_line(lambda p, u: kp.laplacian(u) - p.x[:, 0], Line().exact)
    with pytest.raises(kp.InputError, match=r"Stated\.residual must have shape \(n, 1\)"):
        list(exact_defects(broadcast))


# --- Domains, conditions and equations combine: random ones of each, with known solutions


DRAWS = [(kind, 0) for kind in DOMAINS]
DRAWS += [("rectangle", 1), ("interval over time", 1)]  # with periods
POINTS = 2000  # at which errors are measured

drawn = functools.cache(Drawn)


def embeds(problem: Drawn, seed: int) -> bool:
    """Whether the network takes a period in its inputs, which leaves nothing to the loss."""
    return seed == 1 and len(problem.periodic) == len(problem.fields) == 1


def network_of(problem: Drawn, embedded: bool) -> kp.KAN:
    """A small KAN; in three dimensions more directions and fewer intervals do better."""
    inputs, outputs = problem.domain.dim + embedded, len(problem.fields)
    if problem.domain.dim == 3:
        return kp.KAN([inputs, 60, outputs], degree=[3, 7], grid=[1, 3])
    if problem.domain.dim == 1:
        return kp.KAN([inputs, 24, outputs], degree=9, grid=[2, 6])
    width = (96 if embedded else 56) if problem.periodic else 24
    return kp.KAN([inputs, width, outputs], degree=9, grid=[2, 6])


@pytest.mark.parametrize(("kind", "seed"), DRAWS)
def test_any_conditions_on_any_domain_are_solved(kind, seed):
    problem = drawn(kind, seed)
    assert all(defect.is_rounding for defect in exact_defects(problem))
    if problem.domain.dim == 3:
        points = kp.Collocation(1200, 600)
    else:
        plane = problem.domain.dim == 2 and problem.periodic
        points = kp.Collocation(*((1300, 240) if plane else (700, 140)))
    network, loss = network_of(problem, embeds(problem, seed)), kp.Loss(interior=0.01)
    # The comparison with the exact solution says more than one of residuals.
    options = {"errors": False, "verified": False}
    solution = kp.solve(problem, network, points=points, loss=loss, **options)
    # Sampled, for the rules behind `solution.errors` have many more points in three dimensions.
    p = sample(problem.domain, POINTS, "sobol")
    exact = problem.exact(p)
    errors = (solution(p) - exact).norm(dim=0) / exact.norm(dim=0)
    assert errors.max() < (1e-4 if problem.domain.dim == 3 else 1e-6)


def test_the_draws_have_everything_in_them():
    problems = [drawn(*draw) for draw in DRAWS]
    assert {problem.equation_kind for problem in problems} == {*STEADY, *EVOLVING}
    conditions = [c for problem in problems for c in problem.conditions()]
    kinds = kp.Dirichlet, kp.Neumann, kp.Robin, kp.Constraint, kp.Observed, kp.Periodic, kp.Integral
    assert {type(c) for c in conditions} == {*kinds, kp.Initial}
    rates = {c.rate is None for c in conditions if isinstance(c, kp.Initial)}
    assert rates == {True, False}
    assert any(len({c.field for c in p.conditions()}) == 2 for p in problems)
    assert any(embeds(p, seed) for p, (_, seed) in zip(problems, DRAWS, strict=True))


# --- A solve warns of an exact solution that does not solve the problem


LINE = kp.Box(x=(0, 1))


@pytest.mark.parametrize(
    ("exact", "words"),
    [
        (lambda p: p.x**2 - p.x, r"does not satisfy Stated\.residual"),
        (lambda p: (p.x - p.x**2) / 2 + 1, r"does not satisfy Stated\.conditions\(\)\[0\]"),
        (lambda p: p.x * math.nan, r"exact is not finite at 64 of 64"),
        (lambda p: torch.log(0.9 - p.x), r"exact is not finite at \d of 64"),
    ],
)
def test_an_exact_solution_that_is_none_is_warned_of(exact, words):
    given = [kp.Dirichlet(LINE.boundary, 0.0)]
    problem = Stated(LINE, lambda p, u: kp.laplacian(u) + 1, given, exact=exact)
    with pytest.warns(UserWarning, match=words):
        solution = kp.solve(problem, kp.KAN([1, 1], degree=5))
    middle = float(solution(torch.tensor([[0.5]]).double()))
    assert solution.status == "converged" and middle == pytest.approx(1 / 8)


def test_no_source_is_derived_from_values_that_are_not_finite():
    problem = kp.Poisson(LINE, exact="log(-1 - x)")
    with pytest.raises(kp.InputError, match="exact must be finite, is nan at x"):
        kp.solve(problem, kp.KAN([1, 1], degree=5))


def test_an_exception_of_an_exact_solution_names_the_function_and_the_points():
    class Mixed(Given):
        def exact(self, p):
            return p.x @ p.y

    class Free(Mixed):
        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, 0.0)]

    raised = r"raises an exception for points of the shape \(\d+, 2\), RuntimeError: mat1"
    for problem, name in ((Free(), "Free.exact"), (Mixed(), "Dirichlet value")):
        with pytest.raises(kp.InputError, match=f"{name} {raised}"):
            kp.solve(problem, kp.KAN([2, 3, 1], degree=5))


# --- Equations and conditions are functions of each point and of the fields there


UNIT = kp.Box(x=(0, 1), y=(0, 1))


def zero_on(domain):
    return [kp.Dirichlet(domain.boundary, 0.0)]


@pytest.mark.parametrize(
    ("residual", "words"),
    [
        (lambda p, u: kp.laplacian(u) + p.x.mul_(2), "in place"),
        (lambda p, u: kp.laplacian(u) + u.value.mul_(2), "in place"),
        (lambda p, u: kp.laplacian(u) - u.value.mean(), "other points"),
        (lambda p, u: kp.laplacian(u) - u.value.flip(0), "other points"),
        (lambda p, u: kp.laplacian(u) + torch.rand(len(p), 1), "each call"),
        (lambda p, u: kp.laplacian(u).detach() + 1, "detach"),
        (lambda p, u: kp.laplacian(u) + u.value.detach() ** 2, "detach"),
        (lambda p, u: kp.laplacian(u) + 1j, "must be real"),
        (lambda p, u: kp.laplacian(u).float() + 1, "computes in float32"),
        (lambda p, u: kp.laplacian(u) + u(p.x - 0.1), "method of steps"),
    ],
)
def test_residual_is_refused_unless_it_is_a_function_of_points_and_fields(residual, words):
    problem = Stated(UNIT, residual, zero_on(UNIT))
    with pytest.raises(kp.InputError, match=words):
        kp.solve(problem, kp.KAN(hidden=[4], degree=5))


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda p, u: u.value.mean(), "other points"),
        (lambda p, u: u.value.detach(), "detach"),
        (lambda p, u: u.value + 0 * p.x.mul_(2), "in place"),
    ],
)
@pytest.mark.parametrize("form", ["strong", "energy"])
def test_energy_is_refused_unless_it_is_a_function_of_points_and_fields(load, words, form):
    class Loaded(kp.Problem):
        domain = UNIT

        def energy(self, p, u):
            return kp.grad(u).square().sum(dim=1, keepdim=True) / 2 - load(p, u)

        def conditions(self):
            return zero_on(UNIT)

    with pytest.raises(kp.InputError, match=f"energy.*{words}"):
        kp.solve(Loaded(), kp.KAN(hidden=[4], degree=5), loss=kp.Loss(form=form))


@pytest.mark.parametrize(
    "residual",
    [
        lambda p, u: kp.laplacian(u) + torch.log(u.value - 0.9),  # is not finite everywhere
        lambda p, u: kp.laplacian(u) + u.value.abs() + torch.sign(u.value - 1) + u.value.floor(),
        lambda p, u: 1e-12 * kp.laplacian(u) + 1e3 * torch.sin(9 * p.x),
        lambda p, u: kp.laplacian(u) + torch.where(u.value > 1, u.value**3, u.value),
    ],
)
def test_residual_may_have_kinks_jumps_and_rounding(residual):
    check_well_posed(stated(Stated(UNIT, residual, zero_on(UNIT))))


def test_data_of_conditions_are_functions_of_points():
    condition = kp.Dirichlet(UNIT.boundary, lambda p: p.x - p.x.mean())
    problem = Stated(UNIT, lambda p, u: kp.laplacian(u), [condition])
    with pytest.raises(kp.InputError, match=r"conditions\(\)\[0\].*other points"):
        check_well_posed(stated(problem))


def test_an_unknown_number_needs_data():
    line = kp.Box(x=(0, 1))
    known = {"unknowns": {"k": kp.Unknown()}}
    residual = lambda p, u, k: k.value * kp.laplacian(u) + 1  # noqa: E731
    with pytest.raises(
        kp.InputError, match=r"unknown parameter k could be found: add kp\.Observed"
    ):
        check_well_posed(stated(Stated(line, residual, zero_on(line), **known)))
    with pytest.raises(
        kp.InputError, match=r"unknown parameter k could be found: add kp\.Observed"
    ):
        check_well_posed(stated(Stated(UNIT, residual, zero_on(UNIT), **known)))
    more = kp.Neumann(line.boundary["x_min"], 1.0)
    check_well_posed(stated(Stated(line, residual, [*zero_on(line), more], **known)))
