"""The picture of a network: boxes that do not meet, curves that are the edges', files."""

import itertools

import numpy
import pytest
import reference
import torch
from matplotlib.collections import LineCollection

import kanpinn as kp
from kanpinn.interpret.pictures import draw_network
from kanpinn.interpret.pruning import prune, score_edges
from kanpinn.jets import Channels
from kanpinn.plotting.network import Layout, Link, network_figure
from kanpinn.plotting.style import save

BOX = kp.Box(x=(-1, 1), y=(-1, 1))
WIDTHS = [(2, 2, 1), (2, 5, 1), (3, 4, 2, 1), (17, 1, 14), (2, 5, 5, 1), (100, 1, 1), (1, 1)]
CURVE = numpy.linspace(-1, 1, 20), numpy.linspace(3, 5, 20) ** 2


def whole(width):
    """All edges of a network, layer by layer."""
    return [[(i, o) for i in range(a) for o in range(b)] for a, b in itertools.pairwise(width)]


def links_of(width, score=1.0):
    layers = enumerate(whole(width))
    return [Link(layer, i, o, *CURVE, score) for layer, ends in layers for i, o in ends]


def names(letter, count):
    return [f"{letter}{i}" for i in range(count)]


@pytest.mark.parametrize("width", WIDTHS)
def test_boxes_and_units_do_not_meet_and_stay_inside(width):
    layout = Layout(width, tuple(tuple(ends) for ends in whole(width)))
    boxes = [p for layer in range(len(width) - 1) for p in layout.boxes(layer)]
    assert len(boxes) == sum(a * b for a, b in itertools.pairwise(width))
    for a, b in itertools.combinations(boxes, 2):
        assert max(abs(a.x - b.x), abs(a.y - b.y)) > max(a.size, b.size) * 1.05
    units = [layout.unit(level, k) for level, n in enumerate(width) for k in range(n)]
    assert len(set(units)) == sum(width)
    for box in boxes:
        assert box.size >= 0.2  # of an inch: a curve can be seen
        assert box.size / 2 <= box.x <= layout.across - box.size / 2
        assert 0 < box.y < layout.height
        assert all(abs(y - box.y) > box.size / 2 + 0.3 for _, y in units)


def test_a_curve_fills_its_box_and_is_as_clear_as_its_score():
    links = [Link(0, 0, 0, *CURVE, 0.2), Link(0, 1, 0, *CURVE, 0.7, symbolic=True)]
    figure = network_figure([2, 1], links, ["x", "y"], ["u"])
    lines, curves = (c for c in figure.axes[0].collections if isinstance(c, LineCollection))
    for link, curve, colour in zip(links, curves.get_segments(), curves.get_colors(), strict=True):
        assert colour[3] == pytest.approx(numpy.tanh(3 * link.score))
        for column, values in zip(curve.T, CURVE, strict=True):
            shares = (values - values.min()) / numpy.ptp(values)
            assert (column - column.min()) / numpy.ptp(column) == pytest.approx(shares)
    assert not numpy.allclose(*curves.get_colors()[:, :3])
    assert len(lines.get_segments()) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["splines", "formulas"]


def test_units_that_add_are_marked():
    figure = network_figure([2, 2, 1], links_of((2, 2, 1))[:-1], ["x", "y"], ["u"])
    marks = [line.get_marker() for line in figure.axes[0].lines]
    assert marks.count("+") == 2  # the output has one edge left
    assert marks.count("o") == 5


@pytest.mark.parametrize("name", ["x", "theta_1", "a $ strange_name\\", "50 %", "", "Länge {mm}"])
def test_any_name_is_written(name, tmp_path):
    figure = network_figure([2, 1], links_of((2, 1)), [name, "y"], [name])
    save(figure, tmp_path / "network.png")
    assert any(name[:1] in text.get_text() for text in figure.axes[0].texts)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_files_of_all_kinds(suffix, tmp_path):
    figure = network_figure([17, 1, 14], links_of((17, 1, 14)), names("x", 17), names("y", 14))
    assert save(figure, tmp_path / f"network.{suffix}").stat().st_size > 3000


def fitted(width=(2, 3, 1)):
    data = kp.Table.sample(BOX, lambda p: torch.exp(p.x + p.y**2), 200, seed=0)
    return kp.fit(kp.KAN(list(width), seed=0), data, kp.LevenbergMarquardt(steps=4))


def test_the_picture_of_a_fit_shows_its_edges_where_the_data_are():
    fit = fitted()
    figure = draw_network(fit, {(0, 1, 2)})
    _, curves = (c for c in figure.axes[0].collections if isinstance(c, LineCollection))
    scores = torch.cat(
        [s.flatten() for s in score_edges(fit.surrogate, fit.residuals.points).edges]
    )
    opacity = curves.get_colors()[:, 3]
    assert opacity == pytest.approx(numpy.tanh(3 * scores.numpy()))
    unit = fit.network.layers[0](fit.surrogate.coordinates(fit.residuals.points, _value())).value
    low, high = unit[:, 1].aminmax()
    x = torch.lerp(low, high, torch.linspace(0, 1, 120, dtype=torch.float64))[:, None]
    y = fit.network.layers[1].edges(x.expand(-1, 3))[:, 0, 1, 0].detach()
    drawn = curves.get_segments()[7][:, 1]
    shares = ((y - y.min()) / (y.max() - y.min())).numpy()
    assert (drawn - drawn.min()) / numpy.ptp(drawn) == pytest.approx(shares, abs=1e-6)
    assert {t.get_text() for t in figure.axes[0].texts} == {"$x$", "$y$", "$y_{0}$"}


def _value():
    return Channels(BOX.names)


def test_removed_edges_are_left_out():
    fit = fitted()
    reference.remove_edge(fit.network, 0, 1, 2)
    _, curves = (c for c in draw_network(fit).axes[0].collections if isinstance(c, LineCollection))
    assert len(curves.get_segments()) == 8
    small = prune(fit, 0.2)
    assert draw_network(small, outputs=["the output"]).axes[0].texts[-1].get_text() == "the output"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: network_figure([2, 1], [], ["x"], ["u"]), "inputs must be 2 names"),
        (lambda: network_figure([2, 1], [], ["x", "y"], []), "outputs must be 1 names"),
        (
            lambda: network_figure([2, 1], [Link(0, 0, 1, *CURVE, 1.0)], ["x", "y"], ["u"]),
            r"no edge \(0, 0, 1\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, words):
    with pytest.raises(kp.InputError, match=words):
        call()
