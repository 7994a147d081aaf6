import pytest

from chita_edge.tuning import Recipe


def test_the_rate_falls_along_a_cosine() -> None:
    recipe = Recipe(epochs=3, learning_rate=2.0)
    assert recipe.rate(0) == 2.0
    assert recipe.rate(1 / 3) == pytest.approx(1.5)
    assert recipe.rate(0.5) == pytest.approx(1.0)
    assert recipe.rate(1) == recipe.rate(1.2) == 0.0
