"""What `cargo test` prints: cargo's own lines, and between them what Rust's test programs (libtest) tell.

The forms are those of stable Rust (rust-lang/rust, library/test/src/formatters/pretty.rs). A program's counts are taken
from its `test result:` line, which holds even where tests print into the lines of others; names and messages come from
the sections below `failures:`. A program that ends without that line is a failure of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from buildyard.contracts.builds import CaseStatus
from buildyard.contracts.testing import MAX_CASES
from worker.toolchains.results import MAX_FAILURES, Counts, Results

_MAX_SECTION = 16 * 1024
_PROGRAM = re.compile(r" {1,12}Running (.{1,1000}) \((.{1,4000})\)")
_DOC_TESTS = re.compile(r" {1,12}Doc-tests (\S{1,200})")
_HASH = re.compile(r"-[0-9a-f]{16}(?:\.exe)?\Z")
_BEGINS = re.compile(r"running (\d{1,9}) tests?")
_VERDICT = re.compile(r"test (.{1,1000}?) \.\.\. (ok|FAILED|ignored)\b")
_STATUS: dict[str, CaseStatus] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
_RESULT = re.compile(
    r"test result: (?:ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored; (\d{1,9}) measured;"
)
_FINISHED = re.compile(r"; finished in (\d{1,9}\.\d{1,9})s")
_SECTION = re.compile(r"---- (.{1,1000}) stdout ----")
_CARGO_SAYS_FAILED = re.compile(r"error: (?:doc)?test failed, to rerun pass")
_PANIC = re.compile(r"thread '[^\n]{0,500}?' (?:\(\d+\) )?panicked at (\S[^\n]{0,400}?):(\d+):\d+:\n")
_OLD_PANIC = re.compile(
    r"thread '[^\n]{0,500}?' panicked at '(.{0,2000}?)', ([^\n']{1,400}?):(\d+):\d+$", re.DOTALL | re.MULTILINE
)
_NO_PANIC = re.compile(r"did not panic as expected at (\S{1,400}?):(\d+):\d+")
_AFTER_MESSAGE = re.compile(r"^(?:stack backtrace:|note: )", re.MULTILINE)


@dataclass
class _Program:
    """One test program, from cargo's line about it to the next."""

    name: str = "tests"
    expected: int | None = None
    """How many tests its open run announced; None outside of a run."""
    told: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=lambda: {word: [] for word in _STATUS})
    """The first names of each verdict in `told`."""
    failed: int = 0


class LibtestReader:
    """Reads the output of one `cargo test`."""

    def __init__(self) -> None:
        self._program = _Program()
        self._counts = Counts()
        self._listing = False
        self._names: list[str] = []
        self._sections: dict[str, list[str]] = {}
        self._section: list[str] | None = None
        self._room = 0

    def shown(self, raw: bytes) -> bytes:
        """Every line, as it is."""
        return raw

    def take(self, line: str) -> None:
        """One line of standard output or error."""
        if self._announces(line):
            return
        if self._program.expected is None:
            if _CARGO_SAYS_FAILED.match(line) and not self._program.failed:
                self._fail(self._program.name, "The test program failed.")
            return
        if (result := _RESULT.match(line)) and self._close(*(int(count) for count in result.groups())):
            took = _FINISHED.search(line)
            self._counts.took(self._program.name, float(took[1]) if took else 0.0)
            return
        if _CARGO_SAYS_FAILED.match(line):
            self._cut_short()
        else:
            self._inside(line)

    def results(self) -> Results:
        """The sum over all programs; a run that is still open was cut short."""
        if self._program.expected is not None:
            self._cut_short()
        return self._counts.results()

    def _announces(self, line: str) -> bool:
        """Whether the line begins a program or a run of one."""
        program, documents = _PROGRAM.fullmatch(line), _DOC_TESTS.fullmatch(line)
        begins = _BEGINS.fullmatch(line) if self._section is None else None
        if not (program or documents or begins):
            return False
        if self._program.expected is not None:
            self._cut_short()
        if program:
            file = re.split(r"[/\\]", program.group(2))[-1]
            self._program = _Program(_HASH.sub("", file))
        elif documents:
            self._program = _Program(f"doc-tests {documents.group(1)}")
        elif begins:
            self._program = _Program(self._program.name, int(begins.group(1)), failed=self._program.failed)
            self._forget()
        return True

    def _inside(self, line: str) -> None:
        """A line of a run: a verdict, a failure's output, or a name in the list of failures."""
        if section := _SECTION.fullmatch(line):
            self._listing, self._section = False, []
            if len(self._sections) < MAX_FAILURES:
                self._sections[section.group(1)] = self._section
            self._room = _MAX_SECTION
        elif line == "failures:":
            self._listing, self._section, self._names = True, None, []
        elif self._section is not None:
            if self._room > 0:
                self._section.append(line[: self._room])
                self._room -= len(line) + 1
        elif self._listing and line.startswith("    "):
            if len(self._names) < MAX_FAILURES:
                self._names.append(line.strip())
        elif verdict := _VERDICT.match(line):
            name, word = verdict.groups()
            self._program.told[word] += 1
            if len(self._program.names[word]) < MAX_CASES:
                self._program.names[word].append(name)

    def _close(self, passed: int, failed: int, ignored: int, measured: int) -> bool:
        """Take a program's own counts; a line that a test printed does not add up and is none."""
        if passed + failed + ignored + measured != self._program.expected:
            return False
        self._tell("ok", passed + measured)
        self._tell("ignored", ignored)
        self._program.failed += failed
        for name in self._names[:failed]:
            message, place = _told("\n".join(self._sections.get(name, ())))
            self._counts.fail(name, self._program.name, message, place)
        self._counts.unnamed("failed", failed - len(self._names[:failed]), self._program.name)
        self._program.expected = None
        self._forget()
        return True

    def _cut_short(self) -> None:
        """The program ended in the middle of a run: what it told counts, and its end is a failure."""
        program = self._program
        for word in _STATUS:
            self._tell(word, program.told[word])
        told = program.told.total()
        self._fail(program.name, f"The test program ended early: {told} of {program.expected} tests told their result.")
        program.expected = None
        self._forget()

    def _tell(self, word: str, number: int) -> None:
        """So many tests of a verdict, by name as far as their lines could be read."""
        names = self._program.names[word][:number]
        for name in names:
            if word == "FAILED":
                self._counts.fail(name, self._program.name)
            else:
                self._counts.note(_STATUS[word], name, self._program.name)
        self._counts.unnamed(_STATUS[word], number - len(names), self._program.name)

    def _fail(self, name: str, message: str) -> None:
        self._program.failed += 1
        self._counts.fail(name, message=message)

    def _forget(self) -> None:
        self._listing, self._names, self._sections, self._section, self._room = False, [], {}, None, 0


def _told(text: str) -> tuple[str, str]:
    """Message and place of a failure from what its test printed: the panic's; without a panic, all of it."""
    message, place = text, ""
    if panic := _PANIC.search(text):
        message, place = _AFTER_MESSAGE.split(text[panic.end() :], maxsplit=1)[0], f"{panic.group(1)}:{panic.group(2)}"
    elif old := _OLD_PANIC.search(text):
        message, place = old.group(1), f"{old.group(2)}:{old.group(3)}"
    elif expected := _NO_PANIC.search(text):
        place = f"{expected.group(1)}:{expected.group(2)}"
    return message, place
