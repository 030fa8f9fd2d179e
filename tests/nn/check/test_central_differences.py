"""Central differences are exact for polynomials of the degree that their points determine, and no further."""

import pytest
import torch

from workbench.nn.check.central_differences import FOUR_POINTS, TWO_POINTS, Stencil, around, gradient, slopes


@pytest.mark.parametrize(("stencil", "degree"), [(TWO_POINTS, 2), (FOUR_POINTS, 4)])
def test_powers_have_exact_slopes_up_to_a_degree(stencil: Stencil, degree: int) -> None:
    """dxᵏ/dx = k xᵏ⁻¹ holds for k up to the stencil's degree, and is off by h² or h⁴ at the next."""
    x, h = torch.tensor([0.5], dtype=torch.float64), 0.25
    for power in range(degree + 1):
        numeric = gradient(lambda point, k=power: point[0] ** k, x, h, stencil)
        torch.testing.assert_close(numeric, power * x ** (power - 1), rtol=1e-14, atol=1e-14)
    off = gradient(lambda point: point[0] ** (degree + 1), x, h, stencil) - (degree + 1) * x**degree
    expected = {2: h**2, 4: -4 * h**4}[degree]  # x³ at ±h; x⁵ at ±h and ±2h
    assert float(off) == pytest.approx(expected, rel=1e-12)


def test_each_entry_moves_alone() -> None:
    """The copies of each point differ from it in one column, and the slopes of a·b + c are b, a and 1."""
    points = torch.tensor([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0]], dtype=torch.float64)
    copies = around(points, torch.arange(3), 0.5, TWO_POINTS)
    moves = copies - points[:, None, None]
    expected = torch.stack([torch.diag(torch.full((3,), offset, dtype=torch.float64)) for offset in (-0.5, 0.5)], 1)
    torch.testing.assert_close(moves, expected.expand(2, -1, -1, -1), rtol=0, atol=0)
    J = copies[..., 0] * copies[..., 1] + copies[..., 2]
    wanted = torch.tensor([[3.0, 2.0, 1.0], [11.0, 7.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(slopes(J, 0.5, TWO_POINTS), wanted, rtol=1e-14, atol=0)
