"""The functions that cells share in a solve, and their coefficients in the network."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.cells import Cells, require_cells
from kanpinn.cells.corner_layer import CornerLayer
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.system.corner_patch import CornerPatch
from kanpinn.cells.system.enrichment_in_cells import EnrichmentInCells
from kanpinn.cells.system.shared_functions import SharedFunctions
from kanpinn.networks.surrogate import Surrogate


def with_shared_functions(problem: CellProblem, surrogate: Surrogate) -> CellProblem:
    """The problem with the functions of its corners, which the network gets, and its enrichment.

    Raises:
        InputError: for known functions and unknowns together.
    """
    network = require_cells(surrogate.network)
    fields, patches, found = network.own_fields, list[CornerPatch](), None
    known = network.constants is None and network.coefficient is None
    if known:  # otherwise derivatives by the unknowns are polynomials in cells
        patches += problem.corner_patches(network.tree.roots)
    elif network.enrichment is not None:
        raise InputError(
            "cells take no enrichment() where there are unknown numbers or coefficient fields"
        )
    if patches:
        found = corner_layer(patches, problem, fields).to(network.layer.coefficients.device)
    if found is None or not found.same(network.corners):
        network.corners = found
    shared: list[SharedFunctions] = list(patches)
    if network.enrichment is not None:
        shared.append(EnrichmentInCells(network.enrichment, fields))
    return problem.with_shared(shared) if shared else problem


def corner_layer(patches: Sequence[CornerPatch], problem: CellProblem, fields: int) -> CornerLayer:
    """The layer with the functions of corners."""
    low, high = problem.domain.bounds
    corners, boxes, powers = [], [], []
    for number, one in enumerate(patches):
        at = (2 * (one.at - low) / (high - low) - 1).tolist()
        own = one.functions
        corners.append([*at, own.direction, own.radius])
        boxes += [[number, *box] for box in one.boxes.flatten(1).tolist()]
        powers += [[number, p.exponent, p.conjugate, p.logarithm] for p in own.powers]
    three = (torch.tensor(rows, dtype=torch.float64) for rows in (corners, boxes, powers))
    return CornerLayer(next(three), next(three), next(three), fields)


def shared_numbers(network: Cells) -> list[Tensor]:
    """The coefficients of all shared functions of a network, those of corners first."""
    found = [] if network.corners is None else network.corners.numbers
    if network.enrichment is not None:
        found.append(network.enrichment.coefficients.detach().double().cpu().flatten())
    return found


@torch.no_grad()
def take_shared_numbers(network: Cells, numbers: Sequence[Tensor]) -> None:
    """Give a network coefficients of its shared functions, see `shared_numbers`."""
    left = list(numbers)
    if network.enrichment is not None:
        own = network.enrichment.coefficients
        own.copy_(left.pop().view_as(own))
    if network.corners is not None:
        network.corners.assign(left)
