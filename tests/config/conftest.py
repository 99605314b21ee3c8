from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import Settings, load
from tests.support.configuration import CATALOGUE, Read


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads the text as config.yaml."""
    monkeypatch.chdir(tmp_path)

    def read(text: str) -> Settings:
        Path("config.yaml").write_text(text)
        return load("config.yaml", CATALOGUE)

    return read
