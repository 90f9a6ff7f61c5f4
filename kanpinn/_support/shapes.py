"""Type annotations for tensors of certain shapes; n: number of points, d: number of dimensions."""

from jaxtyping import Bool, Float
from torch import Tensor

Coords = Float[Tensor, "n d"]
Column = Float[Tensor, "n 1"]
Weights = Float[Tensor, " n"]
Vector = Float[Tensor, " d"]
Mask = Bool[Tensor, " n"]
