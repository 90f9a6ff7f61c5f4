"""The images: n × n grey values in [0, 1] on [-1, 1]²; rows run downwards."""

import importlib.util
from collections.abc import Callable

import numpy
import torch
from torch import Tensor

import kanpinn as kp

# Shepp and Logan (1974) with Toft's contrasts (1996): value, half-axes, centre, turn in degrees.
ELLIPSES = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)
FINE = 4  # samples of a pixel along each axis


def phantom(size: int) -> Tensor:
    """Return the Shepp–Logan phantom, each pixel the mean of FINE² samples."""
    x, y = centres(size * FINE).T
    return means(ellipses(x, y).reshape(size * FINE, size * FINE), size)


def ellipses(x: Tensor, y: Tensor) -> Tensor:
    """Return the phantom's values at points: the sum over the ellipses that contain them."""
    total = torch.zeros_like(x)
    for value, a, b, x0, y0, degrees in ELLIPSES:
        turn = numpy.deg2rad(degrees)
        along = (x - x0) * numpy.cos(turn) + (y - y0) * numpy.sin(turn)
        across = (y - y0) * numpy.cos(turn) - (x - x0) * numpy.sin(turn)
        total += value * ((along / a) ** 2 + (across / b) ** 2 <= 1).to(x)
    return total


def camera(size: int) -> Tensor:
    """Return scikit-image's photograph of a man with a camera, which has 512 × 512 pixels."""
    from skimage import data

    return means(torch.as_tensor(data.camera(), dtype=torch.float64) / 255, size)


def means(image: Tensor, size: int) -> Tensor:
    """Return a square image with size × size pixels, each the mean of a block of pixels."""
    block = len(image) // size
    return image.reshape(size, block, size, block).mean(dim=(1, 3))


def images() -> dict[str, Callable[[int], Tensor]]:
    """Return the available images by name: the photograph needs scikit-image."""
    made: dict[str, Callable[[int], Tensor]] = {}
    if importlib.util.find_spec("skimage"):
        made["camera"] = camera
    return made | {"phantom": phantom}


def centres(size: int) -> Tensor:
    """Return the pixels' centres (size², 2), x and y, row by row from the top."""
    ticks = (torch.arange(size, dtype=torch.float64) + 0.5) * 2 / size - 1
    y, x = torch.cartesian_prod(-ticks, ticks).T
    return torch.stack([x, y], dim=1)


def table(image: Tensor) -> kp.Table:
    """Return the pixels as rows of data."""
    return kp.Table(centres(len(image)), image.reshape(-1, 1), ("x", "y"), ("grey",))


def psnr(rmse: float) -> float:
    """Return the peak signal-to-noise ratio in dB, for values in [0, 1]."""
    return float(-20 * numpy.log10(rmse))
