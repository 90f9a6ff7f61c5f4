"""Reference solutions in files, and how far the files are from the solutions."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy
import torch
from numpy import ndarray
from references.cases import Case
from references.spectral import solve

from kanpinn.accuracy.references.tabulated import GridData
from kanpinn.geometry import Points
from kanpinn.jets import Channels

SIZE = 300_000  # bytes at most


def fields_of(case: Case) -> dict[str, ndarray]:
    """Solve a case and return its real fields on its grid, (x, t).

    The values at t = 0 are the given initial values.
    """
    values = solve(case.equation, case.t, case.modes, case.step)(case.x)
    values[:, 0] = case.equation.initial(case.x)
    complex_ = numpy.iscomplexobj(values) and abs(values.imag).max() > 1e-6
    return {"u": values.real, "v": values.imag} if complex_ else {"u": values.real}


def write(path: Path, case: Case, fields: Mapping[str, ndarray]) -> None:
    """Write a grid of values, or, if the case has weights, points with weights."""
    columns = {"x": case.x, "t": case.t}
    if case.weights is not None:
        kept = case.weights > 0
        weights = numpy.broadcast_to(case.weights[kept], (len(case.x), kept.sum()))
        x, t = numpy.meshgrid(case.x, case.t[kept], indexing="ij")
        columns = {"x": x, "t": t, "weight": weights}
        fields = {name: values[:, kept] for name, values in fields.items()}
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file.create_dataset(name, data=column, compression="gzip", shuffle=True)
        for name, values in fields.items():
            file.create_dataset(name, data=values, scaleoffset=case.digits)


def between(case: Case, path: Path, count: int = 60) -> float:
    """Return the relative L2 error of the splines at random times and places."""
    generator = numpy.random.default_rng(0)
    x = generator.uniform(case.x[0], case.x[-1], 10 * count)
    t = numpy.sort(generator.uniform(case.t[0], case.t[-1], count))
    known = numpy.unique(numpy.concatenate([case.t, t]))
    exact = solve(case.equation, known, case.modes, case.step)(x)[:, numpy.isin(known, t)].real
    with h5py.File(path) as file:
        found = GridData([file["x"][:], file["t"][:]], file["u"][:][..., None], case.degree, "")
    grid = numpy.stack(numpy.meshgrid(x, t, indexing="ij"), axis=-1).reshape(-1, 2)
    jet = found.jet(Points(torch.from_numpy(grid), ("x", "t")), Channels(("x", "t")))
    return relative({"u": jet.value.numpy().reshape(exact.shape)}, {"u": exact})


def relative(
    found: Mapping[str, ndarray], exact: Mapping[str, ndarray], weights: ndarray | None = None
) -> float:
    """Return ‖found - exact‖ / ‖exact‖ over all fields; weights: of the points, by default one."""
    rho = 1.0 if weights is None else weights
    error, size = (
        sum((rho * u**2).sum() for u in fields)
        for fields in ([found[name] - exact[name] for name in exact], exact.values())
    )
    return float((error / size) ** 0.5)


def weights_of(case: Case) -> ndarray:
    """Return the weights of the case's points, (x, t), for a grid the trapezoidal rule's."""
    t = numpy.gradient(case.t) if case.weights is None else case.weights
    return numpy.outer(numpy.gradient(case.x), t)
