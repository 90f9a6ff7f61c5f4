"""Reference solutions in files, and how far the files are from the solutions."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy
import torch
from numpy import ndarray
from references.cases import Case
from references.spectral import solve

from kanpinn.accuracy.references.data_file import GridData
from kanpinn.geometry import Points
from kanpinn.jets import Channels

SIZE = 300_000  # bytes at most


def fields_of(case: Case) -> dict[str, ndarray]:
    """Solve a case and return its real fields on its grid, (x, t).

    The values at t = 0 are the given initial values.
    """
    values = solve(case.equation, case.t, case.modes, case.step)(case.x)
    values[:, 0] = case.equation.initial(case.x)
    return dict(zip(case.equation.fields, (values.real, values.imag), strict=False))


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


def between(case: Case, path: Path) -> Mapping[float, float]:
    """Return the relative L2 errors of the splines up to each of the case's `targets`.

    They are measured in the middle between neighbouring grid points, where splines are worst.
    """
    x, t = ((axis[1:] + axis[:-1]) / 2 for axis in (case.x, case.t))
    known = numpy.concatenate([case.t[:1], t])
    exact = solve(case.equation, known, case.modes, case.step)(x)[:, 1:].real
    with h5py.File(path) as file:
        axes, values = [file["x"][:], file["t"][:]], file["u"][:][..., None]
    found = GridData(axes, values, case.degree, "", periodic=[case.periodic, False])
    grid = numpy.stack(numpy.meshgrid(x, t, indexing="ij"), axis=-1).reshape(-1, 2)
    jet = found.jet(Points(torch.from_numpy(grid), ("x", "t")), Channels(("x", "t")))
    u, cells = jet.value.numpy().reshape(exact.shape), numpy.outer(*map(numpy.diff, axes))
    return {
        end: relative({"u": u[:, t < end]}, {"u": exact[:, t < end]}, cells[:, t < end])
        for end in case.targets
    }


def differences(
    case: Case, found: Mapping[str, ndarray], exact: Mapping[str, ndarray]
) -> Mapping[float, float]:
    """Return the relative L2 differences of two solutions up to each of the times of `targets`."""
    weights, errors = weights_of(case), {}
    for end in case.targets:
        part = case.t <= end * (1 + 1e-12)
        a, b = ({name: u[:, part] for name, u in of.items()} for of in (found, exact))
        errors[end] = relative(a, b, weights[:, part])
    return errors


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
