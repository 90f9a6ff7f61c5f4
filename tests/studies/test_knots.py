"""Parts of the knot script: files, splits, formulas, relations, signatures."""

import pytest
import torch

import kanpinn as kp

SCRIPT = "knots"


@pytest.fixture
def made_up(study):
    return study.synthetic_knots(400)


def test_a_grouped_split_keeps_mirror_images_together(study, made_up) -> None:
    mirrored = made_up.table.inputs.clone()
    mirrored[:, study.FEATURES.index(study.REAL)] *= -1
    inputs = torch.cat([made_up.table.inputs, mirrored])
    both = study.knots_of(inputs, torch.cat([made_up.signatures, -made_up.signatures]))
    data = both.split(0, grouped=True)
    volumes = [set(data.parts[name].column("volume").tolist()) for name in ("train", "test")]
    assert not volumes[0] & volumes[1]
    assert len(data.parts["test"]) == pytest.approx(0.2 * len(inputs), abs=2)


def test_a_random_split_leaks_twins(study, made_up) -> None:
    """Where every row is there ten times, nearly all rows have a twin among those trained with."""
    again = study.knots_of(made_up.table.inputs.repeat(10, 1), made_up.signatures.repeat(10))
    assert made_up.leak(0) == 0
    assert again.leak(0) > 0.99


def test_rows_for_validation_are_none_to_test_with(study, made_up) -> None:
    for grouped in (False, True):
        whole, cut = (made_up.rows(0, grouped, validation) for validation in (0.0, 0.2))
        assert torch.equal(whole["test"], cut["test"])
        assert not set(cut["validation"].tolist()) & set(cut["test"].tolist())


def test_the_reach_is_chosen_without_rows_to_test_with(study, made_up) -> None:
    data = study.only(made_up.split(0, False, 0.2), study.TRANSLATIONS)
    blind = kp.Data(data.train, data.validation)
    width = [3, 1, len(data.train.classes)]
    size = study.Size(warm=15, steps=2)
    (one, fitted), (other, _) = (study.fit_starts(d, width, 0, size) for d in (data, blind))
    assert one == other and one in study.REACHES
    assert fitted.scores["test"].accuracy > 0.4


def test_every_measure_finds_the_input_that_counts(study, generator) -> None:
    x = torch.rand(300, 3, generator=generator, dtype=torch.float64)
    table = kp.Table(x, (x[:, 1] > 0.5).long(), ("a", "b", "c"), ("class",), ("no", "yes"))
    data = kp.Data(table, test=table)
    fitted = kp.fit(kp.KAN([3, 1, 2], degree=3, grid=3, seed=0), data, kp.LBFGS(5))
    shares = study.attribution(fitted)
    assert set(shares) == {"gradient", "shuffling", "edge"}
    for share in shares.values():
        assert sum(share.values()) == pytest.approx(1)
        assert max(share, key=lambda name: share[name]) == "b" and share["b"] > 0.6


def test_the_search_finds_the_slope(study, made_up) -> None:
    best = study.search(made_up, 0, False)[0]
    assert best.words.endswith("λ μ_r / |μ|^2)")
    assert best.test > 0.8


def test_relations_find_a_product(study) -> None:
    """One column of four is a function of two others."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(600, 3, generator=generator, dtype=torch.float64) + 0.5
    rows = torch.cat([x, x[:, :1] * x[:, 1:2]], dim=1)
    contrast = study.contrast_of(["a", "b", "free", "ab"], rows, 600, 0)
    found = study.find(contrast, 0, 0, 1e-3, 150)
    assert found.members == {"a", "b", "ab"}
    assert found.loss < study.CLEAR


@pytest.mark.parametrize(
    ("seifert", "signature"),
    [([], 0), ([[-1, 1], [0, -1]], 2), ([[1, -1], [0, 1]], -2), ([[-1, 1], [0, 1]], 0)],
    ids=["unknot", "trefoil", "its mirror image", "figure eight"],
)
def test_the_signature_of_a_seifert_matrix(study, seifert, signature) -> None:
    assert study.signature(seifert) == signature


def test_the_shortest_translation_is_of_the_whole_lattice(study) -> None:
    assert study.shortest_translation(2.1 + 1j, 2.0 + 0j) == pytest.approx(abs(0.1 + 1j))
