"""The events of `go test -json`, one JSON object in each line, as `go doc test2json` and `go help buildjson` list them.

Packages are the suites. A test that ran subtests is counted through them, unless it failed by itself. A package that
failed though none of its tests did (it cannot be compiled, or exits early) is one failed test of its own name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from worker.toolchains.results import Counts, Results

_ENDS = frozenset({"pass", "fail", "skip"})
_MOST_OPEN = 20_000
"""Events of more tests or builds than that at one time are shown, and the further ones are not counted."""
_MOST_KEPT = 16 * 1024
_FRAME = re.compile(r"=== (?:RUN|PAUSE|CONT|NAME)\b|\s*--- (?:PASS|FAIL|SKIP|BENCH): |(?:FAIL|ok|PASS|exit status)\b")
_PLACE = re.compile(r"^(?:\s+([^\s:]+\.go:\d+): |([^\s:]+\.go:\d+):\d+: |\t(\S+_test\.go:\d+) )", re.MULTILINE)


@dataclass
class _Open:
    """A test, a package or a build that has not ended; the text is the beginning of what it printed."""

    text: list[str] = field(default_factory=list)
    length: int = 0
    has_inner: bool = False
    inner_failed: bool = False

    def add(self, output: str) -> None:
        if self.length < _MOST_KEPT and not _FRAME.match(output):
            self.text.append(output[: _MOST_KEPT - self.length])
            self.length += len(output)


class GoTests:
    """Reads the events of one command."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._open: dict[str, dict[str, _Open]] = {}  # by package, then by test; "" is the package itself
        self._number = 0
        self._builds: dict[str, _Open] = {}

    def shown(self, raw: bytes) -> bytes | None:
        """Takes an event, of which the log shows the text alone."""
        event = _event(raw)
        if event is None:
            return raw
        output = event.get("Output", "") if event["Action"] in {"output", "build-output"} else ""
        if event["Action"] == "build-output":
            self._build(event.get("ImportPath", "")).add(output)
        elif "Package" in event:
            self._test(event, output)
        return output.rstrip("\n").encode("utf-8", "replace") if output else None

    def take(self, line: str) -> None:
        """Nothing: the text of an event no longer tells whose it is."""
        del line

    def results(self) -> Results:
        """All that was told; tests that never ended failed."""
        for package in list(self._open):
            self._end_unfinished(package)
        return self._counts.results()

    def _build(self, path: str) -> _Open:
        if len(self._builds) >= _MOST_OPEN:
            return _Open()
        return self._builds.setdefault(path, _Open())

    def _test(self, event: dict[str, str], output: str) -> None:
        package, test, action = event["Package"], event.get("Test", ""), event["Action"]
        seconds = _elapsed(event)
        if action in _ENDS and not test:
            self._end_package(package, event, seconds, failed=action == "fail")
        elif action in _ENDS:
            self._end_test(package, test, action, seconds)
        elif action in {"run", "output", "start"}:
            known = self._known(package, test, opens=action != "output" or not test)
            if known is not None:
                known.add(output)

    def _known(self, package: str, test: str, *, opens: bool) -> _Open | None:
        tests = self._open.get(package, {})
        if test in tests or not opens or self._number >= _MOST_OPEN:
            return tests.get(test)
        self._number += 1
        parent = tests.get(test.rpartition("/")[0]) if "/" in test else None
        if parent is not None:
            parent.has_inner = True
        return self._open.setdefault(package, {}).setdefault(test, _Open())

    def _end_test(self, package: str, test: str, action: str, seconds: float) -> None:
        tests = self._open.get(package, {})
        ended = tests.pop(test, None)
        if ended is None:
            return
        self._number -= 1
        if action == "fail":
            for outer in ("", *_outer_names(test)):
                if outer in tests:
                    tests[outer].inner_failed = True
        if ended.has_inner and (action != "fail" or ended.inner_failed):
            return
        if action == "fail":
            self._fail(package, test, ended, seconds)
        else:
            self._counts.note("skipped" if action == "skip" else "passed", test, package, seconds)

    def _end_package(self, package: str, event: dict[str, str], seconds: float, *, failed: bool) -> None:
        if failed:
            self._end_unfinished(package)
        tests = self._open.pop(package, {})
        self._number -= len(tests)
        ended = tests.get("", _Open())
        if failed and not ended.inner_failed:
            built = self._builds.get(event.get("FailedBuild", ""))
            self._fail(package, package, built or ended, seconds)
        self._counts.took(package, seconds)

    def _end_unfinished(self, package: str) -> None:
        """Inner tests first, so that they are not counted a second time by the outer ones."""
        for test in sorted((name for name in self._open.get(package, {}) if name), key=len, reverse=True):
            self._end_test(package, test, "fail", 0.0)

    def _fail(self, package: str, name: str, ended: _Open, seconds: float) -> None:
        text = "".join(ended.text)
        found = _PLACE.search(text)
        place = next((group for group in found.groups() if group), "") if found else ""
        self._counts.fail(name, package if name != package else "", text, place, seconds)


def _outer_names(test: str) -> list[str]:
    """`a/b` and `a` for `a/b/c`; of a name of absurdly many parts the outermost only."""
    parts = test.split("/")[:100]
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _event(line: bytes) -> dict[str, str] | None:
    """The texts of an event, its seconds as text too; None where the line is none."""
    if not line.startswith(b"{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("Action"), str):
        return None
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    if isinstance(found.get("Elapsed"), int | float):
        texts["Elapsed"] = str(float(found["Elapsed"])) if abs(found["Elapsed"]) < _LONGEST else ""
    return texts


_LONGEST = 1e9


def _elapsed(event: dict[str, str]) -> float:
    try:
        seconds = float(event.get("Elapsed", ""))
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < _LONGEST else 0.0
