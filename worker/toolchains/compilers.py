"""What compilers print: a reader for each family turns its lines into places with a severity and a message.

The forms are those of the tools' own documents: gcc and clang (GNU Coding Standards, "Formatting Error Messages"),
javac, Maven's compiler plugin, MSBuild ("MSBuild and Visual Studio format for diagnostic messages"), rustc's human
format, the go command, tsc, eslint's `stylish`, and Python's tracebacks. A reader looks at one line at a time, keeps a
few values, and takes time that grows with the line's length only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

Family = Literal["gcc", "javac", "maven", "msbuild", "rustc", "go", "typescript", "eslint", "node", "python"]
Severity = Literal["warning", "error"]


@dataclass(frozen=True)
class Found:
    """One diagnostic as it was printed; line and column count from 1, None where the tool tells none."""

    severity: Severity
    file: str
    line: int | None
    column: int | None
    message: str
    code: str = ""


class Compiler(Protocol):
    """Reads the output of one tool."""

    def take(self, line: str) -> Found | None:
        """One line without colours and line feed: what it completes, if anything."""


_FILE = r"(?P<file>(?:[A-Za-z]:(?=[\\/]))?[^\s:][^:\n]{0,500}?)"
_GNU = re.compile(
    _FILE + r":(?P<line>\d{1,9}):(?:(?P<column>\d{1,9}):)? (?P<kind>fatal error|error|warning): (?P<message>.+)"
)
_UNDEFINED = re.compile(r"(?:\S{0,100}ld: )?" + _FILE + r":(?P<line>\d{1,9}): (?P<message>undefined reference to .+)")
_MAKE = re.compile(r"(?P<file>[^\s:]{1,500}):(?P<line>\d{1,9}): \*\*\* (?P<message>.+)")
_CMAKE = re.compile(r"CMake (?P<kind>Error|Warning)(?: \(dev\))? at (?P<file>[^:]{1,500}):(?P<line>\d{1,9})(?: \(|:|$)")
_GNU_CODE = re.compile(r" \[(-W[^\]\s]{1,80})\]$")
_JAVA_CODE = re.compile(r"\[(\w{1,40})\] ")
_MAVEN = re.compile(
    r"\[(?P<kind>ERROR|WARNING)\] (?P<file>[^\[\]\n]{1,500}):\[(?P<line>\d{1,9}),(?P<column>\d{1,9})\] "
    r"(?:error: )?(?P<message>.+)"
)
_MSBUILD = re.compile(
    r"\s*(?:\d{1,4}>)?(?P<file>[^\s(][^()\n]{0,500}?)"
    r"(?:\((?P<line>\d{1,9})(?:,(?P<column>\d{1,9}))?(?:,\d{1,9},\d{1,9})?\): | : )"
    r"(?P<kind>error|warning) (?P<code>[A-Z]{1,12}\d{1,6}) ?: (?P<message>.+)"
)
_PROJECT = re.compile(r" \[([^\[\]:]{1,1000}|[A-Za-z]:[^\[\]:]{1,1000})(?:::[^\[\]]{1,200})?\]$")
_RUST = re.compile(r"(?P<kind>warning|error)(?:\[(?P<code>\w{1,40})\])?: (?P<message>.+)")
_RUST_PLACE = re.compile(r"\s{0,20}--> (?P<file>(?:[A-Za-z]:)?[^:\n]{1,500}):(?P<line>\d{1,9}):(?P<column>\d{1,9})$")
_GO = re.compile(
    r"(?:vet: )?(?P<file>[^\s:][^:\n]{0,500}\.go):(?P<line>\d{1,9})(?::(?P<column>\d{1,9}))?: (?P<message>\S.*)"
)
_TSC = re.compile(
    r"(?P<file>[^\s(:][^(:\n]{0,500})"
    r"(?:\((?P<line>\d{1,9}),(?P<column>\d{1,9})\): |:(?P<line2>\d{1,9}):(?P<column2>\d{1,9}) - )"
    r"(?P<kind>error|warning) (?P<code>TS\d{1,6}): (?P<message>.+)"
)
_ESLINT_FILE = re.compile(r"(?:/|[A-Za-z]:\\)[^:*?\"<>|\n]{1,500}\.\w{1,10}$")
_ESLINT = re.compile(
    r"\s{1,20}(?P<line>\d{1,9}):(?P<column>\d{1,9})\s{1,20}(?P<kind>error|warning)\s{1,20}(?P<rest>\S.*)"
)
_NODE_PLACE = re.compile(r"(?:file://)?(?P<file>/[^\s:]{1,500}\.[cm]?[jt]sx?):(?P<line>\d{1,9})$")
_NODE_ERROR = re.compile(r"(?P<code>[A-Z]\w{0,60}Error)(?: \[\w{1,80}\])?: (?P<message>.+)")
_NODE_LINES_BETWEEN = 8
_PYTHON_PLACE = re.compile(r"\s{0,40}File \"(?P<file>[^\"<>\n]{1,500})\", line (?P<line>\d{1,9})")
_PYTHON_ERROR = re.compile(r"(?:Sorry: )?(?P<code>[A-Za-z_][\w.]{0,100}(?:Error|Exception))(?:: (?P<message>.*))?$")
_PYTHON_WARNING = re.compile(
    r"\s{0,20}(?P<file>[^\s:][^:\n]{0,500}\.py):(?P<line>\d{1,9}): (?P<code>\w{0,40}Warning): (?P<message>.+)"
)


class Gcc:
    """gcc, clang and their linkers, and what make and CMake say of their own files."""

    def __init__(self) -> None:
        self._of_cmake: tuple[Severity, str, int] | None = None

    def take(self, line: str) -> Found | None:
        """One line; CMake's message stands in the first line below its place."""
        if self._of_cmake is not None and line.strip():
            (severity, file, number), self._of_cmake = self._of_cmake, None
            return Found(severity, file, number, None, line.strip())
        if found := _CMAKE.match(line):
            self._of_cmake = (_severity(found["kind"]), found["file"], int(found["line"]))
            return None
        if found := _GNU.match(line):
            code = _GNU_CODE.search(found["message"])
            message = found["message"][: code.start()] if code else found["message"]
            return _made(found, _severity(found["kind"]), message, code[1] if code else "")
        if found := _UNDEFINED.match(line) or _MAKE.match(line):
            message = found["message"].rstrip().removesuffix("Stop.").rstrip().removesuffix(".")
            return Found("error", found["file"], int(found["line"]), None, message)
        return None


class Javac:
    """javac by itself: `A.java:3: error: …`, a lint's name in front of the message."""

    def take(self, line: str) -> Found | None:
        """One line."""
        found = _GNU.match(line)
        if found is None or not found["file"].endswith((".java", ".kt")):
            return None
        return _java(found, _severity(found["kind"]))


class Maven:
    """Maven's compiler plugin; it repeats each error at its end, so the same one comes twice."""

    def take(self, line: str) -> Found | None:
        """One line."""
        found = _MAVEN.match(line)
        return _java(found, _severity(found["kind"])) if found else None


class Msbuild:
    """MSBuild with csc, fsc, NuGet and whatever else it runs; a file lies beside the project in brackets at the end."""

    def take(self, line: str) -> Found | None:
        """One line."""
        found = _MSBUILD.match(line)
        if found is None:
            return None
        said = _made(found, _severity(found["kind"]), _PROJECT.sub("", found["message"]), found["code"])
        project = _PROJECT.search(found["message"])
        if project is None or said.file.startswith("/") or said.file[1:2] == ":":
            return said
        folder, slash, _ = project[1].replace("\\", "/").rpartition("/")
        return replace(said, file=f"{folder}{slash}{said.file}")


class Rustc:
    """rustc and clippy: the message first, its place in a line below."""

    def __init__(self) -> None:
        self._open: tuple[Severity, str, str] | None = None

    def take(self, line: str) -> Found | None:
        """One line; only the first place below a message is its own."""
        if found := _RUST.match(line):
            self._open = (_severity(found["kind"]), found["message"], found["code"] or "")
            return None
        if self._open is None or (found := _RUST_PLACE.match(line)) is None:
            return None
        (severity, message, code), self._open = self._open, None
        return _made(found, severity, message, code)


class Go:
    """The go command's compiler and vet, which know errors only."""

    def take(self, line: str) -> Found | None:
        """One line; what a test prints is indented and is none."""
        found = _GO.match(line)
        return _made(found, "error", found["message"]) if found else None


class Typescript:
    """tsc, plain and pretty."""

    def take(self, line: str) -> Found | None:
        """One line."""
        found = _TSC.match(line)
        if found is None:
            return None
        number, column = found["line"] or found["line2"], found["column"] or found["column2"]
        severity = _severity(found["kind"])
        return Found(severity, found["file"], int(number), int(column), found["message"], found["code"])


class Eslint:
    """eslint's `stylish`: a file's name, then a line for each problem, its rule at the end."""

    def __init__(self) -> None:
        self._file = ""

    def take(self, line: str) -> Found | None:
        """One line; an empty one ends a file."""
        if _ESLINT_FILE.match(line):
            self._file = line
            return None
        if not line.strip():
            self._file = ""
        found = _ESLINT.match(line) if self._file else None
        if found is None:
            return None
        message, _, rule = found["rest"].rstrip().rpartition("  ")
        place = int(found["line"]), int(found["column"])
        return Found(_severity(found["kind"]), self._file, *place, message.strip() or rule, rule if message else "")


class Node:
    """An error that ends node: its place, the line of the source, and some lines below it the message."""

    def __init__(self) -> None:
        self._place: tuple[str, int] | None = None
        self._left = 0

    def take(self, line: str) -> Found | None:
        """One line."""
        if found := _NODE_PLACE.match(line):
            self._place, self._left = (found["file"], int(found["line"])), _NODE_LINES_BETWEEN
            return None
        self._left -= 1
        if self._place is None or self._left < 0 or (found := _NODE_ERROR.match(line)) is None:
            return None
        (file, number), self._place = self._place, None
        return Found("error", file, number, None, found["message"], found["code"])


class Python:
    """A traceback's last place with the exception that ends it, also of what cannot be compiled; and warnings."""

    def __init__(self) -> None:
        self._place: tuple[str, int] | None = None

    def take(self, line: str) -> Found | None:
        """One line."""
        if found := _PYTHON_PLACE.match(line):
            self._place = (found["file"], int(found["line"]))
            return None
        if found := _PYTHON_WARNING.match(line):
            return _made(found, "warning", found["message"], found["code"])
        if self._place is None or (found := _PYTHON_ERROR.match(line)) is None:
            return None
        (file, number), self._place = self._place, None
        return Found("error", file, number, None, found["message"] or found["code"], found["code"])


_COMPILERS: Mapping[Family, Callable[[], Compiler]] = {
    "gcc": Gcc,
    "javac": Javac,
    "maven": Maven,
    "msbuild": Msbuild,
    "rustc": Rustc,
    "go": Go,
    "typescript": Typescript,
    "eslint": Eslint,
    "node": Node,
    "python": Python,
}
FAMILIES: tuple[Family, ...] = tuple(_COMPILERS)
"""Every family."""


def compiler_of(family: Family) -> Compiler:
    """A new reader for one command."""
    return _COMPILERS[family]()


def _severity(word: str) -> Severity:
    return "warning" if word.lower() == "warning" else "error"


def _made(found: re.Match[str], severity: Severity, message: str, code: str = "") -> Found:
    given = found.groupdict()
    number, column = given.get("line"), given.get("column")
    return Found(
        severity, given["file"], int(number) if number else None, int(column) if column else None, message, code
    )


def _java(found: re.Match[str], severity: Severity) -> Found:
    lint = _JAVA_CODE.match(found["message"])
    message = found["message"][lint.end() :] if lint else found["message"]
    return _made(found, severity, message, lint[1] if lint else "")
