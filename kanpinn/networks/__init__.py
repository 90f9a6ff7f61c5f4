"""Networks that evaluate jets: KANs, multilayer perceptrons, and the surrogates made of them."""

from kanpinn.networks.combined import Beside as Beside
from kanpinn.networks.kan import KAN as KAN
from kanpinn.networks.mlp import MLP as MLP
from kanpinn.networks.network import Network as Network
from kanpinn.networks.surrogate import Surrogate as Surrogate
