"""Domains, their boundaries, and points in them; nothing here knows of networks or equations.

`domain` has the interfaces of all shapes. The shapes are boxes (`box`), planar domains (`planar`)
with their boundary curves (`curves`), balls (`ball`) and solids bounded by triangles (`surface`);
`gmsh` reads planar domains and solids from meshes. `combination` makes unions, differences and
intersections of these shapes, and `product` makes space × time. `sampling` draws collocation
points, and `quadrature` has quadrature rules.
"""

from kanpinn.geometry.ball import Ball as Ball
from kanpinn.geometry.box import Box as Box
from kanpinn.geometry.combination import Combination as Combination
from kanpinn.geometry.corner import Corner as Corner
from kanpinn.geometry.corner import Stretch as Stretch
from kanpinn.geometry.corner import graded as graded
from kanpinn.geometry.curves import Arc as Arc
from kanpinn.geometry.curves import Curve as Curve
from kanpinn.geometry.curves import Segment as Segment
from kanpinn.geometry.domain import Boundary as Boundary
from kanpinn.geometry.domain import Domain as Domain
from kanpinn.geometry.domain import Piece as Piece
from kanpinn.geometry.domain import Region as Region
from kanpinn.geometry.gmsh import Mesh as Mesh
from kanpinn.geometry.planar import Annulus as Annulus
from kanpinn.geometry.planar import Disk as Disk
from kanpinn.geometry.planar import Ellipse as Ellipse
from kanpinn.geometry.planar import LShape as LShape
from kanpinn.geometry.planar import Planar as Planar
from kanpinn.geometry.planar import Polygon as Polygon
from kanpinn.geometry.planar import Sector as Sector
from kanpinn.geometry.planar import Triangle as Triangle
from kanpinn.geometry.points import Points as Points
from kanpinn.geometry.product import Product as Product
from kanpinn.geometry.surface import Surface as Surface
