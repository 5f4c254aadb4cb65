"""The opponent of a network in training: it learns to tell rendered pictures from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparse_s4r.build import build_discriminator
from sparse_s4r.config import Config
from sparse_s4r.losses.adversarial import Form, PicturePair, discriminator_loss, generator_loss
from sparse_s4r.models.discriminator import PatchDiscriminator
from sparse_s4r.render.raycaster import Raycaster
from sparse_s4r.structures import RenderedView, RGBDFrame, ScenePrediction, SceneSample
from sparse_s4r.structures.errors import CheckpointError


class Adversary:
    """A discriminator with its optimiser.

    It is shown a picture beside colours and normals of the input scan, rendered at the same camera. It judges with
    fixed weights, and learns after the network's step from the pictures of that step.

    Args:
        discriminator: On the device of the pictures.
        optimizer: Of its weights.
        raycaster: Renders the input scan.
        form: Of the losses.
        rate: Learning rate over the network's.

    Source: SPSG, with normals in the condition alone: real ones would have to be made of noisy depth. In a training of
        several processes each would have a discriminator of its own.
    """

    def __init__(
        self,
        discriminator: PatchDiscriminator,
        optimizer: torch.optim.Optimizer,
        raycaster: Raycaster,
        form: Form,
        rate: float,
    ) -> None:
        self.discriminator, self.optimizer = discriminator, optimizer
        self.form, self.rate = form, rate
        self._raycaster = raycaster

    def pairs(self, sample: SceneSample, views: Sequence[tuple[RenderedView, RGBDFrame]]) -> tuple[PicturePair, ...]:
        """The pictures of a sample's views, differentiable in the rendered colours.

        Raises:
            ValueError: Views without colour.
        """
        with torch.no_grad():
            field = self._raycaster.prepare(ScenePrediction.from_scan(sample.input))
            given = self._raycaster.render_views(field, [frame.camera for _, frame in views])
        return tuple(_pair(view, frame, seen) for (view, frame), seen in zip(views, given, strict=True))

    def judge(self, pairs: Sequence[PicturePair]) -> tuple[tuple[Tensor, int], ...]:
        """Per pair the loss () of the rendered picture and the number of patches; no gradient to the discriminator."""
        self.discriminator.eval().requires_grad_(False)
        with torch.autocast(_device(self.discriminator).type, enabled=False):
            return tuple(generator_loss(self.discriminator, pair, self.form) for pair in pairs)

    def learn(self, pairs: Sequence[PicturePair], network_rate: float) -> float | None:
        """One step of the discriminator, on the pairs with patches that count.

        Args:
            pairs: From the network's step.
            network_rate: The network's learning rate in that step.

        Returns:
            The mean loss before the step; None, and no step, where nothing counts.
        """
        self.discriminator.train().requires_grad_(True)
        for group in self.optimizer.param_groups:
            group["lr"] = network_rate * self.rate
        losses = [discriminator_loss(self.discriminator, pair, self.form) for pair in pairs]
        values = [value for value, count in losses if count]
        if not values:
            return None
        total = torch.stack(values).mean()
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        self.optimizer.step()
        return float(total.detach())

    def state(self) -> dict[str, Any]:
        """All that an exact resumption needs, for a checkpoint."""
        return {"weights": self.discriminator.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from ``state``.

        Raises:
            CheckpointError: It is that of another discriminator.
        """
        try:
            self.discriminator.load_state_dict(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"checkpoint: expected the state of this discriminator, got another: {error}"
            ) from error


def make_adversary(config: Config, raycaster: Raycaster, device: torch.device | str) -> Adversary | None:
    """The opponent of ``config.loss.adversarial``, its weights drawn from ``config.seed``; None where that is off.

    Raises:
        ConfigError: The network makes no pictures.
    """
    discriminator = build_discriminator(config)
    if discriminator is None:
        return None
    term = config.loss.adversarial
    discriminator.to(device)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=config.train.learning_rate * term.rate)
    return Adversary(discriminator, optimizer, raycaster, term.form, term.rate)


def _pair(view: RenderedView, frame: RGBDFrame, seen: RenderedView) -> PicturePair:
    """Rendered and real picture, with what is ``seen`` of the input scan."""
    if view.color is None:
        raise ValueError("view.color: expected a rendered colour, got None; the network has no colour decoder")
    hit = seen.hit.unsqueeze(-1)
    normal = seen.normal @ seen.camera.camera_to_world[:3, :3].to(seen.normal)
    color = torch.zeros_like(normal) if seen.color is None else (2 * seen.color - 1) * hit
    condition = torch.cat([color, normal * hit], dim=-1)
    return PicturePair(
        condition.permute(2, 0, 1),
        view.color.permute(2, 0, 1),
        frame.color.to(view.color).permute(2, 0, 1),
        view.hit & (frame.depth > 0),
    )


def _device(discriminator: PatchDiscriminator) -> torch.device:
    return next(discriminator.parameters()).device
