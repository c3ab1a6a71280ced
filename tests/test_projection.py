"""The main axes against numpy's eigenvectors of the covariance."""

import numpy as np
import torch

from patchwork.projection import find_main_axes


def test_places_and_shares_equal_the_eigenvectors_of_the_covariance():
    points = np.random.default_rng(0).normal(size=(40, 6)) @ np.diag([5, 3, 2, 1, 0.5, 0.1]) + 7
    values, vectors = np.linalg.eigh(np.cov(points.T))
    order = values.argsort()[::-1][:3]
    axes = vectors[:, order] * np.sign(vectors[np.abs(vectors[:, order]).argmax(0), order])
    places, shares = find_main_axes(torch.tensor(points), 3)
    np.testing.assert_allclose(places, (points - points.mean(0)) @ axes, atol=1e-5)
    np.testing.assert_allclose(shares, values[order] / values.sum(), atol=1e-9)


def test_points_on_a_line_need_one_axis():
    points = torch.arange(5.0)[:, None] * torch.tensor([[3.0, 4.0]])
    places, shares = find_main_axes(points, 2)
    assert torch.allclose(places[:, 0], torch.tensor([-10.0, -5.0, 0.0, 5.0, 10.0]), atol=1e-5)
    assert abs(shares[0] - 1) < 1e-9 and shares[1] < 1e-9


def test_equal_points_are_no_error():
    places, shares = find_main_axes(torch.ones(4, 3), 2)
    assert torch.count_nonzero(places) == 0 and shares == [0.0, 0.0]
