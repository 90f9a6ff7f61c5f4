"""Domains, their boundaries, and points in them."""

from kanpinn.geometry.arcs import Arc as Arc
from kanpinn.geometry.ball import Ball as Ball
from kanpinn.geometry.ball import Sphere as Sphere
from kanpinn.geometry.box import Box as Box
from kanpinn.geometry.box import Face as Face
from kanpinn.geometry.combined import Combination as Combination
from kanpinn.geometry.curves import Curve as Curve
from kanpinn.geometry.domain import Boundary as Boundary
from kanpinn.geometry.domain import Domain as Domain
from kanpinn.geometry.domain import Mapped as Mapped
from kanpinn.geometry.domain import Piece as Piece
from kanpinn.geometry.domain import Region as Region
from kanpinn.geometry.ovals import Annulus as Annulus
from kanpinn.geometry.ovals import Disk as Disk
from kanpinn.geometry.ovals import Ellipse as Ellipse
from kanpinn.geometry.ovals import Sector as Sector
from kanpinn.geometry.planar import Planar as Planar
from kanpinn.geometry.points import Points as Points
from kanpinn.geometry.polygons import LShape as LShape
from kanpinn.geometry.polygons import Polygon as Polygon
from kanpinn.geometry.polygons import Triangle as Triangle
from kanpinn.geometry.product import Product as Product
from kanpinn.geometry.segments import Segment as Segment
from kanpinn.geometry.surface import Surface as Surface
