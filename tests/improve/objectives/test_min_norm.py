"""Closed forms against solvers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from moorings.improve.objectives.min_norm import closest_to_zero, min_norm_weights, weights_to_zero


@pytest.mark.parametrize("n", [1, 2, 3, 8, 64])
def test_the_closed_form_is_what_a_simplex_solver_finds(n: int) -> None:
    rng = np.random.default_rng(n)
    for shift in (-2.0, 0.0, 2.0):
        values = rng.normal(size=n) + shift
        # min t, |c . v| <= t, c on the simplex: variables (c, t).
        found = linprog(
            np.append(np.zeros(n), 1.0),
            A_ub=np.stack([np.append(values, -1.0), np.append(-values, -1.0)]),
            b_ub=[0.0, 0.0],
            A_eq=[np.append(np.ones(n), 0.0)],
            b_eq=[1.0],
        )
        weights = weights_to_zero(values)
        assert abs(closest_to_zero(values)) == pytest.approx(found.fun, abs=1e-9)
        assert weights @ values == pytest.approx(closest_to_zero(values), abs=1e-9)
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_values_without_sign_take_the_smallest() -> None:
    assert weights_to_zero(np.array([0.0, 2.0])).tolist() == [1, 0]
    assert weights_to_zero(np.array([-2.0, 0.0])).tolist() == [0, 1]
    assert weights_to_zero(np.zeros(2)).tolist() == [1, 0]


@pytest.mark.parametrize(("n", "d"), [(2, 5), (3, 2), (5, 40), (6, 3)])
def test_the_shortest_sum_of_gradients_is_what_a_solver_finds(n: int, d: int) -> None:
    rng = np.random.default_rng(n * d)
    for shift in (0.0, 1.0):
        rows = rng.normal(size=(n, d)) + shift
        weights = min_norm_weights(rows)
        slow = minimize(
            lambda c, rows=rows: float(((c @ rows) ** 2).sum()),
            np.full(n, 1 / n),
            jac=lambda c, rows=rows: 2 * rows @ (c @ rows),
            bounds=[(0, 1)] * n,
            constraints={"type": "eq", "fun": lambda c: c.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 500},
        )
        assert ((weights @ rows) ** 2).sum() <= slow.fun + 1e-9
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1)


def test_two_vectors_have_a_closed_form() -> None:
    a, b = np.array([2.0, 0.0]), np.array([0.0, 1.0])
    share = (b - a) @ b / ((a - b) @ (a - b))
    np.testing.assert_allclose(min_norm_weights(np.stack([a, b])), [share, 1 - share], atol=1e-12)
    np.testing.assert_allclose(min_norm_weights(np.zeros((3, 2))), 1 / 3)
