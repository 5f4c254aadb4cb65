from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sparse_s4r.segmentation.class_list import load_class_list
from sparse_s4r.segmentation.hugging_face import HuggingFaceSegmenter, load_hugging_face_segmenter
from sparse_s4r.segmentation.hugging_face_images import ImagePreparation, read_preparation
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures.errors import CheckpointError, ConfigError, DataError

transformers = pytest.importorskip("transformers", reason="the extra huggingface is not installed")

ADE = load_class_list("ade150").names
COCO = load_class_list("coco133").names
KINDS = ("segformer", "mask2former", "oneformer")
PROCESSORS = {
    "segformer": "SegformerImageProcessor",
    "mask2former": "Mask2FormerImageProcessor",
    "oneformer": "OneFormerImageProcessor",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "segformer": {"size": {"height": 64, "width": 64}, "resample": 2},
    "mask2former": {"size": {"shortest_edge": 50, "longest_edge": 90}, "size_divisor": 32, "resample": 2},
    "oneformer": {"size": {"shortest_edge": 64, "longest_edge": 100}, "resample": 2},
}
COMMON = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def _backbone() -> Any:
    return transformers.SwinConfig(
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def _make(kind: str, labels: tuple[str, ...]) -> Any:
    """A tiny model with random weights, made surer than random weights are, so that labels do not hang on rounding."""
    torch.manual_seed(5)
    names = {"id2label": dict(enumerate(labels)), "label2id": {name: index for index, name in enumerate(labels)}}
    layers = {"encoder_layers": 1, "decoder_layers": 3, "num_attention_heads": 2, "dim_feedforward": 16}
    layers |= {"hidden_dim": 32, "encoder_feedforward_dim": 16, "num_queries": 20}
    if kind == "segformer":
        sizes = {"depths": [1] * 4, "hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 1, 2, 2]}
        config = transformers.SegformerConfig(**sizes, decoder_hidden_size=16, **names)
        model = transformers.SegformerForSemanticSegmentation(config)
    elif kind == "mask2former":
        sizes = {"feature_size": 32, "mask_feature_size": 32}
        config = transformers.Mask2FormerConfig(backbone_config=_backbone(), **sizes, **layers, **names)
        model = transformers.Mask2FormerForUniversalSegmentation(config)
    else:
        sizes = {"conv_dim": 32, "mask_dim": 32, "query_dec_layers": 1}
        config = transformers.OneFormerConfig(backbone_config=_backbone(), **sizes, **layers, **names)
        model = transformers.OneFormerForUniversalSegmentation(config)
    return _sharpen(model).eval()


def _sharpen(model: Any) -> Any:
    factors = {"decode_head.classifier.weight": 2000, "class_predictor.weight": 30, "class_embed.weight": 30}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            factor = next((value for end, value in factors.items() if name.endswith(end)), 1)
            weight *= 10 if "mask_embed" in name and weight.dim() == 2 else factor
            if "queries" in name:
                weight.normal_(std=3)
    return model


def _save(folder: Path, kind: str, labels: tuple[str, ...] = ADE) -> Any:
    model = _make(kind, labels)
    model.save_pretrained(folder)
    settings = {"image_processor_type": PROCESSORS[kind], **SETTINGS[kind], **COMMON}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    if kind == "oneformer":
        _save_tokenizer(folder)
    return model


def _save_tokenizer(folder: Path) -> None:
    """CLIP's tokenizer that knows letters only."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: index + 1 for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    made: dict[str, tuple[Path, Any]] = {}

    def get(kind: str) -> tuple[Path, Any]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = (folder, _save(folder, kind))
        return made[kind]

    return get


@pytest.fixture(scope="module")
def own_words(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A taxonomy of ADE20K's own classes, and the label map that leaves each what it is."""
    folder = tmp_path_factory.mktemp("ade")
    classes = [{"name": name, "color": [index, 0, 0]} for index, name in enumerate(ADE)]
    (folder / "taxonomy.yaml").write_text(json.dumps({"name": "own", "classes": classes}))
    same = {"name": "same", "classes": {name: [name] for name in ADE}, "ignored": []}
    (folder / "map.yaml").write_text(json.dumps(same))
    return str(folder / "taxonomy.yaml"), folder / "map.yaml"


def _smooth_image(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    coarse = torch.rand(1, 3, 5, 7, generator=generator)
    image = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return (image * 255).round() / 255


def _processor(kind: str) -> Any:
    options = {**SETTINGS[kind], **COMMON}
    return getattr(transformers, PROCESSORS[kind])(**options)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_those_of_transformers(
    kind: str, saved: Callable[[str], tuple[Path, Any]], own_words: tuple[str, Path]
) -> None:
    folder, model = saved(kind)
    segmenter = load_hugging_face_segmenter(folder, own_words[0], own_words[1])
    image = _smooth_image(70, 90)
    found = segmenter.probabilities(image)
    assert found.shape == (1, 150, 70, 90)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.sum(dim=1), torch.ones(1, 70, 90))

    inputs = {"pixel_values": segmenter._preparation.prepare(image)}
    if kind == "oneformer":
        text = "the task is semantic"
        letters = [27 + ord(c) - ord("a") + 2 if last else ord(c) - ord("a") + 3 for c, last in _letters(text)]
        inputs["task_inputs"] = torch.tensor([[1, *letters, 2, *[0] * (75 - len(letters))]])
    with torch.no_grad():
        outputs = model(**inputs)
    post_process = getattr(transformers, PROCESSORS[kind]).post_process_semantic_segmentation
    expected = post_process(None, outputs, target_sizes=[(70, 90)])[0]
    assert torch.equal(found[0].argmax(dim=0), expected)
    # Not everywhere the same, so that something could be in the wrong place.
    assert float(found[0].std(dim=(1, 2)).max()) > 0.02


def _letters(text: str) -> list[tuple[str, bool]]:
    return [(letter, index == len(word) - 1) for word in text.split() for index, letter in enumerate(word)]


@pytest.mark.parametrize("kind", ["segformer", "mask2former"])
@pytest.mark.parametrize("size", [(70, 90), (90, 70), (40, 120), (64, 64)])
def test_images_are_prepared_as_by_transformers(kind: str, size: tuple[int, int]) -> None:
    image = _smooth_image(*size)
    preparation = read_preparation({**SETTINGS[kind], **COMMON}, kind, "m")
    found = preparation.prepare(image)
    eight_bit = Image.fromarray((image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy())
    expected = torch.from_numpy(np.asarray(_processor(kind)(eight_bit)["pixel_values"][0]))
    assert found.shape[1:] == expected.shape
    # It rounds to 8 bits after each direction: half a level twice, which cancels over the image.
    level = 1 / 255 / 0.224
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1.01 * level)
    assert float((found[0] - expected).mean().abs()) < 0.05 * level


def test_probabilities_of_a_segformer_by_hand(saved: Callable[[str], tuple[Path, Any]]) -> None:
    folder, model = saved("segformer")
    segmenter = load_hugging_face_segmenter(str(folder), "matterport11")
    image = _smooth_image(64, 64)
    mean, std = (torch.tensor(COMMON[name]).view(1, 3, 1, 1) for name in ("image_mean", "image_std"))
    with torch.no_grad():
        logits = model(pixel_values=(image - mean) / std).logits
    shares = torch.nn.functional.interpolate(logits, size=(64, 64), mode="bilinear").softmax(dim=1)[0]
    target = load_taxonomy("matterport11").class_names
    sums = torch.zeros(12, 64, 64)
    for share, place in zip(shares, segmenter.label_map.targets, strict=True):
        sums[min(place, 11)] += share
    expected = sums[:11] / sums[:11].sum(dim=0) * (sums[:11].max(dim=0).values >= sums[11])
    found = segmenter.probabilities(image)[0]
    assert segmenter.class_names == target
    assert int((expected.sum(dim=0) > 0).sum()) > 0
    torch.testing.assert_close(found, expected)


def test_a_batch_and_a_model_of_coco(tmp_path: Path) -> None:
    _save(tmp_path, "mask2former", COCO)
    segmenter = load_hugging_face_segmenter(tmp_path, "scannet20")
    assert segmenter.label_map.name == "coco133-scannet20"
    images = torch.cat([_smooth_image(48, 60), 1 - _smooth_image(48, 60)])
    both = segmenter.probabilities(images)
    assert both.shape == (2, 20, 48, 60)
    torch.testing.assert_close(both[1:], segmenter.probabilities(images[1:]))
    total = both.sum(dim=1)
    assert bool(((total - 1).abs() < 1e-5).logical_or(total == 0).all())


def test_other_classes_ask_for_a_label_map(tmp_path: Path) -> None:
    _save(tmp_path, "segformer", ("cat", "dog"))
    with pytest.raises(DataError, match=r"network of 2 classes \(cat, dog, ...\).*write a label map"):
        load_hugging_face_segmenter(tmp_path, "scannet20")
    path = tmp_path / "mine.yaml"
    path.write_text("name: m\nclasses: {wall: [cat], floor: [], ceiling: [], object: [dog]}\nignored: []\n")
    found = load_hugging_face_segmenter(tmp_path, "structure", path).probabilities(_smooth_image(20, 30))[0]
    torch.testing.assert_close(found[1] + found[3], torch.ones(20, 30))
    assert float(found[1].std()) > 0


def test_weights_that_are_not_all_there_are_an_error(tmp_path: Path) -> None:
    model = _save(tmp_path, "segformer")
    weights = model.state_dict()
    kept = {name: weight for name, weight in weights.items() if not name.startswith("decode_head.classifier")}
    model.save_pretrained(tmp_path, state_dict=kept)
    with pytest.raises(CheckpointError, match=r"2 missing: decode_head\.classifier\.bias.*trained for segmentation"):
        load_hugging_face_segmenter(tmp_path, "scannet20")


def test_what_is_no_such_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match=r"none: expected a folder or a name on the Hugging Face hub with config"):
        load_hugging_face_segmenter(tmp_path / "none", "scannet20")
    transformers.SwinConfig().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="a model of segformer, mask2former, oneformer, got one of swin"):
        load_hugging_face_segmenter(tmp_path, "scannet20")
    _save(tmp_path, "segformer")
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json"):
        load_hugging_face_segmenter(tmp_path, "scannet20")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'sparse_s4r\[huggingface\]'"):
        load_hugging_face_segmenter(tmp_path, "scannet20")


@pytest.mark.parametrize(
    ("settings", "kind", "expected"),
    [
        ({"size": 640, "max_size": 2560}, "mask2former", (640, 864)),
        ({"size": {"shortest_edge": 800, "longest_edge": 1333}}, "oneformer", (800, 1066)),
        ({"size": {"shortest_edge": 800, "longest_edge": 900}}, "oneformer", (675, 900)),
        ({"size": 512}, "segformer", (512, 512)),
        ({"size": {"height": 384, "width": 640}}, "segformer", (384, 640)),
        ({"do_resize": False}, "segformer", (480, 640)),
        ({"size": {"shortest_edge": 480}, "size_divisor": 0}, "mask2former", (480, 640)),
    ],
)
def test_sizes(settings: dict[str, object], kind: str, expected: tuple[int, int]) -> None:
    assert read_preparation(settings, kind, "m").size(480, 640) == expected


def test_normalisation_can_be_switched_off() -> None:
    image = torch.full((1, 3, 4, 4), 0.5)
    plain = read_preparation({"do_resize": False, "do_normalize": False, "do_rescale": False}, "segformer", "m")
    torch.testing.assert_close(plain.prepare(image), torch.full((1, 3, 4, 4), 127.5))
    half = {"do_resize": False, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "rescale_factor": 1 / 127.5}
    torch.testing.assert_close(read_preparation(half, "segformer", "m").prepare(image), torch.full((1, 3, 4, 4), 2.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": {"max_height": 3, "max_width": 4}}, "expected height and width, or shortest_edge"),
        ({}, "expected height and width, or shortest_edge and longest_edge, got None"),
        ({"size": 5, "resample": 0}, "resample: expected 2"),
        ({"size": 5, "image_mean": [1]}, r"image_mean: expected three numbers, got \[1\]"),
        ({"size": 5, "rescale_factor": "x"}, "expected numbers as size_divisor and rescale_factor"),
    ],
)
def test_settings_that_are_not_understood(settings: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_preparation(settings, "segformer", "m")


def test_the_network_decides_the_device(saved: Callable[[str], tuple[Path, Any]]) -> None:
    folder, _ = saved("segformer")
    segmenter = load_hugging_face_segmenter(folder, "scannet15", device="meta")
    assert isinstance(segmenter, HuggingFaceSegmenter)
    assert isinstance(segmenter._preparation, ImagePreparation)
    assert {weight.device.type for weight in segmenter.network.parameters()} == {"meta"}
