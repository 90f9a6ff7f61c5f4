"""An L-shaped block, held at its top and loaded on all other sides: elasticity in space."""

import torch

import kanpinn as kp


class ElasticBlock(kp.Problem):
    """div σ + f = 0 with σ = E / (1 + ν) (ε + ν / (1 - 2ν) tr(ε) I).

    ε is the symmetric gradient of the displacements (u, v, w), in units in which E = 1. The block
    is [0, 2] × [0, 1] × [0, 2] without (1/2, 2] × [0, 1] × (1/2, 2]. The displacements are given at
    its top, z = 2, and the traction σ n on all other sides; they and the force f are those of
    u = e^(y/2) sin(x + 2z), v = z cos(x - y), w = e^(x/2) sin(2y + z).

    Hard: three fields are coupled, and a condition that ties nine derivatives holds on seven of the
    eight sides, which meet in an edge that points inwards.

    Args:
        poisson_ratio: ν, from -1 to 1/2.
    """

    domain = kp.Box(x=(0, 2), y=(0, 1), z=(0, 2)) - kp.Box(x=(0.5, 2), y=(0, 1), z=(0.5, 2))
    fields = ("u", "v", "w")

    def __init__(self, poisson_ratio: float | int = 0.3) -> None:
        self.shear = 1 / (2 * (1 + poisson_ratio))
        self.coupling = 2 * self.shear * poisson_ratio / (1 - 2 * poisson_ratio)

    def residual(self, p, u, v, w):
        fields, names = (u, v, w), "xyz"
        found = []
        for field, name in zip(fields, names, strict=True):
            volume = sum(
                kp.partial(other, *sorted((name, along)))
                for other, along in zip(fields, names, strict=True)
            )
            found.append(self.shear * kp.laplacian(field) + (self.shear + self.coupling) * volume)
        return torch.cat(found, dim=1) + self.source(p)

    def conditions(self):
        held = self.domain.boundary["z_max"]
        loaded = [name for name in self.domain.boundary.names if name != "z_max"]
        return [
            *(
                kp.Dirichlet(held, lambda p, i=i: self.exact(p)[i], field=name)
                for i, name in enumerate(self.fields)
            ),
            kp.Constraint(self.domain.boundary[tuple(loaded)], self.missing_traction),
        ]

    def missing_traction(self, p, u, v, w):
        """The traction of displacements minus that of the exact ones."""
        exact = self.traction_of(self.exact_gradient(p), p)
        return tuple(a - b for a, b in zip(self.traction(p, u, v, w), exact, strict=True))

    def traction(self, p, u, v, w):
        """σ n."""
        return self.traction_of([[kp.partial(f, name) for name in "xyz"] for f in (u, v, w)], p)

    def traction_of(self, gradient, p):
        """σ n from the derivatives of each displacement by each coordinate."""
        normal, around = p.normals.split(1, dim=1), range(3)
        volume = sum(gradient[i][i] for i in around)
        return tuple(
            self.coupling * volume * normal[i]
            + self.shear * sum((gradient[i][j] + gradient[j][i]) * normal[j] for j in around)
            for i in around
        )

    def exact(self, p):
        return (
            torch.exp(p.y / 2) * torch.sin(p.x + 2 * p.z),
            p.z * torch.cos(p.x - p.y),
            torch.exp(p.x / 2) * torch.sin(2 * p.y + p.z),
        )

    def exact_gradient(self, p):
        """The derivatives of the exact displacements, a row for each."""
        u, _, w = self.exact(p)
        along = torch.exp(p.y / 2) * torch.cos(p.x + 2 * p.z)
        turned = p.z * torch.sin(p.x - p.y)
        across = torch.exp(p.x / 2) * torch.cos(2 * p.y + p.z)
        return [
            [along, u / 2, 2 * along],
            [-turned, turned, torch.cos(p.x - p.y)],
            [w / 2, 2 * across, across],
        ]
