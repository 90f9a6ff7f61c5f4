"""Jets: a field with its derivatives at points, the operators on them, and jets by autograd."""

from kanpinn.jets.jet import SECOND_KINDS as SECOND_KINDS
from kanpinn.jets.jet import Channels as Channels
from kanpinn.jets.jet import Coordinates as Coordinates
from kanpinn.jets.jet import Jet as Jet
from kanpinn.jets.jet import MissingChannel as MissingChannel
from kanpinn.jets.jet import jet_of as jet_of
from kanpinn.jets.jet import join as join
from kanpinn.jets.jet import stack as stack
from kanpinn.jets.jet import total as total
from kanpinn.jets.linearised import ROUNDING as ROUNDING
from kanpinn.jets.linearised import Linearised as Linearised
from kanpinn.jets.operators import biharmonic as biharmonic
from kanpinn.jets.operators import directional as directional
from kanpinn.jets.operators import div as div
from kanpinn.jets.operators import grad as grad
from kanpinn.jets.operators import hessian as hessian
from kanpinn.jets.operators import laplacian as laplacian
from kanpinn.jets.operators import normal_derivative as normal_derivative
from kanpinn.jets.operators import partial as partial
from kanpinn.jets.parts import coefficients_along as coefficients_along
from kanpinn.jets.parts import derivatives_of_parts as derivatives_of_parts
from kanpinn.jets.parts import jet_of_stacked as jet_of_stacked
from kanpinn.jets.parts import largest_of_orders as largest_of_orders
from kanpinn.jets.parts import orders_of_parts as orders_of_parts
from kanpinn.jets.parts import parts_along as parts_along
from kanpinn.jets.parts import zero_jet as zero_jet
