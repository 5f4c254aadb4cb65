"""Labels made by any other program, read from image files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from sparse_s4r.segmentation.interface import one_hot
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame
from sparse_s4r.structures.errors import DataError

_MODES = ("L", "P", "I;16", "I;16B", "I")


class LabelImageSegmenter:
    """Reads ``FOLDER/NAME.png``, 8 or 16 bits per pixel, for the frame called NAME.

    Args:
        folder: Where the images are.
        class_names: Names of the K classes.
        classes_of_ids: Class of every value in the files, ``IGNORE_LABEL`` to ignore it; None if the values are the
            classes themselves and ``IGNORE_LABEL`` marks pixels without.

    Raises:
        DataError: No such folder, or a class out of range.
    """

    def __init__(
        self, folder: Path, class_names: tuple[str, ...], classes_of_ids: Mapping[int, int] | None = None
    ) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: expected a folder of label images, got none")
        if classes_of_ids is None:
            classes_of_ids = {**{index: index for index in range(len(class_names))}, IGNORE_LABEL: IGNORE_LABEL}
        for value, label in classes_of_ids.items():
            if label != IGNORE_LABEL and not 0 <= label < len(class_names):
                raise DataError(
                    f"label mapping: id {value}: expected a class below {len(class_names)} or {IGNORE_LABEL}, "
                    f"got {label}"
                )
        self._folder = folder
        self._class_names = class_names
        self._classes_of_ids = dict(classes_of_ids)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self._class_names

    def probabilities(self, frame: RGBDFrame) -> Tensor:
        """(K, H, W): 1 for the class in the file, 0 for all where there is none.

        Raises:
            DataError: Missing or unreadable image, another size than the frame's, or an id without a class.
        """
        path = self._folder / f"{frame.name}.png"
        ids = _load_ids(path)
        if ids.shape != tuple(frame.depth.shape):
            have, want = f"{ids.shape[1]}x{ids.shape[0]}", f"{frame.camera.width}x{frame.camera.height}"
            raise DataError(f"{path}: expected the frame's size {want}, got {have}; resample it by nearest neighbour")
        values, inverse = np.unique(ids, return_inverse=True)
        unknown = [int(value) for value in values if int(value) not in self._classes_of_ids]
        if unknown:
            raise DataError(
                f"{path}: expected ids with a class, got {unknown[0]} in {int((ids == unknown[0]).sum())} pixels; "
                f"add it to the label mapping or map it to {IGNORE_LABEL}"
            )
        table = torch.tensor([self._classes_of_ids[int(value)] for value in values])
        labels = table[torch.from_numpy(inverse.reshape(ids.shape))]
        return one_hot(labels, len(self._class_names))


def _load_ids(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.mode not in _MODES:
                raise DataError(f"{path}: expected a label image with one channel, got mode {image.mode}")
            return np.asarray(image).astype(np.int64)
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a label image for the frame {path.stem}, got none") from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected a readable image, got one that cannot be decoded ({error})") from error
