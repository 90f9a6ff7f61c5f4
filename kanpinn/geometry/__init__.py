"""Domains, their boundaries, and points in them."""

from kanpinn.geometry.box import Box as Box
from kanpinn.geometry.box import Face as Face
from kanpinn.geometry.domain import Boundary as Boundary
from kanpinn.geometry.domain import Domain as Domain
from kanpinn.geometry.domain import Mapped as Mapped
from kanpinn.geometry.domain import Piece as Piece
from kanpinn.geometry.domain import Region as Region
from kanpinn.geometry.points import Points as Points
