"""The knobs of the objective, a section of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sparse_s4r.config_files import Section


class TermConfig(Section):
    """One term of the loss."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor in the sum; 0 switches the term off."""
    start: Annotated[int, Field(ge=0)] = 0
    """First step at which the term counts."""


class AdversarialConfig(TermConfig):
    """Whether rendered colours can be told from the frames': a discriminator that learns beside the network."""

    weight: Annotated[float, Field(ge=0)] = 0.0
    """Factor in the sum; SPSG has 0.005. 0: there is no discriminator."""
    start: Annotated[int, Field(ge=0)] = 1000
    """First step at which it learns and counts."""
    form: Literal["vanilla", "hinge"] = "vanilla"
    """Of both losses: cross-entropy, as SPSG; or hinge."""
    rate: Annotated[float, Field(gt=0)] = 4.0
    """Learning rate of the discriminator over the network's; SPSG's, whose network has 1e-4."""


class PerceptualConfig(TermConfig):
    """Squared difference of a 2D network's features of rendered and real pictures."""

    weight: Annotated[float, Field(ge=0)] = 0.0
    """Factor in the sum; SPSG has 0.1."""
    start: Annotated[int, Field(ge=0)] = 1500
    """First step at which the term counts; SPSG waits for 60,000 of 79,000 steps."""
    weights: str | None = None
    """The network: a file with the state dict of torchvision's vgg19, of which conv3_4 serves, as in SPSG; or
    ``shipped``: the encoder of the shipped segmenter."""


class LossConfig(Section):
    """The objective."""

    occupancy: TermConfig = TermConfig()
    """Binary cross-entropy of every level's occupancy."""
    tsdf: TermConfig = TermConfig()
    """L1 of the signed distance; of unseen voxels with unknown_weight."""
    depth: TermConfig = TermConfig(start=100)
    """L1 of rendered depth, metres; starts when there is a surface to render."""
    color: TermConfig = TermConfig(start=100)
    """L1 of rendered colour."""
    semantic: TermConfig = TermConfig(start=100)
    """Cross-entropy of rendered semantics against labels of real views."""
    virtual: TermConfig = TermConfig(start=1500)
    """Cross-entropy of rendered semantics against the segmenter's labels of rendered colour, on virtual views; needs
    segmenter.spec. Starts when colour is worth labelling: before, pictures are noise and so are their labels."""
    semantic_3d: TermConfig = TermConfig(weight=0.0)
    """Cross-entropy of the voxels' semantics against the true labels; needs scenes that have the truth."""
    lifted: TermConfig = TermConfig(weight=0.0)
    """Cross-entropy of the voxels' semantics against the views' labels, lifted to the fuller scan by voting."""
    adversarial: AdversarialConfig = AdversarialConfig()
    perceptual: PerceptualConfig = PerceptualConfig()
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Pixels whose label is less probable do not count in semantic and virtual."""
    supervision: Literal["scan", "truth"] = "scan"
    """What occupancy and tsdf are compared with: the scan of all frames; or the true surface, which takes scenes that
    have it and is no self-supervision any more."""
    missing_weight: Annotated[float, Field(ge=1)] = 5.0
    """Weight of target surface that the input lacks; SPSG's value."""
    unknown_weight: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Weight of space that no frame saw, as empty; at 0 nothing holds back what is generated behind walls."""
    gate_voxels: Annotated[float, Field(gt=0)] = 3.0
    """Depth difference up to which a pixel's colour and label count: beyond, the ray met another surface."""
    lab: bool = True
    """Compare colour in Lab, as SPSG; false: RGB."""
    log_tsdf: bool = True
    """Compare log-transformed distances, as SG-NN and SPSG."""
