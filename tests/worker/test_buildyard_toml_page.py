from __future__ import annotations

import re
from pathlib import Path

from worker.toolchains import TOOLCHAINS
from worker.toolchains.configuration import BuildyardToml, read_buildyard_toml

_PAGE = (Path(__file__).parents[2] / "docs" / "buildyard-toml.md").read_text(encoding="utf-8")


def test_the_pages_example_is_read_and_names_every_key() -> None:
    example = re.findall(r"```toml\n(.*?)```", _PAGE, re.DOTALL)[0]
    config = read_buildyard_toml(example)

    assert config.batch is not None
    assert config.batch.run == ("python3", "handle.py")
    assert set(BuildyardToml.model_fields) == config.model_fields_set
    assert all(toolchain.name in example for toolchain in TOOLCHAINS)
