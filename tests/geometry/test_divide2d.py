"""Domains of the plane that interfaces divide into parts."""

import math

import pytest
import torch

import kanpinn as kp
from kanpinn.geometry.combining import planar
from kanpinn.geometry.division import Division

SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def divided(domain, *boundaries):
    plane = planar(domain)
    pieces = [piece for boundary in boundaries for piece in boundary.pieces]
    return Division.of(plane, plane.curves, pieces)


def disk(x, y, radius):
    return kp.Disk((x, y), radius).boundary


CASES = {
    "a disk": (SQUARE, [disk(0.4, 0.5, 0.2)], [0.04 * math.pi]),
    "disks in each other": (
        SQUARE,
        [disk(0.4, 0.5, 0.2), disk(0.4, 0.5, 0.1)],
        [0.03 * math.pi, 0.01 * math.pi],
    ),
    "disks that touch": (
        SQUARE,
        [disk(0.4, 0.5, 0.2), disk(0.8, 0.5, 0.2)],
        [0.04 * math.pi, 0.04 * math.pi],
    ),
    "a disk that touches a wall": (SQUARE, [disk(0.2, 0.5, 0.2)], [0.04 * math.pi]),
    "a line from wall to wall": (
        SQUARE,
        [kp.Box(x=(0, 0.3), y=(0, 1)).boundary["x_max"]],
        [0.3],
    ),
    "two lines that cross": (
        SQUARE,
        [
            kp.Box(x=(0, 0.3), y=(0, 1)).boundary["x_max"],
            kp.Box(x=(0, 1), y=(0, 0.4)).boundary["y_max"],
        ],
        [0.12, 0.18, 0.28],
    ),
    "a disk beside a hole": (
        kp.Disk((0, 0), 1) - kp.Disk((0.5, 0), 0.2),
        [disk(-0.2, 0, 0.3)],
        [0.09 * math.pi],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_parts_have_the_areas_that_interfaces_bound(name):
    domain, interfaces, areas = CASES[name]
    found = sorted(part.measure for part in divided(domain, *interfaces).domains)
    assert found == pytest.approx(sorted([*areas, domain.measure - sum(areas)]))


@pytest.mark.parametrize("name", CASES)
def test_each_piece_of_an_interface_runs_around_both_of_its_parts(name):
    domain, interfaces, _ = CASES[name]
    division = divided(domain, *interfaces)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    edges = [edge for part in division.edges for edge in part]
    inside = {edge.seam: edge for edge in edges if edge.seam >= 0 and not edge.reverse}
    outside = {edge.seam: edge for edge in edges if edge.seam >= 0 and edge.reverse}
    assert inside and set(inside) == set(outside)
    for seam, edge in inside.items():
        assert torch.allclose(edge.curve.at(t), outside[seam].curve.at(1 - t), atol=1e-14)
    for part, edges in zip(division.domains, division.edges, strict=True):
        assert part.curves == tuple(edge.curve for edge in edges)


def test_interfaces_that_do_not_divide_a_domain_are_refused():
    with pytest.raises(kp.InputError, match="'circle' must be inside the domain"):
        divided(SQUARE, disk(0.1, 0.5, 0.2))
    with pytest.raises(kp.InputError, match="no part in common with the boundary"):
        divided(SQUARE, kp.Box(x=(0, 0.3), y=(0, 1)).boundary)
    with pytest.raises(kp.InputError, match="'x_max' must be closed or end on"):
        divided(SQUARE, kp.Box(x=(0.2, 0.3), y=(0.2, 0.7)).boundary["x_max"])
    with pytest.raises(kp.InputError, match="must consist of curves"):
        divided(SQUARE, kp.Ball((0, 0, 0), 1).boundary)
