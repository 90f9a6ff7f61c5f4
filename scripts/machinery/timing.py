"""Operations of kanpinn that are timed, beside plain torch, and how they are timed."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import kanpinn as kp
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels
from kanpinn.loss import Residuals, ResidualTerm
from kanpinn.loss.terms import residual_term
from kanpinn.networks import KAN, Network, Surrogate


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one case; `ratio` is its time over the reference's, round by round."""

    group: str
    case: str
    points: int
    parameters: int
    seconds: list[float]
    ratios: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Case:
    """One contender: a call and its sizes."""

    run: Callable[[], object]
    points: int
    parameters: int


def interleaved(group: str, cases: Mapping[str, Case], rounds: int) -> list[Timing]:
    """Time all cases round by round; ratios are to the first case."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            spent = _seconds(case)
            if number:  # the first round warms up
                seconds[name].append(spent)
    base = seconds[next(iter(cases))]
    return [
        Timing(group, name, c.points, c.parameters, own, [a / b for a, b in zip(own, base)])  # noqa: B905
        for (name, c), own in zip(cases.items(), seconds.values(), strict=True)
    ]


def _seconds(case: Case) -> float:
    start = time.perf_counter()
    case.run()
    return time.perf_counter() - start


class Poisson(kp.Problem):
    """u_xx + u_yy = -2 sin x sin y on [-1, 1]²; only the interior residual is timed."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.laplacian(u) - self.source(p)

    def source(self, p: kp.Points) -> Tensor:
        return source(p.coords)

    def conditions(self) -> list[kp.Dirichlet]:
        return []


def source(x: Tensor) -> Tensor:
    """Return -2 sin x sin y at (..., 2), as (..., 1)."""
    return -2 * torch.sin(x[..., :1]) * torch.sin(x[..., 1:])


def residuals(network: Network, points: int) -> Residuals:
    """Return the interior term of `Poisson` at about so many Gauss points."""
    problem = Poisson()
    surrogate = Surrogate(network, problem.domain)
    like = next(network.parameters())
    interior = sample(problem.domain, points, "gauss").to(dtype=like.dtype)
    surrogate.prepare(interior[:: max(1, points // 2000)])  # the grids; not what is measured
    term = residual_term("interior", problem.equation, interior, surrogate, "residual")
    return Residuals(surrogate, [term])


def kan(width: int, dtype: torch.dtype = torch.float64) -> kp.KAN:
    """Return the reference network [2, width, 1], k = 3, G = 5: 24 parameters a unit."""
    return kp.KAN([2, width, 1], degree=3, grid=5, seed=0, dtype=dtype)


def jets(network: Network, points: int) -> Case:
    """Return the case of loss and gradient by kanpinn."""
    system = residuals(network, points)

    def run() -> float:
        network.zero_grad()
        return system.backward()

    return Case(run, points, network.parameter_count)


def nested(network: nn.Module, points: int) -> Case:
    """Return the case of the same loss and gradient by autograd through autograd."""
    coords = sample(Poisson.domain, points, "gauss").coords
    target = source(coords)

    def run() -> float:
        network.zero_grad()
        loss = (nested_laplacian(network, coords) - target).square().mean()
        loss.backward()
        return float(loss.detach())

    return Case(run, points, count(network))


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def nested_laplacian(network: Callable[[Tensor], Tensor], coords: Tensor) -> Tensor:
    x = coords.clone().requires_grad_()
    (first,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    second = [
        torch.autograd.grad(first[:, a].sum(), x, create_graph=True)[0][:, a] for a in range(2)
    ]
    return (second[0] + second[1])[:, None]


def closed_form_jacobian(network: Network, points: int) -> Case:
    system = residuals(network, points)
    layers = list(network.layers)
    return Case(lambda: list(system.rows(layers)), points, network.parameter_count)


def vmap_of_jets(network: Network, points: int) -> Case:
    """Return the case of vmap(grad) over parameters of one point's residual by forward jets."""
    system = residuals(network, points)
    term, surrogate = system.terms[0], system.surrogate
    assert isinstance(term, ResidualTerm)

    def residual(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        p = kp.Points(x[None], term.points.names)
        jet = torch.func.functional_call(_Jet(surrogate, term.channels), parameters, (p,))
        return term.equation(p, jet)[0, 0]

    parameters = {f"surrogate.{k}": v.detach() for k, v in surrogate.named_parameters()}
    rows = torch.func.vmap(torch.func.grad(residual), in_dims=(None, 0))
    return Case(lambda: rows(parameters, term.points.coords), points, network.parameter_count)


class _Jet(nn.Module):
    """A module whose forward method is the surrogate's jet, as functional_call needs it."""

    def __init__(self, surrogate: Surrogate, channels: Channels) -> None:
        super().__init__()
        self.surrogate, self.channels = surrogate, channels

    def forward(self, points: kp.Points) -> kp.Jet:
        return self.surrogate.jet(points, self.channels)


def by_grad(u: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the Laplacian at one point by grad of each component of grad."""
    grad = torch.func.grad
    second = [grad(lambda z, a=a: grad(u)(z)[a])(x)[a] for a in range(len(x))]
    return sum(second[1:], start=second[0])


def vmap_of_nested(network: nn.Module, points: int) -> Case:
    """Return the case of vmap(grad) over parameters of one point's residual.

    Its Laplacian is computed by torch.func too.
    """
    coords = sample(Poisson.domain, points, "gauss").coords

    def residual(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        def u(z: Tensor) -> Tensor:
            return torch.func.functional_call(network, parameters, (z[None],))[0, 0]

        return by_grad(u, x) - source(x)[0]

    parameters = {name: p.detach() for name, p in network.named_parameters()}
    rows = torch.func.vmap(torch.func.grad(residual), in_dims=(None, 0))
    return Case(lambda: rows(parameters, coords), points, count(network))


def plain_mlp(width: int) -> nn.Sequential:
    """Return the MLP [2, width, 1] with tanh units."""
    first, last = nn.Linear(2, width, dtype=torch.float64), nn.Linear(width, 1, dtype=torch.float64)
    return nn.Sequential(first, nn.Tanh(), last)


class PlainKAN(nn.Module):
    """The same function as a KAN by the vectorised Cox-de Boor recursion over the whole grid.

    Autograd differentiates through the recursion. Reference: de Boor (1978), chapter X, (4).
    """

    def __init__(self, network: KAN) -> None:
        super().__init__()
        self.degree = network.layers[0].basis.degree
        self.knots: list[Any] = [layer.basis.knots for layer in network.layers]
        self.coefficients = nn.ParameterList(
            layer.coefficients.detach().clone() for layer in network.layers
        )

    def forward(self, x: Tensor) -> Tensor:
        for knots, coefficients in zip(self.knots, self.coefficients, strict=True):
            splines = cox_de_boor(x, knots, self.degree)
            x = splines.flatten(-2) @ coefficients.flatten(0, 1)
        return x


def cox_de_boor(x: Tensor, knots: Tensor, degree: int) -> Tensor:
    """Return all B-splines at x (..., n_in), (..., n_in, n_splines); zero outside the knots."""
    x = x[..., None]
    splines = ((x >= knots[:, :-1]) & (x < knots[:, 1:])).to(x.dtype)
    for k in range(1, degree + 1):
        rising = (x - knots[:, : -k - 1]) / (knots[:, k:-1] - knots[:, : -k - 1])
        falling = (knots[:, k + 1 :] - x) / (knots[:, k + 1 :] - knots[:, 1:-k])
        splines = rising * splines[..., :-1] + falling * splines[..., 1:]
    return splines
