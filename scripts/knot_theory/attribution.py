"""Three measures of how much the signature depends on each input of a network."""

import torch
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.jets import Channels


def attribution(fitted: kp.Fitted) -> dict[str, dict[str, float]]:
    """Return shares that add up to one, on the test rows, {measure: {input: share}}.

    gradient: the mean of |∂ cross entropy/∂x| times the standard deviation of x. shuffling: the
    accuracy lost when the column is shuffled. edge: the standard deviation of the input's edge into
    a KAN's hidden unit.

    Reference: Davies et al., Nature 600 (2021), methods, for the gradient; Breiman, Random forests
    (2001), for the shuffling; Liu et al., KAN (2024), section 4.3, for the edges.
    """
    test = fitted.data.test
    assert test is not None
    lost = torch.stack([_lost(fitted, test, i) for i in range(len(test.names))]).clamp_min(0)
    named = {"gradient": _gradient(fitted, test), "shuffling": lost}
    if isinstance(fitted.network, kp.KAN):
        named["edge"] = hidden_edges(fitted, test.inputs).std(dim=0)
    return {
        measure: dict(zip(test.names, (values / values.sum()).tolist(), strict=True))
        for measure, values in named.items()
    }


def accuracies(fitted: kp.Fitted) -> tuple[float, float]:
    """Return the shares of training and of test rows that are classified rightly."""
    train, test = (fitted.scores[part].accuracy for part in ("train", "test"))
    assert train is not None and test is not None  # the scores of classes have them
    return train, test


@torch.no_grad()
def hidden_edges(fitted: kp.Fitted, inputs: Tensor) -> Tensor:
    """Return the values of the edges into the hidden unit, (n, inputs)."""
    low, high = fitted.surrogate.low, fitted.surrogate.high
    scaled = 2 * (inputs.to(low) - low) / (high - low) - 1
    assert isinstance(fitted.network, kp.KAN)
    return fitted.network.layers[0].edges(scaled)[:, 0, :, 0]


def _gradient(fitted: kp.Fitted, test: kp.Table) -> Tensor:
    inputs = test.inputs.to(fitted.surrogate.low).requires_grad_()
    outputs = fitted.surrogate.jet(Points(inputs, test.names), Channels(test.names)).value
    loss = torch.nn.functional.cross_entropy(outputs, test.targets, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, inputs)
    return gradient.abs().mean(dim=0) * test.inputs.std(dim=0)


def _lost(fitted: kp.Fitted, test: kp.Table, column: int) -> Tensor:
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(column))
    shuffled = test.inputs.clone()
    shuffled[:, column] = shuffled[order, column]
    right = (fitted.predict(shuffled) == test.targets).double().mean()
    _, accuracy = accuracies(fitted)
    return accuracy - right
