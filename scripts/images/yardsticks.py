"""What other sums with as many coefficients achieve for an image."""

import numpy
from images.pictures import psnr
from scipy.fft import dctn
from torch import Tensor


def yardsticks(image: Tensor, count: int) -> dict[str, float]:
    """Return the PSNR of the best sums with `count` coefficients, by their kind."""
    values = image.numpy()
    singular = numpy.linalg.svd(values, compute_uv=False)
    cosines = dctn(values, norm="ortho")
    side = int(count**0.5)
    low = numpy.square(cosines).sum() - numpy.square(cosines[:side, :side]).sum()
    small = numpy.sort(numpy.square(cosines).ravel())[:-count].sum()
    rank = count // sum(values.shape)
    return {
        f"products of a function of x and one of y, {rank} of them": _psnr(
            numpy.square(singular[rank:]).sum(), values.size
        ),
        f"cosines, the lowest {side} x {side}": _psnr(low, values.size),
        f"cosines, the best {count} of all": _psnr(small, values.size),
    }


def _psnr(squares: float, pixels: int) -> float:
    return psnr(float((squares / pixels) ** 0.5))
