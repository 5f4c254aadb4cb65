"""Segmentation models of Hugging Face transformers: SegFormer, Mask2Former and OneFormer.

Sources: Xie et al., SegFormer, NeurIPS 2021; Cheng et al., Masked-attention Mask Transformer for Universal Image
Segmentation, CVPR 2022; Jain et al., OneFormer, CVPR 2023.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparse_s4r.segmentation.class_list import choose_label_map
from sparse_s4r.segmentation.dense import resize_images
from sparse_s4r.segmentation.hugging_face_images import ImagePreparation, read_preparation
from sparse_s4r.segmentation.label_map import LabelMap, drop_ignored, sum_targets
from sparse_s4r.structures.errors import CheckpointError, ConfigError, DataError

_MODELS = {
    "segformer": "SegformerForSemanticSegmentation",
    "mask2former": "Mask2FormerForUniversalSegmentation",
    "oneformer": "OneFormerForUniversalSegmentation",
}
_TASK = "the task is semantic"
# Grid on which transformers turns the masks of a Mask2Former into scores.
_MASK_GRID = (384, 384)
# Weights of the training loss, which some files leave out.
_LOSS = "criterion."
_SHOWN = 3


class HuggingFaceSegmenter:
    """An ``ImageSegmenter`` with a model of transformers.

    A SegFormer's logits are brought to the size of the image, then softmax. A Mask2Former or OneFormer says for each
    of its queries what it is and where: a class has the sum over queries of its probability, without that of "no
    object", times the sigmoid of the mask, scaled so that all classes have sum 1 in a pixel.

    Args:
        network: The model; it is put into evaluation mode.
        label_map: From its classes to those of a taxonomy.
        preparation: How it wants its images.
        task: (1, T) int64, the tokens of a OneFormer's task; None for the others.
    """

    def __init__(
        self, network: nn.Module, label_map: LabelMap, preparation: ImagePreparation, task: Tensor | None = None
    ) -> None:
        self._network = network.eval()
        self._label_map = label_map
        self._preparation = preparation
        self._task = task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes of the taxonomy."""
        return self._label_map.class_names

    @property
    def network(self) -> nn.Module:
        """The network."""
        return self._network

    @property
    def label_map(self) -> LabelMap:
        """From the network's classes to those of the taxonomy."""
        return self._label_map

    @property
    def preparation(self) -> str:
        """All that decides how images are brought before the network, as text."""
        return repr(self._preparation)

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """(B, K, H, W) for (B, 3, H, W) RGB in [0, 1] of any size, on the network's device; no gradient.

        Sum 1 per pixel, or 0 where ignored classes have more than any class of the taxonomy.
        """
        device = next(self._network.parameters()).device
        # One at a time: a SegFormer's logits for one large image take a gigabyte.
        return torch.cat([drop_ignored(self._sums(image.unsqueeze(0).to(device))) for image in images])

    def _sums(self, image: Tensor) -> Tensor:
        """(1, K + 1, H, W) sums per class of the taxonomy, not scaled, ignored ones last."""
        size = (image.shape[2], image.shape[3])
        task = {} if self._task is None else {"task_inputs": self._task.to(image.device)}
        outputs = self._network(pixel_values=self._preparation.prepare(image), **task)
        if not hasattr(outputs, "masks_queries_logits"):
            logits = resize_images(outputs.logits.float(), size)
            return sum_targets(logits.softmax(dim=1), self._label_map)
        masks = outputs.masks_queries_logits.float()
        if self._task is None:
            masks = resize_images(masks, _MASK_GRID)
        classes = outputs.class_queries_logits.float().softmax(dim=-1)[..., :-1]
        scores = torch.einsum("bqc,bqhw->bchw", classes, masks.sigmoid())
        return resize_images(sum_targets(scores, self._label_map), size)


def load_hugging_face_segmenter(
    source: str | Path, taxonomy: str, label_map: Path | None = None, device: torch.device | str = "cpu"
) -> HuggingFaceSegmenter:
    """The segmenter of a model in a folder or on the Hugging Face hub.

    Args:
        source: A folder with config.json, weights and preprocessor_config.json, or a name on the hub such as
            ``nvidia/segformer-b0-finetuned-ade-512-512``, which is downloaded into the user's cache.
        taxonomy: Name of a shipped taxonomy, or the path of a YAML file.
        label_map: A file that maps the model's classes to those of the taxonomy; None for the shipped one, which there
            is for models that know the classes of ADE20K or COCO.
        device: Where the network runs.

    Raises:
        ConfigError: The package ``transformers`` is missing.
        CheckpointError: No such model, one of another kind, or weights that are not all there.
        DataError: Classes without a label map, or a taxonomy, label map or preprocessor that cannot be used.
    """
    transformers = _transformers()
    source = str(source)
    config = _asked(source, "config.json", transformers.AutoConfig.from_pretrained)
    if config.model_type not in _MODELS:
        raise CheckpointError(f"{source}: expected a model of {', '.join(_MODELS)}, got one of {config.model_type}")
    labels = [str(config.id2label[index]) for index in range(len(config.id2label))]
    try:
        chosen = choose_label_map(labels, taxonomy, label_map)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    base = importlib.import_module("transformers.image_processing_base").ImageProcessingMixin
    settings, _ = _asked(source, "preprocessor_config.json", base.get_image_processor_dict)
    preparation = read_preparation(settings, config.model_type, source)
    network = _load_network(source, getattr(transformers, _MODELS[config.model_type]))
    task = _task(source, transformers, config.task_seq_len) if config.model_type == "oneformer" else None
    return HuggingFaceSegmenter(network.to(device), chosen, preparation, task)


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise ConfigError(
            f"segmenter hf: expected the package transformers, got none ({error}); install it with: "
            f"pip install 'sparse_s4r[huggingface]'"
        ) from error


def _asked(source: str, what: str, load: Any, **options: Any) -> Any:
    try:
        return load(source, **options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(
            f"{source}: expected a folder or a name on the Hugging Face hub with {what}, got none that can be read "
            f"({lines[0]}); without a network, download the model elsewhere and name its folder"
        ) from error


def _load_network(source: str, model: Any) -> nn.Module:
    network, info = _asked(source, "weights", model.from_pretrained, dtype=torch.float32, output_loading_info=True)
    # transformers fills what is missing with random numbers and goes on.
    missing = sorted(name for name in info["missing_keys"] if not name.startswith(_LOSS))
    mismatched = sorted(str(entry[0] if isinstance(entry, tuple) else entry) for entry in info["mismatched_keys"])
    for kind, names in (("missing", missing), ("of another shape", mismatched)):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise CheckpointError(
                f"{source}: expected all weights of {model.__name__}, got {len(names)} {kind}: "
                f"{', '.join(names[:_SHOWN])}{more}; take a model that was trained for segmentation"
            )
    result: nn.Module = network
    return result


def _task(source: str, transformers: Any, length: int) -> Tensor:
    tokenizer = _asked(source, "a tokenizer", transformers.AutoTokenizer.from_pretrained)
    tokens = tokenizer([_TASK], padding="max_length", max_length=length, truncation=True)
    return torch.tensor(tokens["attention_mask"]) * torch.tensor(tokens["input_ids"])
