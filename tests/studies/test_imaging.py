"""The parts of scripts/imaging.py that are exact: the phantom, levels, yardsticks, sizes."""

import math

import pytest
import torch

SCRIPT = "imaging"


def test_the_phantom_has_the_mean_of_its_ellipses(study):
    areas = sum(value * math.pi * a * b for value, a, b, *_ in study.ELLIPSES)
    assert float(study.phantom(128).mean()) == pytest.approx(areas / 4, rel=2e-3)


def test_the_phantom_has_the_sum_of_the_ellipses_at_a_point(study):
    long = 0.3 * torch.tensor([math.sin(math.pi / 10), math.cos(math.pi / 10)]).double()
    left, right = torch.tensor([[-0.22, 0.0], [0.22, 0.0]]).double()
    mirror = torch.tensor([-1.0, 1.0]).double()
    at = [(0.9, 0.9), (0.0, 0.9), (0.0, 0.0), right, left, right + long, left + mirror * long]
    expected = [0.0, 1.0, 0.2, 0.0, 0.0, 0.0, 0.0]
    # Turned the other way the dark ellipses end beside these points, which a bright one holds.
    at += [right + mirror * long, left + long]
    expected += [0.3, 0.3]
    x, y = torch.stack([torch.as_tensor(p, dtype=torch.float64) for p in at]).T
    assert study.ellipses(x, y).tolist() == pytest.approx(expected, abs=1e-12)


def test_yardsticks_are_the_errors_of_the_sums_they_name(study, generator):
    image = torch.rand(12, 12, generator=generator, dtype=torch.float64)
    u, s, v = torch.linalg.svd(image)
    rest = image - (u[:, :2] * s[:2]) @ v[:2]
    products, lowest, best = study.yardsticks(image, 48).values()
    assert products == pytest.approx(-10 * math.log10(float(rest.square().mean())))
    assert best > lowest


def test_the_verdict_is_that_of_the_medians(study):

    def result(network, seed, level):
        rest = ("", seed, 1, "", 1, (1.0,), (level,), torch.zeros(4, 4))
        return study.Result("camera", network, *rest)

    levels = {study.KAN: [20.0, 23.0, 40.0], study.SINE: [22.0, 24.0, 25.0], study.MLP: [26.0] * 3}
    results = [result(n, seed, v) for n, own in levels.items() for seed, v in enumerate(own)]
    (figure,) = study.judge(results).values()
    assert figure["value"] == [23.0, 24.0] and figure["met"] is False
    assert "the KAN is 1.0 dB below" in study.ahead(results, "camera", 4)
    assert "0 of 1 images" in study.verdict(results, [("camera", 4)])
