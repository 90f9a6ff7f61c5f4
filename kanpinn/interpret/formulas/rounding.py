"""Rounding of a graph's constants to exact numbers such as 1/2, π and √2."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn.interpret.formulas.constants import recognise
from kanpinn.interpret.formulas.normal import redundant
from kanpinn.interpret.graphs.graph import Graph, Key
from kanpinn.interpret.graphs.refit import refit

Name = tuple[Key, str]
PLAIN = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # values for constants that are not determined
NULL = 1e-9  # singular values below this share of the largest count as zero


@dataclass(frozen=True)
class Rounded:
    """A graph, and its recognised constants as sympy numbers, {(edge, name): number}."""

    graph: Graph
    exact: dict[Name, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[Name]:
        """The (edge, name) of each entry of `graph.parameters`."""
        return [
            (key, name)
            for key in sorted(self.graph.edges)
            for name in self.graph.formulas()[key].free
        ]

    @property
    def complete(self) -> bool:
        """True if every constant is recognised or fixed by the normal form."""
        fixed = redundant(self.graph)
        return all(name in self.exact or name in fixed for name in self.names)

    def fixed(self, values: dict[Name, Any]) -> "Rounded":
        """Return the same with these constants recognised and set."""
        graph = self.graph
        for (key, name), value in values.items():
            changed: dict[str, Any] = {name: float(value)}
            graph = graph.with_edge(key, replace(graph.formulas()[key], **changed))
        return Rounded(graph, self.exact | values)


def rounded(graph: Graph, x: Tensor, y: Tensor) -> Rounded:
    """Recognise as many constants of a graph in normal form as the data allow.

    Constants that the data do not determine, because a family of formulas gives the same function,
    are first set to simple values. Then constants close to an exact number are set to it. After
    each change the other constants are refit; a change that raises the error too much is undone.

    Args:
        graph: the graph, in its normal form, all of whose edges are formulas.
        x: the inputs, (n, d).
        y: the targets, (n, m).
    """
    return _Rounding(x, y, Rounded(graph))()


class _Rounding:
    def __init__(self, x: Tensor, y: Tensor, state: Rounded) -> None:
        least = 1e-13  # relative error that counts as rounding
        growth = 3.0  # the factor by which a rounded constant may raise the error
        # A relative error above `noise` is taken for noise, independent from row to row; then the
        # error may grow by `noisy_growth` only.
        noise, noisy_growth, sigmas = 1e-6, 1.02, 4.0
        self.x, self.y, self.state = x, y, state
        self.scale = float(torch.linalg.norm(y - y.mean(dim=0)))
        self.start = max(self._error(state), least)
        # A smooth error, such as that of a solution, can shift constants by more than noise does.
        noisy = self.start > noise
        self.growth = noisy_growth if noisy else growth
        self.reach = (sigmas / math.sqrt(y.numel()) if noisy else 2.0) * self.start
        self.refused: set[Name] = set()

    def __call__(self) -> Rounded:
        while self._settle_one():
            pass
        self._recognise_all()
        while self._recognise_one():
            pass
        return self.state

    def _error(self, state: Rounded) -> float:
        error = float(torch.linalg.norm(state.graph(self.x) - self.y)) / self.scale
        return error if math.isfinite(error) else math.inf

    def _free(self, state: Rounded) -> Tensor:
        fixed = redundant(state.graph)
        return torch.tensor([n not in state.exact and n not in fixed for n in state.names])

    def _try(self, values: dict[Name, Any], move: Tensor | None = None) -> bool:
        """Fix these constants and refit the others; return whether the change was accepted.

        `move` (parameters,) is added to the parameters first.
        """
        steps = 40
        graph = self.state.graph
        if move is not None:
            graph = graph.moved(graph.parameters + move)
        trial = Rounded(graph, self.state.exact).fixed(values)
        free = self._free(trial)
        if bool(free.any()):
            trial = replace(trial, graph=refit(trial.graph, self.x, self.y, steps, free))
        if self._error(trial) > self.growth * self.start:
            return False
        self.state = trial
        return True

    def _decomposed(self) -> tuple[list[Name], Tensor, Tensor, Tensor]:
        """Return the singular value decomposition of the Jacobian by the free constants.

        The values are the constants' names, the lengths by which their columns are divided, the
        singular values and the right singular vectors.
        """
        free = self._free(self.state)
        names = [n for n, f in zip(self.state.names, free.tolist(), strict=True) if f]
        _, jacobian = self.state.graph.jacobian(self.x)
        matrix = jacobian.flatten(0, 1)[:, free] / self.scale
        lengths = torch.linalg.vector_norm(matrix, dim=0).clamp_min(1e-300)
        _, s, vh = torch.linalg.svd(matrix / lengths, full_matrices=False)
        return names, lengths, s, vh

    def _settle_one(self) -> bool:
        """Set one constant that the data do not determine to a simple value, if any is accepted."""
        share = 0.1  # least norm of a constant's part in the null space
        names, lengths, s, vh = self._decomposed()
        null = s <= NULL * s[0] if len(s) else s > 0
        if not bool(null.any()):
            return False
        directions = vh[null]
        weights = directions.square().sum(dim=0).sqrt()
        free = self._free(self.state)
        for k in torch.argsort(-weights).tolist():
            if names[k] in self.refused or weights[k] < share:
                continue
            value = float(self.state.graph.parameters[free][k])
            # The shortest step in the null space that changes this constant by one.
            along = directions.T @ directions[:, k] / weights[k] ** 2 * lengths[k] / lengths
            for plain in sorted(PLAIN, key=lambda p: abs(p - value))[:3]:
                move = torch.zeros_like(self.state.graph.parameters)
                move[free] = along * (plain - value)
                if self._try({names[k]: _plain(plain)}, move):
                    return True
            self.refused.add(names[k])
        return False

    def _guesses(self) -> dict[Name, Any]:
        names, lengths, s, vh = self._decomposed()
        if not names:
            return {}
        inverse = torch.where(s > NULL * s[0], 1 / s, 0.0)
        spread = (vh.T * inverse).square().sum(dim=1).sqrt() / lengths
        values = self.state.graph.parameters[self._free(self.state)]
        reach = (self.reach * spread).clamp_min(1e-14)
        guesses = {
            name: recognise(float(value), float(tolerance))
            for name, value, tolerance in zip(names, values, reach, strict=True)
            if name not in self.refused
        }
        return {name: guess for name, guess in guesses.items() if guess is not None}

    def _recognise_all(self) -> None:
        guesses = self._guesses()
        if guesses:
            self._try(guesses)

    def _recognise_one(self) -> bool:
        for name, guess in self._guesses().items():
            if self._try({name: guess}):
                return True
            self.refused.add(name)
        return False


def _plain(value: float) -> Any:
    import sympy

    return sympy.Rational(value)
