"""Domains, conditions and equations combine: random ones of each, with known solutions."""

import functools
import itertools

import pytest
from random_domains import DOMAINS
from random_problems import EVOLVING, STEADY, Drawn

import kanpinn as kp
from kanpinn.geometry.sampling import sample
from kanpinn.pde.verify import exact_defects

SOLID = ("box", "ball", "box over time", "disk over time", "L-shape over time")
DRAWS = [*itertools.product(DOMAINS, [0]), *((k, 1) for k in DOMAINS if k not in SOLID)]
POINTS = 2000  # at which errors are measured

drawn = functools.cache(Drawn)


def embeds(problem: Drawn, seed: int) -> bool:
    """Whether the network takes a period in its inputs, which leaves nothing to the loss."""
    return seed == 1 and len(problem.periodic) == len(problem.fields) == 1


def network_of(problem: Drawn, embedded: bool) -> kp.KAN:
    """A small KAN; in three dimensions more directions and fewer intervals do better."""
    inputs, outputs = problem.domain.dim + embedded, len(problem.fields)
    if problem.domain.dim == 3:
        return kp.KAN([inputs, 100, outputs], degree=[3, 8], grid=[1, 3])
    if problem.domain.dim == 1:
        return kp.KAN([inputs, 24, outputs], degree=9, grid=[2, 6])
    width = (96 if embedded else 56) if problem.periodic else 24
    return kp.KAN([inputs, width, outputs], degree=9, grid=[2, 6])


@pytest.mark.parametrize(("kind", "seed"), DRAWS)
def test_any_conditions_on_any_domain_are_solved(kind, seed):
    problem = drawn(kind, seed)
    assert all(defect.is_rounding for defect in exact_defects(problem))
    if problem.domain.dim == 3:
        points = kp.Collocation(2200, 1100)
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
    assert errors.max() < 1e-6


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
