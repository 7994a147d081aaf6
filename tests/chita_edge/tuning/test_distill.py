from __future__ import annotations

import copy
import math
import signal
from pathlib import Path

import pytest
import torch
from distillation import dense_network, distill_until, images, pruned, recipe
from resumable_pruning import finish, in_own_process
from torch import nn

from chita_edge.network.objective import Objective
from chita_edge.storage.errors import StateError
from chita_edge.tuning import DivergedError, distill, divergence


def same(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_loss_is_that_of_its_definition() -> None:
    logits, wanted = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for z, t in zip(logits.tolist(), wanted.tolist(), strict=True):
        q, p = ([math.exp(v / 3) for v in values] for values in (z, t))
        q, p = [v / sum(q) for v in q], [v / sum(p) for v in p]
        expected += 9 * sum(b * math.log(b / a) for a, b in zip(q, p, strict=True)) / 5
    assert float(Objective().imitation((logits,), (wanted,), 3.0)) == pytest.approx(expected, rel=1e-5)
    assert float(Objective().imitation((logits,), (logits,), 3.0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("optimiser", "rate"), [("sgd", 3e-2), ("adam", 3e-3)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_comes_closer_to_the_dense_network_and_keeps_its_zeros(optimiser: str, rate: float, precision: str) -> None:
    dense = dense_network()
    student, masks = pruned(dense)
    before = copy.deepcopy(student), copy.deepcopy(dense)
    options = recipe(optimiser=optimiser, learning_rate=rate, precision=precision)
    found = distill(student, dense, images(), masks, options, objective=Objective())
    after, at_first = (divergence(net, dense, images(), Objective()) for net in (found.model, student))
    assert after < 0.8 * at_first
    for name, mask in masks.items():
        weight = found.model.get_parameter(name)
        assert torch.equal(weight != 0, mask)
        assert weight.is_contiguous()
    assert same(before[0], student)
    assert same(before[1], dense)
    assert found.epochs == 6
    for name in ("1.running_mean", "1.running_var", "4.running_mean"):
        assert torch.equal(found.model.get_buffer(name), student.get_buffer(name))
    assert all(not module.training for module in found.model.modules())


def test_one_step_of_sgd_is_that_of_its_definition() -> None:
    dense = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    student, x = copy.deepcopy(dense), torch.randn(5, 1, 2, 2)
    mask = torch.tensor([[True, False, True, True]] * 3)
    with torch.no_grad():
        student[1].weight.mul_(mask)
    options = {"optimiser": "sgd", "learning_rate": 0.1, "precision": "float32", "max_shift": 0.0}
    found = distill(student, dense, x, {"1.weight": mask}, recipe(epochs=1, batch_size=5, **options))
    # A view of these images is the image or its mirror image; seed 0 decides which.
    rng = torch.Generator().manual_seed(0)
    order = torch.randperm(5, generator=rng)
    for _ in range(2):
        torch.randint(0, 1, (5, 1), generator=rng)
    mirrored = torch.rand(5, 1, generator=rng) < 0.5
    views = torch.where(mirrored[:, :, None, None], x[order].flip(3), x[order])
    loss = Objective().imitation((student(views),), (dense(views).detach(),), 2.0)
    (gradient,) = torch.autograd.grad(loss, [student[1].weight])
    # Nesterov's first step with momentum 0.9 is 1.9 times the gradient's.
    torch.testing.assert_close(found.model[1].weight, (student[1].weight - 0.19 * gradient) * mask)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_killed_run_goes_on_to_bit_identical_weights(tmp_path: Path, optimiser: str) -> None:
    path = tmp_path / "distill.safetensors"
    step = 10  # in the third epoch of four steps
    assert finish([in_own_process(distill_until, step, optimiser, path)]) == [-signal.SIGKILL]
    assert path.exists()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        dense = dense_network()
        student, masks = pruned(dense)
        steps: list[int] = []
        resumed = distill(
            student, dense, images(), masks, recipe(optimiser=optimiser), checkpoint=path,
            progress=lambda stage, done, total: steps.append(done),
        )  # fmt: skip
        whole = distill(student, dense, images(), masks, recipe(optimiser=optimiser))
    finally:
        torch.set_num_threads(threads)
    assert steps[0] == 8
    assert same(resumed.model, whole.model)
    assert (resumed.epochs, resumed.loss) == (whole.epochs, whole.loss)


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    dense = dense_network()
    student, masks = pruned(dense)
    path = tmp_path / "distill.safetensors"
    first = distill(student, dense, images(), masks, recipe(), checkpoint=path)
    steps: list[int] = []
    second = distill(
        student, dense, images(), masks, recipe(), checkpoint=path, progress=lambda *said: steps.append(said[1])
    )
    assert steps == [24]
    assert same(first.model, second.model)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    dense = dense_network()
    student, masks = pruned(dense)
    path = tmp_path / "distill.safetensors"
    distill(student, dense, images(), masks, recipe(epochs=1), checkpoint=path)
    for other in (recipe(epochs=2), recipe(epochs=1, seed=1)):
        with pytest.raises(StateError, match="belongs to another network"):
            distill(student, dense, images(), masks, other, checkpoint=path)
    with pytest.raises(StateError, match="belongs to another network"):
        distill(student, dense, images() + 1, masks, recipe(epochs=1), checkpoint=path)


def test_a_time_limit_ends_the_run_and_the_schedule() -> None:
    dense = dense_network()
    student, masks = pruned(dense)
    told: list[tuple[str, int, int]] = []
    found = distill(
        student, dense, images(), masks, recipe(epochs=100_000, seconds=0.05), progress=lambda *said: told.append(said)
    )
    assert 1 <= found.epochs < 100_000
    assert told[0] == ("distill", 0, 400_000)
    assert told[-1] == ("distill", 400_000, 400_000)


def test_no_epochs_change_nothing() -> None:
    dense = dense_network()
    student, masks = pruned(dense)
    assert same(distill(student, dense, images(), masks, recipe(epochs=0)).model, student)


def test_divergence_is_a_sentence() -> None:
    dense = dense_network()
    student, masks = pruned(dense)
    with pytest.raises(DivergedError, match="smaller learning rate"):
        distill(student, dense, images(), masks, recipe(optimiser="sgd", learning_rate=1e30))
