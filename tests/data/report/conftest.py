from __future__ import annotations

from pathlib import Path

import pytest

from sparse_s4r.data.readers import Capture
from tests.data.report.rooms import write_room


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    folder: Path = tmp_path_factory.mktemp("rooms") / "room"
    return write_room(folder, 3)
