"""Dirichlet data built into the surrogate, the choice of their form, and ill-posed problems."""

import math

import pytest
import reference
import torch
from cases import Stated, error_of

import kanpinn as kp
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels
from kanpinn.networks.constraints import (
    NotExact,
    choose_imposition,
    describe_imposition,
    distance,
    polynomial_lift,
)
from kanpinn.pde.boundary_value_problem import jumps
from kanpinn.solvers.discretization import SolveSettings, discretize

SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))
DISK = kp.Disk((0, 0), 1.0)
HOLE = DISK - kp.Disk((0.3, 0.1), 0.3, name="hole")
PENTAGON = kp.Polygon([(0, 0), (2, 0), (2.5, 1), (1, 2), (-0.5, 1)])
BALL = kp.Ball((0, 0, 0), 1.0)
BITTEN = SQUARE - kp.Disk((1, 0), 0.5)  # whose side x_max comes in two parts
SPACE_TIME = DISK.over(t=(0, 2))
DOMAINS = {
    "disk": DISK,
    "ellipse": kp.Ellipse((0, 0), (1, 0.5), 0.3),
    "annulus": kp.Annulus((0, 0), 0.4, 1.0),
    "disk with hole": HOLE,
    "pentagon": PENTAGON,
    "sector": kp.Sector((0, 0), 1, 0, 2.0),
    "bitten square": BITTEN,
    "ball": BALL,
    "shell": BALL - kp.Ball((0.2, 0, 0), 0.4, name="hole"),
    "bitten cube": kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)) - kp.Ball((1, 0, 0), 0.5),
    "disk over time": SPACE_TIME,
    "pentagon over time": PENTAGON.over(t=(0, 2)),
}
PARTS = [
    (HOLE, ("hole",)),
    (HOLE, ("circle",)),
    (PENTAGON, ("edge_0", "edge_2")),
    (BITTEN, ("x_max",)),
    (BITTEN, ("circle", "y_min")),
    (kp.LShape(), ("x_min", "y_min", "x_max", "y_max")),
    (SPACE_TIME, ("initial",)),
    (SPACE_TIME, ("circle", "initial")),
    (PENTAGON.over(t=(0, 2)), ("edge_0", "initial", "final")),
]


def smooth(p):
    """A function of all coordinates."""
    waves = torch.sin(p.coords * 1.3 + torch.arange(1.0, 1 + p.coords.shape[1]).to(p.coords))
    return waves.sum(dim=1, keepdim=True) + waves.prod(dim=1, keepdim=True)


def steady(p):
    """The same in space, at all times."""
    return smooth(kp.Points(p.coords[:, :2], ("x", "y")))


class Poisson(kp.Problem):
    """Δu = f with the conditions that it is given; u = smooth."""

    needs_conditions = False  # these tests are about conditions on parts of the boundary

    def __init__(self, domain, *conditions):
        self.domain, self._conditions = domain, list(conditions)

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def conditions(self):
        return self._conditions

    def exact(self, p):
        return smooth(p)


class Flow(Poisson):
    """A pressure that appears by its gradient alone."""

    fields = ("u", "v", "q")

    def residual(self, p, u, v, q):
        return (
            kp.laplacian(u) - kp.partial(q, "x"),
            kp.laplacian(v) - kp.partial(q, "y"),
            kp.div(u, v),
        )


def split(domain, names):
    """The pieces with these names, and all others."""
    chosen = domain.boundary[names].pieces
    return chosen, [p for p in domain.boundary.pieces if p.name not in names]


@pytest.mark.parametrize("name", DOMAINS)
def test_the_distance_vanishes_on_the_boundary_with_a_slope_and_nowhere_else(name):
    domain = DOMAINS[name]
    check_distance(domain, domain.boundary.pieces, [])


@pytest.mark.parametrize(("domain", "names"), PARTS)
def test_the_distance_vanishes_on_the_pieces_that_have_data_only(domain, names):
    check_distance(domain, *split(domain, names))


def check_distance(domain, pieces, others):
    d = distance(domain, pieces)
    for piece in pieces:
        x = sample(piece, 50, "sobol").coords.requires_grad_()
        value = d(x)
        assert value.abs().max() < 1e-12
        (slope,) = torch.autograd.grad(value.sum(), x)
        assert slope.norm(dim=1).min() > 1e-4
    assert d(sample(domain, 500, "uniform").coords).min() > 0
    assert all(d(sample(piece, 50, "uniform").coords).min() > 0 for piece in others)
    assert 0.9 < d(sample(domain, 5000, "sobol").coords).max() < 1.5


RING = [(math.cos(math.pi * k / 150), math.sin(math.pi * k / 150)) for k in range(300)]
NO_DISTANCE = [  # a domain, pieces of its boundary, and why there is none
    (kp.LShape(), ("notch_x",), "meets the rest of the domain"),
    (kp.LShape(), ("x_min", "notch_x", "notch_y"), "meets the rest of the domain"),
    (kp.Sector((0, 0), 1, 0, 4.0), ("start",), "meets the rest of the domain"),
    (kp.Polygon(RING), ..., "up to 200 pieces of the boundary"),
    (BITTEN, ("x_max",), "."),  # one half of a side
]


@pytest.mark.parametrize(("domain", "names", "words"), NO_DISTANCE)
def test_there_is_no_smooth_distance_from_some_pieces(domain, names, words):
    """Where a corner points inwards, from hundreds of pieces, and from one half of a side."""
    pieces = domain.boundary.pieces if names is ... else domain.boundary[names].pieces
    with pytest.raises(NotExact, match=words):
        distance(domain, pieces[:1] if domain is BITTEN else pieces)


PLANE = [name for name in DOMAINS if name not in ("bitten cube", "shell", "pentagon over time")]


@pytest.mark.parametrize("name", PLANE)
def test_the_lift_takes_the_data(name):
    domain = DOMAINS[name]
    pieces = domain.boundary.pieces
    lift = polynomial_lift(domain.bounds, [(piece, smooth) for piece in pieces])
    points = kp.Points.cat(sample(piece, 100, "uniform") for piece in pieces)
    torch.testing.assert_close(lift(points.coords), smooth(points), rtol=0, atol=1e-10)


def test_a_lift_of_constants_is_a_constant():
    data = [(piece, lambda p: torch.full_like(p.coords[:, :1], 3.0)) for piece in HOLE.curves]
    lift = polynomial_lift(HOLE.bounds, data)
    assert len(lift.coefficients) == 1 and float(lift.coefficients) == pytest.approx(3.0)


def test_no_polynomial_takes_data_with_a_kink():
    assert polynomial_lift(DISK.bounds, [(DISK.curves[0], lambda p: p.x.abs())]) is None


def random_surrogate(problem, boundary="exact"):
    """What a solve starts from, with random coefficients."""
    m = len(problem.fields)
    network = kp.KAN([problem.domain.dim, 4, m], degree=5, grid=3, seed=0)
    discretization = discretize(
        problem, network, SolveSettings(points=kp.Collocation(60, 60), boundary=boundary), 0
    )
    discretization.prepare()
    return discretization.surrogate


CASES = {
    "disk": Poisson(DISK, kp.Dirichlet(DISK.boundary, smooth)),
    "one side": Poisson(
        HOLE, kp.Dirichlet(HOLE.boundary["circle"], smooth), kp.Neumann(HOLE.boundary["hole"])
    ),
    "constants": Poisson(
        HOLE, kp.Dirichlet(HOLE.boundary["circle"], 1.0), kp.Dirichlet(HOLE.boundary["hole"], 0.0)
    ),
    "initial": Poisson(SPACE_TIME, kp.Initial(SPACE_TIME, steady)),
    "initial and wall": Poisson(
        SPACE_TIME,
        kp.Initial(SPACE_TIME, smooth),
        kp.Dirichlet(SPACE_TIME.boundary["circle"], smooth),
    ),
    "all times": Poisson(
        SPACE_TIME,
        kp.Initial(SPACE_TIME, smooth),
        kp.Dirichlet(SPACE_TIME.boundary["circle", "final"], smooth),
    ),
    "zero wall": Poisson(
        SPACE_TIME,
        kp.Initial(SPACE_TIME, lambda p: torch.cos(math.pi / 2 * (p.x**2 + p.y**2))),
        kp.Dirichlet(SPACE_TIME.boundary["circle"]),
    ),
    "box over time": Poisson(
        (brick := SQUARE.over(t=(0, 1))),
        kp.Initial(brick, smooth),
        kp.Dirichlet(brick.boundary["x_min", "y_max"], smooth),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_surrogate_takes_the_data_whatever_its_network(name):
    problem = CASES[name]
    surrogate = random_surrogate(problem)
    for condition in problem.conditions():
        if not isinstance(condition, kp.Neumann):
            p = sample(condition.boundary, 100, "uniform")
            torch.testing.assert_close(
                surrogate(p), condition.target(p) + 0 * p.x, rtol=0, atol=1e-9
            )
    assert surrogate(sample(problem.domain, 9, "uniform")).std() > 1e-3


def test_derivatives_are_those_of_the_sum_and_the_product():
    problem = CASES["initial and wall"]
    surrogate = random_surrogate(problem)
    p = sample(problem.domain, 7, "uniform")
    jet = surrogate.jet(p, Channels(p.names, second="hessian"))

    coefficients = reference.coefficients_of(surrogate.network)
    written = reference.plain(surrogate.network)
    (low, high), built_in = problem.domain.bounds, surrogate.output

    def value(x):
        inner = written(coefficients, 2 * (x - low) / (high - low) - 1)
        return (built_in.lift(x[None]) + built_in.distance(x[None]) * inner).squeeze()

    for row, x in enumerate(p.coords):
        hessian = torch.autograd.functional.hessian(value, x)
        torch.testing.assert_close(jet.second[row, :, 0], hessian.flatten(), rtol=1e-10, atol=1e-9)


def test_each_field_of_a_system_has_its_own_data():
    both = kp.Dirichlet(DISK.boundary, lambda p: torch.cat([p.x, 2 * p.y, 0 * p.x + 3], dim=1))
    surrogate = random_surrogate(Flow(DISK, both))
    p = sample(DISK.boundary, 20, "uniform")
    expected = torch.cat([p.coords * torch.tensor([1.0, 2.0]), torch.full_like(p.x, 3)], dim=1)
    torch.testing.assert_close(surrogate(p), expected, rtol=0, atol=1e-9)
    own = [kp.Dirichlet(DISK.boundary, value, field=f) for f, value in (("u", 1.0), ("v", 0.0))]
    surrogate = random_surrogate(Flow(DISK, *own, kp.Integral(DISK, field="q")))
    assert (surrogate(p)[:, :2] - torch.tensor([1.0, 0.0])).abs().max() < 1e-12
    assert surrogate(p)[:, 2].abs().max() > 1e-3


SOLVED = {"disk": DISK, "annulus": DOMAINS["annulus"], "pentagon": PENTAGON, "L-shape": kp.LShape()}


@pytest.mark.parametrize("name", SOLVED)
def test_a_smooth_solution_is_found_in_the_form_that_is_chosen(name):
    problem = Poisson(SOLVED[name], kp.Dirichlet(SOLVED[name].boundary, smooth))
    chosen = ("auto", "exact") if name != "L-shape" else ("auto",)
    for boundary in chosen:
        network = kp.KAN([2, 24, 1], degree=9, grid=[2, 6], seed=0)
        points = kp.Collocation(500, 100)
        solution = kp.solve(problem, network, points=points, boundary=boundary, verified=False)
        # Non-zero data off boxes are a penalty unless they are asked to be exact.
        assert (solution.surrogate.output is None) == (boundary == "auto")
        assert solution.errors.h1_relative < 1e-6


FORMS = [
    (Poisson(DISK, kp.Dirichlet(DISK.boundary)), "exact (chosen)"),
    (Poisson(DISK, kp.Dirichlet(DISK.boundary, lambda p: p.x.abs())), "penalty (chosen: the pen"),
    (Poisson(kp.LShape(), kp.Dirichlet(kp.LShape().boundary)), "penalty (chosen: the line"),
    (Poisson(DISK, kp.Neumann(DISK.boundary), kp.Integral(DISK)), "none"),
]


@pytest.mark.parametrize(("problem", "words"), FORMS)
def test_the_form_is_chosen_by_what_can_be_had(problem, words):
    assert describe_imposition(problem, "auto").startswith(words)
    assert (choose_imposition(problem, "auto", ()).output is None) == (words != "exact (chosen)")
    assert choose_imposition(problem, "penalty", ()).output is None
    if words.startswith("penalty"):
        with pytest.raises(kp.InputError, match='"exact" is impossible here, use "penalty"'):
            choose_imposition(problem, "exact", ())


def test_five_dimensions_get_a_penalty():
    box = kp.Box(**{axis: (0, 1) for axis in "abcde"})
    assert "up to 4 dimensions" in describe_imposition(
        Poisson(box, kp.Dirichlet(box.boundary)), "auto"
    )


def jumping(domain, first, second, values=(0.0, 1.0)):
    pair = [
        kp.Dirichlet(domain.boundary[n], v) for n, v in zip((first, second), values, strict=True)
    ]
    return Poisson(domain, *pair)


CUBE = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))
JUMPS = [
    (
        jumping(SQUARE, "x_min", "y_max"),
        "u disagree by 1 at x = -1, y = 1, where x_min meets y_max",
    ),
    (jumping(PENTAGON, "edge_0", "edge_1"), "x = 2, y = 0, where edge_0 meets edge_1"),
    (jumping(BITTEN, "circle", "x_max"), "where circle meets x_max"),
    (
        jumping(CUBE, "x_min", "z_max", (lambda p: p.y, lambda p: p.y**2)),
        "by 0.25 at x = 0, y = 0.5",
    ),
    (
        Poisson(
            SPACE_TIME,
            kp.Dirichlet(SPACE_TIME.boundary["circle"], 1.0),
            kp.Initial(SPACE_TIME, lambda p: p.x),
        ),
        "where circle meets initial",
    ),
]


@pytest.mark.parametrize(("problem", "words"), JUMPS)
def test_values_that_disagree_where_pieces_meet_are_found(problem, words):
    with pytest.warns(UserWarning, match=words) as caught:
        assert random_surrogate(problem, "auto").output is None
    assert len(caught) == 1
    with pytest.raises(kp.InputError, match=words):
        random_surrogate(problem, "exact")


def test_two_values_on_one_piece_contradict_each_other():
    with pytest.raises(kp.InputError, match=r"disagree by 1 .*, on x_min"):
        random_surrogate(jumping(SQUARE, "x_min", "x_min"), "auto")
    few_digits = jumping(SQUARE, "x_min", "x_min", (0.33333, 1 / 3))
    with pytest.warns(UserWarning, match="limits the accuracy"):
        random_surrogate(few_digits, "auto")


def test_a_jump_is_found_in_many_dimensions():
    box = kp.Box(**{axis: (0, 1) for axis in "abcdefgh"})
    problem = jumping(box, "a_min", "c_max", (lambda p: p.b, 2.0))
    (jump,) = jumps(problem)
    assert 1 < jump.gap <= 2 and jump.pieces == ("a_min", "c_max")


AGREE = [
    jumping(SQUARE, "x_min", "x_max"),
    jumping(SQUARE, "x_min", "y_max", (smooth, smooth)),
    jumping(HOLE, "circle", "hole"),
    jumping(
        SQUARE, "x_min", "y_min", (lambda p: (1 + p.y) / (1 + p.y), 0.0)
    ),  # 0 / 0 in the corner
    CASES["initial and wall"],
]


@pytest.mark.parametrize("problem", AGREE)
def test_values_that_agree_or_do_not_meet_are_no_jump(problem):
    assert jumps(problem) == []


def test_pieces_that_meet_share_the_points_of_their_rims():
    for domain in (SQUARE, CUBE, PENTAGON, SPACE_TIME, PENTAGON.over(t=(0, 1)), BITTEN):
        rims = [piece.rim for piece in domain.boundary.pieces]
        for mine, points in enumerate(rims):
            others = [r.coords for i, r in enumerate(rims) if i != mine]
            gaps = (points.coords[:, None] - torch.cat(others)).norm(dim=2)
            assert len(points) and gaps.min(dim=1).values.max() < 1e-12
            assert points.normals.norm(dim=1).sub(1).abs().max() < 1e-12


UNFIXED = [
    (Poisson(DISK, kp.Neumann(DISK.boundary)), r"a constant of u undetermined.*domain, 0.0\)"),
    (Poisson(SQUARE), "u undetermined"),
    (Poisson(SQUARE, kp.Periodic(SQUARE, "x"), kp.Periodic(SQUARE, "y")), "u undetermined"),
    (
        Flow(DISK, *(kp.Dirichlet(DISK.boundary, field=f) for f in "uv")),
        'q undetermined.*field="q"',
    ),
]


@pytest.mark.parametrize(("problem", "words"), UNFIXED)
def test_a_constant_that_nothing_fixes_is_refused(problem, words):
    with pytest.raises(kp.InputError, match=words):
        random_surrogate(problem, "auto")


@pytest.mark.parametrize(
    "condition",
    [
        kp.Integral(DISK, 2.0),
        kp.Observed(DISK, [[0.0, 0.0]], [1.0]),
        kp.Robin(DISK.boundary, alpha=1.0, beta=1.0),
        kp.Constraint(DISK, lambda p, u: u.value**2 - u.value),
    ],
)
def test_what_fixes_the_constant_is_enough(condition):
    assert random_surrogate(Poisson(DISK, kp.Neumann(DISK.boundary), condition), "auto")


def test_a_constant_may_be_left_open_on_purpose():
    flow = Flow(DISK, *(kp.Dirichlet(DISK.boundary, field=f) for f in "uv"))
    flow.free_constant = ("q",)
    assert random_surrogate(flow)


def test_only_an_equation_without_derivatives_needs_no_conditions():
    class Given(Poisson):
        def residual(self, p, u):
            return u.value - p.x

    class Decaying(Poisson):
        def residual(self, p, u):
            return kp.laplacian(u) - u.value

    Given.needs_conditions = Decaying.needs_conditions = True
    assert random_surrogate(Given(DISK), "auto")
    with pytest.raises(kp.InputError, match=r"Decaying is not unique: circle has no condition"):
        random_surrogate(Decaying(DISK), "auto")


def waves(p):
    return torch.exp(torch.sin(math.pi * p.x)) * (1 + p.y)


@pytest.mark.parametrize("boundary", ["auto", "penalty"])
def test_a_period_is_built_into_a_network_with_an_input_more(boundary):
    ends = [kp.Dirichlet(SQUARE.boundary[n], waves) for n in ("y_min", "y_max")]
    problem = Poisson(SQUARE, kp.Periodic(SQUARE, "x"), *ends)
    network = kp.KAN([3, 30, 1], degree=7, grid=[3, 5], seed=0)
    problem.exact = waves
    solution = kp.solve(problem, network, boundary=boundary, verified=False, errors=False)
    names = ["interior"] if boundary == "auto" else ["interior", "boundary[1]", "boundary[2]"]
    assert [term.name for term in solution.residuals.terms] == names
    low = sample(SQUARE.boundary["x_min"], 20, "uniform")
    high = kp.Points(low.coords + torch.tensor([2.0, 0.0]), low.names)
    jets = [solution.surrogate.jet(p, Channels(p.names, second="hessian")) for p in (low, high)]
    for a, b in zip(*(jet.parts() for jet in jets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert error_of(solution) < 1e-4


def test_data_that_are_not_periodic_leave_the_condition_to_the_loss():
    problem = Poisson(
        SQUARE, kp.Periodic(SQUARE, "x"), kp.Dirichlet(SQUARE.boundary["y_min"], lambda p: p.x)
    )
    network = kp.KAN([3, 4, 1], degree=5, grid=3)
    terms = discretize(problem, network, SolveSettings(points=kp.Collocation(20, 20))).terms()
    assert len(terms) == 2 and terms[1].sites == 2


OTHER = kp.Box(x=(-0.5, 0.5), y=(-0.5, 0.5))
MISPLACED = [
    (kp.Dirichlet(OTHER.boundary), "a Dirichlet, is not on the domain's boundary but inside of it"),
    (kp.Neumann(kp.Disk((0, 0), 3.0).boundary), "a Neumann, is outside of the domain, at x = "),
    (kp.Dirichlet(kp.Box(a=(0, 1), b=(0, 1)).boundary), "has the coordinates a, b, the domain of"),
    (kp.Integral(kp.Disk((0, 0), 3.0)), "an Integral, is outside"),
]


@pytest.mark.parametrize(("condition", "words"), MISPLACED)
def test_conditions_of_another_domain_are_refused(condition, words):
    with pytest.raises(kp.InputError, match=words):
        random_surrogate(Poisson(SQUARE, condition), "auto")


def test_a_part_of_another_boundary_may_lie_on_the_domains_own():
    half = kp.Box(x=(-1, 0), y=(-1, 1)).boundary["x_min"]
    assert random_surrogate(Poisson(SQUARE, kp.Dirichlet(half, smooth)), "auto")


@pytest.mark.parametrize("kind", [kp.Neumann, kp.Dirichlet, lambda b, f: kp.Robin(b, 1.0, f)])
@pytest.mark.parametrize("shape", [lambda p: p.x[:, 0], lambda p: p.coords, lambda p: 3.0])
def test_data_of_a_wrong_shape_are_refused(kind, shape):
    problem = Poisson(SQUARE, kind(SQUARE.boundary, shape), kp.Integral(SQUARE))
    network = kp.KAN([2, 4, 1], degree=5, grid=3)
    with pytest.raises(kp.InputError, match=r"must have shape \(n, 1\) with n = .* got"):
        kp.solve(problem, network, boundary="penalty")


KINKED = {
    "hat": lambda p: 1 - p.x.abs(),
    "jump": lambda p: torch.where(p.x < 0.2, 1 + p.x, 1 - p.x) * (1 - p.x**2),
    "no derivative": lambda p: (1 - p.x**2).detach(),
}
SMOOTH = {
    "wave": lambda p: torch.sin(10 * math.pi * p.x),
    "steep": lambda p: torch.exp(-50 * p.x**2) * (1 - p.x**2),
    "constant": lambda p: 0 * p.x,
}


def film(start):
    """The heat equation, with an initial value that is given."""
    domain = kp.Box(x=(-1, 1), t=(0, 1))
    ends = kp.Dirichlet(domain.boundary["x_min", "x_max"])
    residual = lambda p, u: kp.partial(u, "t") - kp.partial(u, "x", "x")  # noqa: E731
    return Stated(domain, residual, [kp.Initial(domain, start), ends])


@pytest.mark.parametrize("start", KINKED.values(), ids=KINKED)
def test_data_whose_derivatives_are_not_what_autograd_says_are_a_penalty(start):
    problem = film(start)
    assert choose_imposition(problem, "auto", []).output is None
    with pytest.raises(kp.InputError, match="values prescribed on t_min are not smooth"):
        choose_imposition(problem, "exact", [])


@pytest.mark.parametrize("start", SMOOTH.values(), ids=SMOOTH)
def test_smooth_data_are_built_in(start):
    assert choose_imposition(film(start), "auto", []).output is not None
