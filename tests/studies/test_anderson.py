"""The chains of the Anderson localization script against what is known of them."""

import numpy
import pytest
import torch

SCRIPT = "anderson"


def test_hamiltonians_are_symmetric_with_hopping_one(study) -> None:
    for model in study.MODELS:
        parameters = [low + 0.3 * (high - low) for low, high in model.ranges]
        h = model.hamiltonian(*parameters, 0.4, 144)
        assert numpy.array_equal(h, h.T)
        assert numpy.diagonal(h, 1) == pytest.approx(1.0) and h[0, -1] == pytest.approx(1.0)


@pytest.mark.parametrize(("lam", "localized"), [(0.9, 0.0), (1.1, 1.0)])
def test_aubry_andre_chains_localize_all_at_once(study, lam: float, localized: float) -> None:
    """V = 2λ cos is self-dual at λ = 1, without an edge: GAAM with α = 0."""
    _, dimension = study.states(study.gaam(lam, 0.0, 0.3, 377))
    assert (dimension < 0.5).mean() == pytest.approx(localized, abs=0.02)


@pytest.mark.parametrize(
    ("name", "least"), [("mosaic2", 0.97), ("mosaic3", 0.92), ("gaam", 0.97), ("maam", 0.98)]
)
def test_exact_edges_separate_the_classes(study, name: str, least: float) -> None:
    model = next(m for m in study.MODELS if m.name == name)
    sample = study.draw(model, 40, model.sites[:2], 0)
    margin = study.margin(sample.inputs, model)
    assert ((margin > 0) == sample.localized).mean() >= least
    assert 0.2 < sample.localized.mean() < 0.8


def test_distributions_of_two_sizes_cross_at_the_edge(study) -> None:
    """Half of the states localize with size, half extend, about D = 0.55."""
    spread = numpy.linspace(-1, 1, 4001)
    short = 0.55 + 0.3 * spread
    long = 0.55 + 0.4 * numpy.sign(spread) * numpy.abs(spread) ** 0.7
    assert study.crossing(short, long) == pytest.approx(0.55, abs=0.002)


def test_an_edge_is_reduced_rounded_and_recognised(study, generator) -> None:
    e, lam, alpha = torch.rand(3, 3000, dtype=torch.float64, generator=generator) * 2 - 1
    lam = lam + 1.2
    odds = 40 * (alpha * e + 2 * lam - 2)
    uniform = torch.rand(3000, dtype=torch.float64, generator=generator)
    y = (uniform < odds.sigmoid()).double()
    x = torch.stack([e, lam, alpha], dim=1)
    powers = [(0, 0, 0), (0, 1, 0), (1, 0, 1), (2, 0, 0), (0, 0, 2)]
    names = ("E", "lam", "alpha")
    train = (x, y)
    found = study.reduced(powers, names, train)
    assert set(found.terms) == {(0, 0, 0), (0, 1, 0), (1, 0, 1)}
    rounded = study.rounded(found, train)
    assert rounded is not None
    assert study.equivalent(rounded.expression, "gaam")
    assert not study.equivalent(rounded.expression + 1, "gaam")
    assert not study.equivalent(rounded.expression * study.LAM**2 + 1, "gaam")


@pytest.mark.parametrize(
    ("formula", "exact"),
    [
        (lambda e, lam: e**2 * lam**2 / 4 - 1, True),
        (lambda e, lam: 3 * e**4 * lam**4 - 48, True),
        (lambda e, lam: e**2 * lam**2 - 5, False),
        (lambda e, lam: (e**2 * lam**2 - 4) * (lam - 3), False),  # has another edge too
        (lambda e, lam: e * lam - 2, False),  # has no edge at negative energies
    ],
)
def test_edges_of_both_signs_are_recognised(study, formula, exact: bool) -> None:
    expression = formula(study.E, study.LAM)
    assert study.equivalent(expression, "mosaic2") is exact


def test_search_finds_columns_that_none_of_its_parts_announces(study, generator) -> None:
    """The difference of two nearly equal columns decides, which neither of them does alone."""
    n = 3000
    common, small, noise = torch.randn(3, n, dtype=torch.float64, generator=generator)
    others = torch.randn(n, 6, dtype=torch.float64, generator=generator)
    columns = torch.cat([others, common[:, None], (common + 0.1 * small)[:, None]], dim=1)
    columns[:, 0] = small + noise  # alone it looks best
    y = (torch.rand(n, dtype=torch.float64, generator=generator) < (8 * small).sigmoid()).double()
    chosen, c = study.search(columns, y)
    assert chosen == (6, 7)
    assert c.tolist() == pytest.approx([-80, 80], rel=0.2)
