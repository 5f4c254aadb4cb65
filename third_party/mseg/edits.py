"""What current torch and numpy need changed in mseg-semantic, and what one image's inference can do without.

Each edit is a piece of text that stands exactly once in the published source; if it does not, nothing is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """Put ``new`` in the place of ``old`` in the file ``path``, because of ``reason``.

    With ``until``, everything from ``old`` up to the next place where that text stands is replaced.
    """

    path: str
    old: str
    new: str
    reason: str
    until: str = ""


class EditError(Exception):
    """The source is not the one that the edits were written for."""


def apply_edits(source: Path, edits: tuple[Edit, ...]) -> None:
    """Change the files below ``source``.

    Raises:
        EditError: A text stands there never or more than once, or the end of what it replaces is missing; the
            message names the file and the text.
    """
    for edit in edits:
        file = source / edit.path
        text = file.read_text() if file.exists() else ""
        if text.count(edit.old) != 1:
            raise EditError(f"{edit.path}: expected {edit.old!r} once, found it {text.count(edit.old)} times")
        before, after = text.split(edit.old)
        if edit.until not in after:
            raise EditError(f"{edit.path}: expected {edit.until!r} after {edit.old!r}, found it nowhere")
        file.write_text(before + edit.new + after[after.index(edit.until) :])


_NETWORK = "mseg_semantic/model/seg_hrnet.py"
_HYDRA = "hydra and omegaconf, two packages, only read one YAML file; PyYAML does"
_CONFIG = """\
    stages = yaml.safe_load((_ROOT / "seg_hrnet.yaml").read_text())["HRNetArchConfig"]
    final_conv_kernel = stages["FINAL_CONV_KERNEL"]
    stages = {
        name: HRNetStageConfig(**{key: value for key, value in stage.items() if key != "_target_"})
        for name, stage in stages.items()
        if name.startswith("STAGE")
    }
    config = HRNetArchConfig(FINAL_CONV_KERNEL=final_conv_kernel, **stages)

"""

EDITS: tuple[Edit, ...] = (
    Edit(
        _NETWORK, "np.int(np.sum(pre_stage_channels))", "int(np.sum(pre_stage_channels))", "numpy 1.24 dropped np.int"
    ),
    Edit(
        _NETWORK,
        "BatchNorm2d = torch.nn.SyncBatchNorm\n",
        "BatchNorm2d = torch.nn.BatchNorm2d\n",
        "SyncBatchNorm is for training on several GPUs and older torch refuses it on the CPU; the weights are the same",
    ),
    *(
        Edit(
            _NETWORK, f"x{level} = F.upsample(x[{level}],", f"x{level} = F.interpolate(x[{level}],", "F.upsample warns"
        )
        for level in (1, 2, 3)
    ),
    Edit(_NETWORK, "import hydra\n", "import yaml\n", _HYDRA),
    Edit(_NETWORK, "from hydra.utils import instantiate\n", "", _HYDRA),
    Edit(_NETWORK, "from omegaconf import OmegaConf\n", "", _HYDRA),
    Edit(
        _NETWORK,
        '    with hydra.initialize_config_module(config_module="mseg_semantic.model"):\n',
        _CONFIG,
        _HYDRA,
        until="    criterion = nn.CrossEntropyLoss(ignore_index=255)\n",
    ),
)
