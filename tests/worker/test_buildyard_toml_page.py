from __future__ import annotations

import re
from pathlib import Path

from buildyard.project.call_section import BreakerSection, CallOptions
from buildyard.project.configuration import BuildyardToml, CallSection
from buildyard.project.reading import read_buildyard_toml
from worker.toolchains import TOOLCHAINS

_DOCS = Path(__file__).parents[2] / "docs"
_PAGE = (_DOCS / "buildyard-toml.md").read_text(encoding="utf-8")
_CALLS = (_DOCS / "calls.md").read_text(encoding="utf-8")


def test_the_pages_example_is_read_and_names_every_key() -> None:
    example, calls = re.findall(r"```toml\n(.*?)```", _PAGE, re.DOTALL)
    config, calling = read_buildyard_toml(example), read_buildyard_toml(calls)

    assert config.batch is not None
    assert config.batch.run == ("python3", "handle.py")
    assert set(BuildyardToml.model_fields) == config.model_fields_set | calling.model_fields_set
    assert all(toolchain.name in example for toolchain in TOOLCHAINS)


def test_the_page_of_calls_names_every_key_with_its_default() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", _CALLS, re.DOTALL)
    call = read_buildyard_toml(example).call

    assert call is not None
    assert set(CallSection.model_fields) == call.model_fields_set
    assert set(BreakerSection.model_fields) == call.breaker.model_fields_set
    own = {"rows", "url", "method", "headers", "body", "fields", "burst"}
    assert call.model_dump(exclude=own) == CallOptions().model_dump(exclude=own)
