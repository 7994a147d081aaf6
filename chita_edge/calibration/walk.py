"""A forward pass that stops at chosen layers, so that their weights can be replaced before it goes on."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import torch

from chita_edge.calibration.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from torch import nn


class _Abandoned(Exception):  # noqa: N818 (no error: it ends the pass)
    """Nobody wants the rest of the forward pass."""


class Walk:
    """One forward pass over a batch, in a thread of its own, that pauses where a chosen layer is first called.

    Reading n layers one after another so costs one forward pass, not n. Used as a context manager: leaving it, by an
    exception too, ends the thread and removes the hooks.

    Attributes:
        model: a network in evaluation mode.
    """

    def __init__(self, model: nn.Module, names: Sequence[str], images: torch.Tensor) -> None:
        self.model = model
        self._images = images
        self._at: tuple[str, torch.Tensor] | None = None
        self._error: BaseException | None = None
        self._abandoned = self._finished = False
        self._resume, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        modules = dict(model.named_modules())
        self._hooks = [
            modules[name.removesuffix(".weight")].register_forward_pre_hook(self._hook(name)) for name in names
        ]
        self._visited: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="chita-edge-walk", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._abandoned = True
        self._resume.release()
        self._thread.join()
        for hook in self._hooks:
            hook.remove()

    def next(self) -> tuple[str, torch.Tensor] | None:
        """Go on to the next chosen layer: its weight's name and its input; None when the pass has ended."""
        if self._finished:
            return None
        self._at = None
        self._resume.release()
        self._paused.acquire()
        if self._error is not None:
            raise self._error
        return self._at

    def _hook(self, name: str) -> Any:
        def pause(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            del module
            if name in self._visited or threading.current_thread() is not self._thread:
                return  # passed before, or by another walk over the same network
            self._visited.add(name)
            self._at = (name, arguments[0])
            self._paused.release()
            self._resume.acquire()
            if self._abandoned:
                raise _Abandoned

        return pause

    def _run(self) -> None:
        self._resume.acquire()
        try:
            if not self._abandoned:
                with torch.no_grad():
                    self.model(self._images)
        except _Abandoned:
            pass
        except Exception as error:
            self._error = error
        finally:
            self._finished = True
            self._at = None
            self._paused.release()


class Walks:
    """Walks over batches of images side by side: only what one batch needs to get to the next layer is held at a time.

    Between two layers each batch keeps the activations that the rest of the network still reads, and no others.
    Exceptions end all of them.

    Args:
        model: a network in evaluation mode.
        names: of the weights of the layers to stop at.
        images: all images.
        batch_size: images a walk.
    """

    def __init__(self, model: nn.Module, names: Sequence[str], images: torch.Tensor, batch_size: int) -> None:
        self._walks = [Walk(model, names, batch) for batch in torch.split(images, batch_size)]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for walk in self._walks:
                stack.enter_context(walk)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def next(self) -> tuple[str, list[torch.Tensor]] | None:
        """Go on to the next chosen layer: its weight's name and its inputs, batch by batch; None at the end."""
        stops = [walk.next() for walk in self._walks]
        if stops[0] is None:
            return None
        return stops[0][0], [stop[1] for stop in stops if stop is not None]


def call_order(model: nn.Module, names: Sequence[str], image: torch.Tensor) -> list[str]:
    """The chosen weights in the order in which the network first uses them.

    Raises:
        CalibrationError: there is no such layer, or it is never called.
    """
    modules = dict(model.named_modules())
    for name in names:
        if name.removesuffix(".weight") not in modules:
            raise CalibrationError(f"The network has no layer with a weight {name}.")
    order = []
    with Walk(model, names, image) as walk:
        while (stop := walk.next()) is not None:
            order.append(stop[0])
    for name in names:
        if name not in order:
            raise CalibrationError(f"The network never uses {name}. Keep it dense.")
    return order


def largest_input(model: nn.Module, names: Sequence[str], image: torch.Tensor) -> int:
    """Bytes of the largest of the chosen layers' inputs for these images."""
    largest = 0
    with Walk(model, names, image) as walk:
        while (stop := walk.next()) is not None:
            largest = max(largest, stop[1].nbytes)
    return largest
