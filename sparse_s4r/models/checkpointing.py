"""Activation checkpointing: parts of a network keep only their inputs and compute the rest again for the gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")


def recomputed(parts: Sequence[nn.Module], function: Callable[..., T], enabled: bool, *args: Any) -> T:
    """``function(*args)``; if ``enabled`` and a gradient is wanted, computed again in the backward pass.

    The result and its gradients are the same. The running statistics of batch normalisation are updated by the first
    computation alone.

    Args:
        parts: The modules that ``function`` calls.
        function: Must depend on its arguments and the weights of ``parts`` alone, and draw nothing at random.
        enabled: False calls ``function`` as it is.
    """
    if not enabled or not torch.is_grad_enabled():
        return function(*args)
    norms = [module for part in parts for module in part.modules() if isinstance(module, _BatchNorm)]

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _frozen_statistics(norms)

    result: T = checkpoint(function, *args, use_reentrant=False, context_fn=contexts, preserve_rng_state=False)
    return result


@contextmanager
def _frozen_statistics(norms: Sequence[Any]) -> Iterator[None]:
    """Within it the layers normalise by their batch as in training, and leave their running statistics as they are."""
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked = count
