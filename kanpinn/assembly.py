"""What a solve starts from: the surrogate, its collocation points and the residual blocks."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real

import torch
from torch import Tensor

from kanpinn.conditions import Condition, Dirichlet, Initial
from kanpinn.distributed import share
from kanpinn.errors import InputError
from kanpinn.geometry import Box, Face, Points
from kanpinn.networks.dirichlet import ExactDirichlet, Fieldwise
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import OutputMap, Surrogate
from kanpinn.problem import Problem
from kanpinn.residuals import Block, build_blocks
from kanpinn.sampling import Collocation, sample

LOSS_TERMS = ("interior", "boundary")
FACE_POINTS = 16  # at which exact data are compared with what was prescribed
AGREE = 1e-8


@dataclass(frozen=True)
class Assembly:
    """A problem's surrogate, and its residual blocks for any epoch of collocation points.

    Raises:
        InputError: where problem, network, boundary or weights do not fit together.
    """

    problem: Problem
    surrogate: Surrogate
    collocation: Collocation
    weights: dict[str, float]
    seed: int

    def points(self, epoch: int = 0) -> list[Points]:
        """Interior points, then those of each condition: its share of the boundary by measure.

        They depend on the seed and the epoch alone.
        """
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * epoch)
        conditions, chosen = self.problem.conditions(), self.collocation
        total = sum(c.surface for c in conditions)
        parts = [sample(self.problem.domain, chosen.interior, chosen.sampler, generator)]
        parts += [c.points(chosen, c.surface / (total or 1.0), generator) for c in conditions]
        return [p.to(self.surrogate.low.dtype, self.surrogate.low.device) for p in parts]

    def blocks(self, epoch: int = 0) -> list[Block]:
        """The residual blocks; none for data that the surrogate takes exactly."""
        interior, *pieces = self.points(epoch)
        if self.surrogate.output is not None:
            pieces = [
                p[:0] if _is_met(c) else p
                for c, p in zip(self.problem.conditions(), pieces, strict=True)
            ]
        return build_blocks(self.problem, self.surrogate, interior, pieces, self.weights)

    def prepare(self) -> None:
        """Let the network adapt to the first points."""
        coords = torch.cat([p.coords[share(len(p))] for p in self.points()])
        self.surrogate.prepare(Points(coords, self.problem.domain.names))


def assemble(
    problem: Problem,
    network: Network,
    points: Collocation | None,
    boundary: str,
    weights: Mapping[str, float | int] | None,
    seed: int,
) -> Assembly:
    """Check that everything fits together, and put the surrogate together; see `solve`."""
    if not isinstance(problem, Problem):
        raise InputError(f"problem must be an instance of a kanpinn Problem, got {problem!r}")
    problem.check()
    _check_outputs(problem, network)
    surrogate = Surrogate(network, problem.domain, _output_map(problem, boundary))
    _check_boundary(problem, surrogate)
    points = default_points(network) if points is None else points
    return Assembly(problem, surrogate, points, _weights(weights), seed)


def default_points(network: Network) -> Collocation:
    """Gauss points: about 1.4 for each coefficient of the output layer, at least 1681 + 164."""
    coefficients = network.layers[-1].coefficients.numel()
    interior = max(1681, math.ceil(1.4 * coefficients))
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")


def _check_outputs(problem: Problem, network: Network) -> None:
    fields = problem.fields
    if network.width[-1] != len(fields):
        raise InputError(
            f"network.width must end with {len(fields)} outputs for the fields {', '.join(fields)} "
            f"of {type(problem).__name__}, got {list(network.width)}"
        )


def _weights(weights: Mapping[str, float | int] | None) -> dict[str, float]:
    chosen: dict[str, float | int] = dict.fromkeys(LOSS_TERMS, 1.0) | dict(weights or {})
    for name, value in chosen.items():
        if name not in LOSS_TERMS:
            raise InputError(f"weights has no term {name!r}: the terms are {', '.join(LOSS_TERMS)}")
        if not (isinstance(value, Real) and math.isfinite(value) and value >= 0):
            raise InputError(f"the weight of {name} must be a number >= 0, got {value!r}")
    return {name: float(value) for name, value in chosen.items()}


def _output_map(problem: Problem, boundary: str) -> OutputMap | None:
    if boundary not in ("exact", "penalty"):
        raise InputError(f'boundary must be "exact" or "penalty", got {boundary!r}')
    if boundary == "penalty":
        return None
    if not isinstance(problem.domain, Box):
        raise InputError('boundary = "exact" is for boxes: use boundary = "penalty"')
    exact = [c for c in problem.conditions() if isinstance(c, Dirichlet | Initial)]
    if all(c.field is None for c in exact):
        return _exact(problem.domain, exact, len(problem.fields))
    maps = [
        _exact(problem.domain, [c for c in exact if c.field in (None, name)], 1)
        for name in problem.fields
    ]
    return Fieldwise(tuple(maps))


def _exact(
    box: Box, conditions: Sequence[Dirichlet | Initial], fields: int
) -> ExactDirichlet | None:
    """What takes the data of these conditions, of so many fields together."""
    data: dict[Face, Callable[[Points], Tensor] | None] = {}
    for condition in conditions:
        zero = not callable(condition.value) and condition.value == 0
        for face in condition.boundary.pieces:
            assert isinstance(face, Face)
            if face in data:
                raise InputError(f"two conditions prescribe values on the face {face.name}")
            data[face] = None if zero else partial(condition.target, m=fields)
    return ExactDirichlet(box, data) if data else None


def _is_met(condition: Condition) -> bool:
    """Whether an exact surrogate leaves nothing of it to the loss."""
    if isinstance(condition, Initial):
        return condition.rate is None
    return isinstance(condition, Dirichlet)


@torch.no_grad()
def _check_boundary(problem: Problem, surrogate: Surrogate) -> None:
    """Refuse data that disagree where faces meet: no continuous function takes them."""
    if surrogate.output is None:
        return
    low, m = surrogate.low, len(problem.fields)
    for condition in problem.conditions():
        if not isinstance(condition, Dirichlet | Initial):
            continue
        which = slice(None) if condition.field is None else problem.fields.index(condition.field)
        for piece in condition.boundary.pieces:
            points = sample(piece, FACE_POINTS, "gauss").to(low.dtype, low.device)
            target = condition.target(points, m if condition.field is None else 1)
            found = surrogate(points)[:, which].reshape(len(points), -1)
            gap = (found - target).abs().amax(dim=1)
            if gap.max() > AGREE * (1 + target.abs().max()):
                worst = points.coords[gap.argmax()].tolist()
                where = ", ".join(
                    f"{n} = {v:.3g}" for n, v in zip(points.names, worst, strict=True)
                )
                raise InputError(
                    f"the prescribed values disagree where faces meet: at {where} on {piece.name} "
                    f'they would be missed by {float(gap.max()):.1e}; use boundary = "penalty"'
                )
