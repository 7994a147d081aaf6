"""Layerwise forward pass: it stops at each call with a chosen weight, which can be replaced before it goes on."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from chita_edge.network.batch import run_batch
from chita_edge.network.calls import LayerCalls, check_used
from chita_edge.network.errors import CalibrationError
from chita_edge.network.targets import layer_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from torch import nn

    from chita_edge.network.inputs import Batch
    from chita_edge.network.layer import LayerForm


@dataclass(frozen=True)
class LayerStop:
    """A call that a layerwise forward is about to make.

    Attributes:
        name: of the weight.
        form: of the layer.
        inputs: of the call, one tensor a batch; they may change in place when the pass goes on.
    """

    name: str
    form: LayerForm
    inputs: list[torch.Tensor]


class LayerwiseForward:
    """Forward passes over batches side by side, each in a thread of its own, that stop at the same calls.

    Reading n layers one after another so costs one forward pass, not n, and between two layers each batch keeps the
    activations that the rest of the network still reads, and no others. Used as a context manager: leaving it, by an
    exception too, ends the threads.

    Args:
        model: a network in evaluation mode.
        names: of the weights at whose calls to stop.
        images: all images.
        batch_size: images a pass; all in one when None.
    """

    def __init__(self, model: nn.Module, names: Sequence[str], images: Batch, batch_size: int | None = None) -> None:
        batches = images.split(batch_size or max(1, len(images)))
        self._passes = [_Pass(model, names, batch) for batch in batches]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for each in self._passes:
                stack.enter_context(each)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def calls(self) -> LayerCalls:
        """Calls that the first pass has seen so far."""
        return self._passes[0].calls

    def next(self) -> LayerStop | None:
        """Go on to the next call with a chosen weight; None at the end.

        Raises:
            CalibrationError: the network fails, or calls its layers in another order for other images.
        """
        stops = [each.next() for each in self._passes]
        if len({None if stop is None else (stop.name, stop.form) for stop in stops}) > 1:
            raise CalibrationError("The network calls its layers in another order for other samples.")
        first = stops[0]
        if first is None:
            return None
        return LayerStop(first.name, first.form, [stop.inputs[0] for stop in stops if stop is not None])


class _Abandoned(BaseException):
    """Nobody wants the rest of the forward pass."""


class _Pass:
    """One forward pass over a batch, in a thread."""

    def __init__(self, model: nn.Module, names: Sequence[str], images: Batch) -> None:
        self._model, self._images = model, images
        self._at: LayerStop | None = None
        self._error: BaseException | None = None
        self._abandoned = self._finished = False
        self._resume, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self.calls = LayerCalls(model, names, self._pause)
        self._thread = threading.Thread(target=self._run, name="chita-edge-layerwise", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._abandoned = True
        self._resume.release()
        self._thread.join()

    def next(self) -> LayerStop | None:
        if self._finished:
            return None
        self._at = None
        self._resume.release()
        self._paused.acquire()
        if self._error is not None:
            raise self._error
        return self._at

    def _pause(
        self, name: str, form: LayerForm, inputs: torch.Tensor, compute: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        self._at = LayerStop(name, form, [inputs if inputs.ndim > 1 else inputs[None]])  # of a lone vector
        self._paused.release()
        self._resume.acquire()
        if self._abandoned:
            raise _Abandoned
        self._at = None
        del inputs
        return compute()

    def _run(self) -> None:
        self._resume.acquire()
        try:
            if not self._abandoned:
                with torch.no_grad(), self.calls:
                    run_batch(self._model, self._images)
        except _Abandoned:
            pass
        except Exception as error:
            self._error = error
        finally:
            self._finished = True
            self._at = None
            self._paused.release()


def call_order(model: nn.Module, names: Sequence[str], image: Batch) -> list[str]:
    """The chosen weights call by call, in the order in which the network makes the calls.

    Raises:
        CalibrationError: there is no such weight, it is never used, or also by other means than linear and
            convolution.
    """
    names = layer_weights(model, names)
    order = []
    with LayerwiseForward(model, names, image) as forward:
        while (stop := forward.next()) is not None:
            order.append(stop.name)
        check_used(names, order, forward.calls)
    return order


def largest_input(model: nn.Module, names: Sequence[str], image: Batch) -> int:
    """Bytes of the largest of the chosen calls' inputs for these images."""
    largest = 0
    with LayerwiseForward(model, names, image) as forward:
        while (stop := forward.next()) is not None:
            largest = max(largest, stop.inputs[0].nbytes)
    return largest
