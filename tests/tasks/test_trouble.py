"""What a march says of problems that have no solution, or not for all of the time."""

import json
import math

import pytest
import torch
from cases import Manufactured, Stated

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.jets import Linearised, random_jets
from kanpinn.optimizers.damping import falls_short, shortened
from kanpinn.runs.config import Config
from kanpinn.runs.results import RunFolder, config_of
from kanpinn.tasks.growth import fastest_wave

d = kp.partial


def fields_of(residual):
    """A name for each argument of a residual after the points."""
    return tuple("uvq"[: residual.__code__.co_argcount - 1])


class Circle(kp.Problem):
    """An equation around a circle, from sin 2πx."""

    domain = kp.Box(x=(0, 1), t=(0, 1))

    def __init__(self, residual=None, fields=("u",), rate=None) -> None:
        self.fields, self.rate = fields, rate
        self._residual = residual

    def residual(self, p, *fields):
        return self._residual(p, *fields)

    def conditions(self):
        start = [kp.Initial(self.domain, self.start, self.rate, field=f) for f in self.fields]
        return [*start, *(kp.Periodic(self.domain, "x", field=f) for f in self.fields)]

    def start(self, p):
        return torch.sin(2 * math.pi * p.x)


def solved(problem, tolerance=1e-4, grid=16, **settings):
    network = kp.Windows([problem.domain.dim, len(problem.fields)], degree=6, grid=grid)
    march = kp.March(tolerance)
    return kp.solve(problem, network, march, verified=False, errors=False, **settings)


BACKWARD = {  # a residual, and the initial rate
    "heat": (lambda p, u: d(u, "t") + d(u, "x", "x"), None),
    "heat where x > 1/2": (lambda p, u: d(u, "t") - (0.5 - p.x) * d(u, "x", "x"), None),
    "one field of two": (
        lambda p, u, v: (d(u, "t") - d(u, "x", "x") - v.value, d(v, "t") + d(v, "x", "x")),
        None,
    ),
    "elliptic in time": (lambda p, u: d(u, "t", "t") + d(u, "x", "x"), 0.0),
    "complex speeds": (lambda p, u, v: (d(u, "t") - d(v, "x"), d(v, "t") + d(u, "x")), None),
    "at this solution": (lambda p, u: d(u, "t") - u.value * d(u, "x", "x"), None),
}


@pytest.mark.parametrize("case", BACKWARD.values(), ids=BACKWARD)
def test_an_ill_posed_equation_is_refused(case):
    residual, rate = case
    with pytest.raises(kp.InputError, match=r"ill-posed forward in t near x = .*, t = 0: waves"):
        solved(Circle(residual, fields_of(residual), rate))


@pytest.mark.parametrize(
    ("residual", "order"),
    [
        (lambda p, u: d(u, "t", "t") - kp.laplacian(u), 0),  # the second derivatives cancel
        (lambda p, u: d(u, "t") - d(u, "x", "x"), 1),
    ],
    ids=["laplacian with time", "heat"],
)
def test_initial_rates_of_an_equation_of_lower_order_are_refused(residual, order):
    with pytest.raises(
        kp.InputError, match=rf"order 2 in t, and this one has order {order}; kp\.lap"
    ):
        solved(Circle(residual, ("u",), 0.0))


def xx(u):
    return d(u, "x", "x")


def yy(u):
    return d(u, "y", "y")


def stokes(u, v, q, viscosity):
    """Stokes' equations, backward in time for a negative viscosity."""
    both = (d(w, "t") - viscosity * (xx(w) + yy(w)) + d(q, x) for w, x in ((u, "x"), (v, "y")))
    return *both, d(u, "x") + d(v, "y")


POSED = {  # equations by whether they are well posed forward in time, and their orders in time
    "heat": (True, 1, lambda p, u: d(u, "t") - 3 * xx(u) - yy(u)),
    "backward in y": (False, 1, lambda p, u: d(u, "t") - 9 * xx(u) + yy(u)),
    "a mixed derivative": (True, 1, lambda p, u: d(u, "t") - xx(u) - yy(u) - 1.9 * d(u, "x", "y")),
    "waves": (True, 2, lambda p, u: d(u, "t", "t") - xx(u) - yy(u)),
    "a plate": (True, 2, lambda p, u: d(u, "t", "t") + d(u, *"xxxx")),
    "a plate of another sign": (False, 2, lambda p, u: d(u, "t", "t") - d(u, *"xxxx")),
    "Kuramoto and Sivashinsky": (
        *(True, 1, lambda p, u: d(u, "t") + u.value * d(u, "x") + xx(u) + d(u, *"xxxx")),
    ),
    "equal speeds, coupled": (
        *(True, 1, lambda p, u, v: (d(u, "t") + d(u, "x") + 5 * d(v, "x"), d(v, "t") + d(v, "x"))),
    ),
    "Schrödinger": (True, 1, lambda p, u, v: (d(u, "t") + xx(v), d(v, "t") - xx(u) - u.value**3)),
    "Stokes": (True, 1, lambda p, u, v, q: stokes(u, v, q, 1)),
    "backward Stokes": (False, 1, lambda p, u, v, q: stokes(u, v, q, -1)),
    "Cahn and Hilliard": (
        *(True, 1, lambda p, u, w: (d(u, "t") - xx(w), w.value - u.value**3 + xx(u))),
    ),
    "a dispersed backward heat equation": (
        *(False, 1, lambda p, u: d(u, "t") + d(u, *"xxx") + xx(u)),
    ),
}


@pytest.mark.parametrize("case", POSED.values(), ids=POSED)
def test_growth_without_bound_is_that_of_ill_posed_equations(case, generator):
    is_posed, order, residual = case
    fields = fields_of(residual)
    domain = kp.Box(x=(0, 0.3), y=(0, 20), t=(0, 1))
    problem = Stated(domain, residual, fields=fields)
    coords = torch.rand(5, 3, generator=generator, dtype=torch.float64)
    points = Points(coords, problem.domain.names)
    for jet in random_jets(problem.equation, points, len(fields)):
        found = Linearised.at(problem.equation, points, jet)
        growth = fastest_wave(found, torch.tensor([0.3, 20.0, 1.0]).double(), order)
        assert (growth is None) == is_posed


def test_errors_of_a_coefficient_that_vanishes_do_not_make_an_equation_ill_posed():
    """u_t = u u_xx / 20 from sin² πx, which vanishes at x = 0 and stays at least -1e-4 there."""
    problem = Circle(lambda p, u: d(u, "t") - u.value * d(u, "x", "x") / 20)
    problem.start = lambda p: torch.sin(math.pi * p.x) ** 2
    assert solved(problem).status == "converged"


def test_an_equation_that_becomes_ill_posed_stops_there():
    problem = Circle(lambda p, u: d(u, "t") - 0.1 * (0.5 - p.t) * d(u, "x", "x"))
    solution = solved(problem)
    assert solution.status.startswith("failed: the equation is ill-posed forward in t near x = ")
    assert "what comes before is kept" in solution.status
    reached = solution.history.rows[-1]["time"]
    assert 0.5 < reached < 1
    x = torch.linspace(0, 1, 9, dtype=torch.float64)
    p = torch.stack([x, torch.full_like(x, 0.4)], dim=1)
    exact = math.exp(-0.4 * math.pi**2 * (0.5 * 0.4 - 0.4**2 / 2)) * torch.sin(2 * math.pi * x)
    assert (solution(p)[:, 0] - exact).abs().max() < 1e-3


LATE = 1e8  # where moments that are closer than 1e-8 are one: few windows lead to the end


def test_blow_up_of_a_reaction_with_diffusion():
    """u_t = u_xx + u² around a circle, from 2: u = 2 / (1 - 2t)."""
    problem = Circle(lambda p, u: d(u, "t") - d(u, "x", "x") - u.value**2)
    problem.domain = kp.Box(x=(0, 1), t=(LATE, LATE + 1))
    problem.start = lambda p: 2 + 0 * p.x
    solution = solved(problem, 1e-3, grid=7)
    assert solution.status.startswith("failed: no window from t = 100000000.5 on reaches the tol")
    assert "the solution may cease to exist there" in solution.status


def test_newton_fails_where_the_equation_ends():
    """u_t = -√u from 1/4: u = (1/2 - t/2)² reaches 0 at t = 1, where no real root is beyond."""
    problem = Circle(lambda p, u: d(u, "t") + u.value.sqrt())
    problem.domain = kp.Box(x=(0, 1), t=(0, 2))
    problem.start = lambda p: 0.25 + 0 * p.x
    solution = solved(problem, 1e-3, grid=7)
    assert solution.status.startswith("failed: no window from t = ")
    assert "Newton's method fails" in solution.status
    assert solution.history.rows[-1]["time"] == pytest.approx(1.0, abs=5e-2)


@pytest.mark.parametrize("walls", [(), ("x_min",)])
def test_too_few_conditions_at_walls_are_refused(walls):
    class Open(Circle):
        def conditions(self):
            start = kp.Initial(self.domain, 1.0)
            return [start, *(kp.Dirichlet(self.domain.boundary[one], 1.0) for one in walls)]

    with pytest.raises(kp.InputError, match="has no condition, and the equation needs 1 there"):
        solved(Open(lambda p, u: d(u, "t") - d(u, "x", "x")))


EXPLODING = """
[problem]
class = "burning.py:Burning"

[network]
type = "windows"
width = [1, 1]

[[optimizer]]
type = "march"
tolerance = 1e-5
"""
BURNING = f"""
import kanpinn as kp

class Burning(kp.Problem):
    domain = kp.Box(t=({LATE}, {LATE + 2}))

    def residual(self, p, u):
        return kp.partial(u, "t") - u.value**2

    def conditions(self):
        return [kp.Initial(self.domain, 1.0)]
"""


def test_a_march_that_fails_can_be_resumed_with_another_tolerance(tmp_path):
    (tmp_path / "burning.toml").write_text(EXPLODING)
    (tmp_path / "burning.py").write_text(BURNING)
    config = Config.read(tmp_path / "burning.toml")
    folder = RunFolder.create(tmp_path, config.name, config)
    run = folder.finish(config.build().run([folder.checkpoint]), figures=False)
    before = json.loads((run / "run.json").read_text())
    assert before["status"].startswith("failed: no window from t = ")
    with pytest.raises(kp.InputError, match=r"cannot be resumed: .*with another tol"):
        RunFolder.resume(run)
    folder = RunFolder.resume(run, config_of(run).override(["optimizer[0].tolerance=1e-3"]))
    solution = folder.config.build().run([folder.checkpoint], folder.state)
    assert solution.history.steps > before["steps"]
    assert solution.network.count > 5
    early = LATE + torch.tensor([[0.5], [0.9]], dtype=torch.float64)
    assert (solution(early) * (1 - (early - LATE)) - 1).abs().max() < 1e-4
    assert solution.status.startswith("failed")  # there is no solution beyond t = 1


# --- Equations without a linearisation about zero are solved from other starts, or refused


LINE, SQUARE = kp.Box(x=(0, 1)), kp.Box(x=(0, 1), y=(0, 1))


def dirichlet(domain, exact):
    return [kp.Dirichlet(domain.boundary, exact)]


# Each vanishes or is not finite about zero, and about the data's extension.
SQUARED = lambda p: (2 - p.x) * p.x + 1  # noqa: E731
HOSTILE = {
    "porous medium": (
        lambda p, u: kp.laplacian(u * u) + 2.0,
        lambda p: torch.sqrt(p.x * (1 - p.x) + 1),
    ),
    "logarithm": (
        lambda p, u: xx(u) + 2 + torch.log(u.value) - torch.log(SQUARED(p)),
        SQUARED,
    ),
    "quotient": (lambda p, u: xx(u) + 2 + 1 / u.value - 1 / SQUARED(p), SQUARED),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("network", [lambda: kp.Cells(degree=10), lambda: kp.KAN([1, 1], 9, 8)])
def test_equations_that_are_hostile_to_zero_are_solved(name, network):
    residual, exact = HOSTILE[name]
    problem = Stated(LINE, residual, dirichlet(LINE, exact), exact=exact)
    solution = kp.solve(problem, network(), tolerance=1e-6)
    assert solution.success and solution.errors.l2_relative < 1e-6


def test_an_equation_without_terms_about_zero_is_solved_in_cells():
    """|∇u|² Δu linearised about zero is zero: corners have no exponents then."""

    def residual(p, u):
        return kp.grad(u).square().sum(dim=1, keepdim=True) * kp.laplacian(u)

    problem = Manufactured(SQUARE, residual, "exp(x) * cos(y)")
    solution = kp.solve(problem, kp.Cells(degree=6, cells=1), tolerance=1e-3)
    assert solution.success and solution.errors.l2_relative < 3e-3


def test_the_convex_solution_of_the_monge_ampere_equation_is_found():
    """det D²u has no linear terms about zero, and a concave solution besides the convex one."""

    def determinant(p, u):
        return d(u, "x", "x") * d(u, "y", "y") - d(u, "x", "y") ** 2

    problem = Manufactured(kp.Disk((0, 0), 1), determinant, "exp((x**2 + y**2) / 3)")
    solution = kp.solve(problem, kp.Cells(degree=6), tolerance=1e-5)
    assert solution.success and solution.errors.l2_relative < 1e-5


def test_a_step_that_overshoots_is_shortened_in_cells():
    """The first full step gives e^u a size of 10^40 or more."""

    def grown(p, u):
        return torch.exp(u.value) - d(u, "x", "x")

    problem = Manufactured(LINE, grown, "9*sin(4*x)")
    solution = kp.solve(problem, kp.Cells(degree=10), tolerance=1e-6)
    assert solution.success and solution.errors.l2_relative < 1e-6


def test_steps_are_shortened_until_the_loss_rises():
    """(1 - 6 s)² is least at s = 1/6; of the powers of 1/2, at 1/8."""
    tried = []

    def loss_at(share):
        tried.append(share)
        return (1 - 6 * share) ** 2

    assert shortened(loss_at, 1.0) == (1 / 8, 1 / 16) and tried == [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]
    assert shortened(lambda share: 1 + share, 1.0) == (0, 1)
    share, least = shortened(lambda share: (1 - 1e9 * share) ** 2, 1.0)
    assert 0.5e-9 < share < 2e-9 and least < 1
    assert falls_short(1.0, 0.0, math.inf) and not falls_short(1.0, 0.0, 0.4)


def test_p_laplacian_as_an_energy_has_no_curvature_at_zero():
    problem = Stated(
        LINE, None, dirichlet(LINE, 0.0), energy=lambda p, u: d(u, "x") ** 4 / 4 - u.value
    )
    network = kp.KAN([1, 1], degree=5, grid=16)
    with torch.no_grad():
        network.output_layers[0].coefficients.zero_()
    solution = kp.solve(problem, network, loss=kp.Loss(form="energy"))
    middle = float(solution(torch.tensor([[0.5]]).double()))
    assert middle == pytest.approx(0.75 * 0.5 ** (4 / 3), abs=5e-3)


def test_p_laplacian_with_hardly_any_curvature_at_zero():
    """In cells the first Newton step from u = 0 is 1e44 times too long."""
    p = 5.0

    def energy(points, u):
        return (d(u, "x") ** 2 + 1e-30) ** (p / 2) / p - u.value

    x, q = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None], p / (p - 1)
    exact = (0.5**q - (x - 0.5).abs() ** q) / q

    def strong(points, u):
        return (p - 1) * (d(u, "x") ** 2 + 1e-30) ** (p / 2 - 1) * xx(u) + 1

    problem = Stated(LINE, strong, dirichlet(LINE, 0.0), energy=energy)
    minimum = kp.solve(problem, kp.KAN([1, 8, 1], degree=5, grid=4), loss=kp.Loss(form="energy"))
    cells = kp.solve(problem, kp.Cells(degree=8), tolerance=1e-4)
    assert minimum.success and (minimum(x) - exact).norm() < 1e-2 * exact.norm()
    assert cells.success and (cells(x) - exact).norm() < 1e-4 * exact.norm()


def test_a_breakdown_is_a_sentence_with_a_remedy():
    never = lambda p, u: xx(u) + torch.log(-1 - u.value**2)  # noqa: E731
    for network in (kp.Cells(degree=4), kp.KAN([1, 1], degree=5)):
        solution = kp.solve(Stated(LINE, never, dirichlet(LINE, 0.0)), network)
        assert solution.status.startswith("failed: step 1 of ")
        assert "Continuation" in solution.status and math.isfinite(solution.history.rows[0]["step"])


def test_an_energy_with_a_logarithm_is_minimised_within_a_budget():
    """J = 1 + u' is not positive for the random output layer of a new network."""

    def energy(p, u):
        stretch = 1 + d(u, "x")
        return stretch**2 / 2 - torch.log(stretch)

    ends = LINE.boundary
    given = [kp.Dirichlet(ends["x_min"], 0.0), kp.Dirichlet(ends["x_max"], 0.5)]
    problem = Stated(LINE, None, given, energy=energy)
    network, loss = kp.KAN([1, 1], degree=5, grid=8), kp.Loss(form="energy")
    with torch.no_grad():
        network.output_layers[0].coefficients.mul_(10)
    solution = kp.solve(problem, network, loss=loss, budget=60)
    middle = float(solution(torch.tensor([[0.5]]).double()))
    assert solution.success and middle == pytest.approx(0.25, abs=1e-6)
