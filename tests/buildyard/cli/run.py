"""Running a verb in this process, as the shell would."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildyard.cli.main import app
from tests.buildyard.cli.fake_server import FakeServer


class Ran:
    """What a verb left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs `buildyard` against a fake server."""

    def __init__(self, server: FakeServer, capture: pytest.CaptureFixture[str]) -> None:
        self.server = server
        self._capture = capture

    def __call__(self, *words: str) -> Ran:
        self._capture.readouterr()
        places = ("--api-url", self.server.url, "--scaler-url", self.server.url)
        with pytest.raises(SystemExit) as ended:
            app([*places, *words], prog_name="buildyard")
        out, err = self._capture.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Ran(code or 0, out, err)
