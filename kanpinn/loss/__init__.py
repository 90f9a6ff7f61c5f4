"""The loss: its terms, their rows and Jacobians, and the weights of both."""

from kanpinn.loss.energy import EnergyBlock as EnergyBlock
from kanpinn.loss.residuals import Residuals as Residuals
from kanpinn.loss.sparsity import Sparsity as Sparsity
from kanpinn.loss.terms import Block as Block
from kanpinn.loss.terms import ResidualBlock as ResidualBlock
from kanpinn.loss.weighting import Weighting as Weighting
