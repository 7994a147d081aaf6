from __future__ import annotations

import torch

from chita_edge.quantization.graph import Clip
from chita_edge.quantization.samples import Samples


def samples(groups: int = 2) -> Samples:
    rng = torch.Generator().manual_seed(0)
    return Samples(torch.randn(groups, 200, 3, generator=rng) + 1, torch.randn(200, 4, generator=rng))


def test_moments_are_those_of_each_group() -> None:
    some = samples()
    for group in range(2):
        x, t = some.inputs[group], some.wanted[:, 2 * group : 2 * group + 2]
        torch.testing.assert_close(some.gram[group], torch.cov(x.T, correction=0))
        both = torch.cov(torch.cat((t, x), 1).T, correction=0)
        torch.testing.assert_close(some.target(some.wanted)[2 * group : 2 * group + 2], both[:2, 2:])


def test_outputs_have_the_given_mean() -> None:
    some, weights = samples(), torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    outputs = some.outputs(weights, torch.tensor([1.0, 2.0, 3.0, 4.0]))
    torch.testing.assert_close(outputs.mean(0), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    plain = torch.cat([some.inputs[g] @ weights[2 * g : 2 * g + 2].T for g in range(2)], 1)
    shift = plain - outputs
    torch.testing.assert_close(shift, shift[:1].expand_as(shift), rtol=1e-4, atol=1e-4)


def test_what_is_wanted_behind_an_activation_bounds_the_error_behind_it() -> None:
    rng = torch.Generator().manual_seed(2)
    for clip in (Clip(0.0), Clip(-0.5, 0.7)):
        for beside in (None, torch.randn(500, 4, generator=rng)):
            some = Samples(torch.zeros(1, 500, 1), torch.randn(500, 4, generator=rng), beside)
            now, other = (torch.randn(500, 4, generator=rng) for _ in range(2))
            wanted, more = some.wanted_behind(clip, now), 0.0 if beside is None else beside

            def behind(y: torch.Tensor, clip: Clip = clip, some: Samples = some, more: object = more) -> torch.Tensor:
                return (clip(y + more) - clip(some.wanted + more)).square()  # type: ignore[operator]

            error = behind(now)
            constant = error - (now - wanted).square()
            assert bool((constant >= -1e-5).all())
            assert bool(((other - wanted).square() + constant >= behind(other) - 1e-4).all())
            outside = (now + more <= clip.low) | (now + more >= clip.high)
            assert bool(outside.any()) and torch.allclose(wanted[outside], now[outside], atol=1e-6)
