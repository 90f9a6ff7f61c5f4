"""Krylov spaces of several vectors: their defining equation and their eigenvalues."""

import itertools

import torch

from kanpinn.linalg.arnoldi import krylov_spaces

F = torch.float64


def _operator(size, seed=0):
    """A matrix with the eigenvalues 1, 1, 1/2, 1/2, 1/3, 1/3, …, not normal."""
    generator = torch.Generator().manual_seed(seed)
    values = 1 / torch.arange(1, size // 2 + 1, dtype=F).repeat_interleave(2)
    turned = torch.eye(size, dtype=F) + 0.02 * torch.randn(size, size, generator=generator, dtype=F)
    start = torch.randn(size, 3, generator=generator, dtype=F)
    return turned @ values.diag() @ torch.linalg.inv(turned), start


def test_spaces_have_orthonormal_bases_and_satisfy_their_equation():
    matrix, start = _operator(60)
    for space in itertools.islice(krylov_spaces(matrix.matmul, start), 5):
        size = space.basis.shape[1]
        assert torch.allclose(space.basis.T @ space.basis, torch.eye(size, dtype=F), atol=1e-13)
        rest = matrix @ space.basis - space.basis @ space.matrix
        assert torch.allclose(space.basis.T @ rest, torch.zeros(size, size, dtype=F), atol=1e-13)
        assert torch.allclose(rest.norm(), space.rest.norm(), atol=1e-13)


def test_double_eigenvalues_are_found_with_their_residuals():
    matrix, start = _operator(60)
    *_, space = itertools.islice(krylov_spaces(matrix.matmul, start), 9)
    values, vectors = torch.linalg.eig(space.matrix)
    first = values.abs().argsort(descending=True)[:4]
    assert torch.allclose(values[first].real, torch.tensor([1, 1, 0.5, 0.5], dtype=F), atol=1e-6)
    modes = space.basis.to(vectors) @ vectors[:, first]
    rest = (matrix.to(modes) @ modes - modes * values[first]).norm(dim=0) / values[first].abs()
    known = (space.rest.to(vectors) @ vectors[:, first]).norm(dim=0) / values[first].abs()
    assert torch.allclose(rest, known, atol=1e-12)
