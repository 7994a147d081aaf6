"""LSTM, GRU and RNN, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from exporters.interpreter.dtypes import NotComputed

Tensor = torch.Tensor
State = tuple[Tensor, ...]
_USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


def _lstm_step(x: Tensor, state: State, w: Tensor, r: Tensor, b: Tensor, peephole: Tensor | None, _: int) -> State:
    h, c = state
    i, o, f, g = (x @ w.T + h @ r.T + b).chunk(4, -1)
    if peephole is not None:
        p_i, p_o, p_f = peephole.chunk(3)
        i, f = i + p_i * c, f + p_f * c
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o + p_o * c) * torch.tanh(c), c
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru_step(x: Tensor, state: State, w: Tensor, r: Tensor, b: Tensor, _: Tensor | None, after: int) -> State:
    (h,) = state
    w_b, r_b = b.chunk(2)
    x_z, x_r, x_h = (x @ w.T + w_b).chunk(3, -1)
    r_z, r_r, r_h = r.chunk(3)
    b_z, b_r, b_h = r_b.chunk(3)
    update = torch.sigmoid(x_z + h @ r_z.T + b_z)
    reset = torch.sigmoid(x_r + h @ r_r.T + b_r)
    hidden = reset * (h @ r_h.T + b_h) if after else (reset * h) @ r_h.T + b_h
    return ((1 - update) * torch.tanh(x_h + hidden) + update * h,)


def _rnn_step(x: Tensor, state: State, w: Tensor, r: Tensor, b: Tensor, _: Tensor | None, __: int) -> State:
    (h,) = state
    return (torch.tanh(x @ w.T + h @ r.T + b),)


def _recurrent(kind: str, step: Callable[..., State], gates: int) -> Callable[..., tuple[Tensor, ...]]:
    """ONNX's operator of one kind: (time, batch, features) to (time, directions, batch, hidden) and last states."""

    def run(
        x: Tensor,
        w: Tensor,
        r: Tensor,
        b: Tensor | None = None,
        lengths: Tensor | None = None,
        initial: Tensor | None = None,
        initial_cell: Tensor | None = None,
        peephole: Tensor | None = None,
        *,
        hidden_size: int,
        activations: Sequence[str] | None = None,
        clip: float | None = None,
        direction: str = "forward",
        layout: int = 0,
        input_forget: int = 0,
        linear_before_reset: int = 0,
        **others: Any,
    ) -> tuple[Tensor, ...]:
        directions = w.shape[0]
        if activations is not None and list(activations) != _USUAL[kind] * directions:
            raise NotComputed(f"{kind} with activations of its own")
        if clip is not None or input_forget or layout or others or lengths is not None:
            raise NotComputed(f"{kind} with lengths, clipping or another layout")
        steps, batch, _ = x.shape
        zeros = x.new_zeros(directions, batch, hidden_size)
        starts = [zeros if initial is None else initial]
        if kind == "LSTM":
            starts.append(zeros if initial_cell is None else initial_cell)
        bias = x.new_zeros(directions, 2 * gates * hidden_size) if b is None else b
        outputs, last = [], []
        for number in range(directions):
            backwards = number == 1 or direction == "reverse"
            both = bias[number]
            if kind != "GRU":
                both = both[: gates * hidden_size] + both[gates * hidden_size :]
            state: State = tuple(start[number] for start in starts)
            holes = None if peephole is None else peephole[number]
            along: list[Tensor] = []
            for time in reversed(range(steps)) if backwards else range(steps):
                state = step(x[time], state, w[number], r[number], both, holes, linear_before_reset)
                along.append(state[0])
            outputs.append(torch.stack(along[::-1] if backwards else along))
            last.append(state)
        return torch.stack(outputs, 1), *(torch.stack(states) for states in zip(*last, strict=True))

    return run


OPS: dict[str, Callable[..., Any]] = {
    "GRU": _recurrent("GRU", _gru_step, 3),
    "LSTM": _recurrent("LSTM", _lstm_step, 4),
    "RNN": _recurrent("RNN", _rnn_step, 1),
}
