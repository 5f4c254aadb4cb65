"""The installation of mseg-semantic's network, on a source made up here in the form of the published one."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import sys
import urllib.error
from pathlib import Path
from types import ModuleType

import pytest

_FOLDER = Path(__file__).parents[2] / "third_party" / "mseg"
_MODULES = ("install", "edits")
# Only the lines that the edits look for; what stands between them is not ours to keep here.
_NETWORK = """\
from pathlib import Path
import hydra
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import OmegaConf
from mseg_semantic.model.seg_hrnet_config import HRNetArchConfig, HRNetStageConfig

BatchNorm2d = torch.nn.SyncBatchNorm
_ROOT = Path(__file__).resolve().parent


def get_seg_model(config, criterion, n_classes, pre_stage_channels=(1, 2)):
    x = [torch.rand(1, 1, 4, 4)] * 4
    x1 = F.upsample(x[1], size=(2, 2), mode="bilinear")
    x2 = F.upsample(x[2], size=(2, 2), mode="bilinear")
    x3 = F.upsample(x[3], size=(2, 2), mode="bilinear")
    last_inp_channels = np.int(np.sum(pre_stage_channels))
    return config, n_classes, last_inp_channels, x1 + x2 + x3


def get_configured_hrnet(n_classes):
    with hydra.initialize_config_module(config_module="mseg_semantic.model"):
        cfg = hydra.compose(config_name="seg_hrnet.yaml")
        config = instantiate(cfg.HRNetArchConfig)

    criterion = nn.CrossEntropyLoss(ignore_index=255)
    return get_seg_model(config, criterion, n_classes)
"""
_CONFIG = """\
from dataclasses import dataclass


@dataclass
class HRNetStageConfig:
    NUM_MODULES: int
    NUM_CHANNELS: list


@dataclass
class HRNetArchConfig:
    STAGE1: HRNetStageConfig
    STAGE4: HRNetStageConfig
    FINAL_CONV_KERNEL: int
"""
_YAML = """\
HRNetArchConfig:
  _target_: mseg_semantic.model.seg_hrnet_config.HRNetArchConfig
  FINAL_CONV_KERNEL: 1
  STAGE1: {_target_: mseg_semantic.model.seg_hrnet_config.HRNetStageConfig, NUM_MODULES: 1, NUM_CHANNELS: [64]}
  STAGE4: {NUM_MODULES: 3, NUM_CHANNELS: [48, 96]}
"""
_FILES = {
    "LICENSE": "Made up\n",
    "mseg_semantic/model/__init__.py": "",
    "mseg_semantic/model/seg_hrnet.py": _NETWORK,
    "mseg_semantic/model/seg_hrnet.yaml": _YAML,
    "mseg_semantic/model/seg_hrnet_config.py": _CONFIG,
}
_USE = """\
import sys
sys.path.insert(0, sys.argv[1])
from mseg_semantic.model.seg_hrnet import get_configured_hrnet
config, classes, channels, logits = get_configured_hrnet(7)
print(config.FINAL_CONV_KERNEL, config.STAGE4.NUM_CHANNELS, config.STAGE1.NUM_MODULES, classes, channels, len(logits))
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, which imports its edits by their bare name."""
    monkeypatch.syspath_prepend(str(_FOLDER))
    for name in _MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    loaded = importlib.import_module("install")
    for name in _MODULES:
        del sys.modules[name]
    return loaded


@pytest.fixture
def source(tmp_path: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plain folder, and its hashes in the place of those of the published files."""
    for path, text in _FILES.items():
        file = tmp_path / "source" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    hashes = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in _FILES.items()}
    assert set(hashes) == set(script.FILES)
    monkeypatch.setattr(script, "FILES", hashes)
    return tmp_path / "source"


def test_what_is_laid_out_is_installed_and_runs_without_hydra(script: ModuleType, source: Path, tmp_path: Path) -> None:
    folder, target = tmp_path / "stage", tmp_path / "site"
    folder.mkdir()
    script.stage(folder, source)
    script.install(folder, target)
    result = subprocess.run([sys.executable, "-c", _USE, target], capture_output=True, text=True, check=False)
    assert result.stdout == "1 [48, 96] 1 7 3 1\n", result.stderr
    assert next(target.glob("mseg_semantic-*.dist-info/**/LICENSE")).read_text() == "Made up\n"


def test_the_pinned_commit_is_read_from_a_clone(
    script: ModuleType, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "published")
    monkeypatch.setattr(script, "COMMIT", git("rev-parse", "HEAD"))
    # What lies in the work tree, newer or changed, does not count.
    (source / "LICENSE").write_text("Changed\n")
    assert script.read_source("LICENSE", source) == b"Made up\n"
    assert script.read_source("LICENSE", source / ".git") == b"Made up\n"


def test_another_file_than_the_published_is_refused(script: ModuleType, source: Path, tmp_path: Path) -> None:
    (source / "LICENSE").write_text("Changed\n")
    with pytest.raises(script.InstallError, match=r"LICENSE of .*: expected the file of commit ac926175, got another"):
        script.stage(tmp_path, source)
    (source / "LICENSE").unlink()
    with pytest.raises(script.InstallError, match="or its unpacked archive, got a folder without LICENSE"):
        script.stage(tmp_path, source)
    with pytest.raises(script.InstallError, match="expected a folder, got none"):
        script.stage(tmp_path, tmp_path / "none")


def test_without_a_network_the_remedy_is_told(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(address: str, timeout: float) -> None:
        asked.append(address)
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(script.urllib.request, "urlopen", refuse)
    with pytest.raises(script.InstallError, match=r"could not be downloaded .*no network.*with --source"):
        script.read_source("LICENSE", None)
    commit = "ac926175edf7fe2e335445c93f74b362488743b0"
    assert asked == [f"https://raw.githubusercontent.com/mseg-dataset/mseg-semantic/{commit}/LICENSE"]


def test_each_text_must_stand_there_once(script: ModuleType, source: Path, tmp_path: Path) -> None:
    network = source / "mseg_semantic" / "model" / "seg_hrnet.py"
    for text, times in (("", 0), (_NETWORK + "import hydra\n", 2)):
        network.write_text(text)
        with pytest.raises(script.EditError, match=f"once, found it {times} times"):
            script.apply_edits(source, script.EDITS)
    assert all(edit.reason for edit in script.EDITS)
