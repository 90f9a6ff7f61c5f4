"""Jets: a field with its derivatives at points, the operators on them, and jets by autograd."""

from kanpinn.jets.autograd_jet import jet_of as jet_of
from kanpinn.jets.jet import Channels as Channels
from kanpinn.jets.jet import Coordinates as Coordinates
from kanpinn.jets.jet import Jet as Jet
from kanpinn.jets.jet import MissingChannel as MissingChannel
from kanpinn.jets.operators import biharmonic as biharmonic
from kanpinn.jets.operators import directional as directional
from kanpinn.jets.operators import div as div
from kanpinn.jets.operators import grad as grad
from kanpinn.jets.operators import hessian as hessian
from kanpinn.jets.operators import laplacian as laplacian
from kanpinn.jets.operators import normal_derivative as normal_derivative
from kanpinn.jets.operators import partial as partial
