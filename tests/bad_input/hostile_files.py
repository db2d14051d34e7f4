"""Files of a hostile source: configurations, names of artifacts, test reports."""

from __future__ import annotations

from worker.toolchains.contract import ReportKind

_DEEP = "[" * 5000

TOMLS: dict[str, tuple[str | bytes, str]] = {
    "no TOML": ("toolchain: make\n", "not TOML"),
    "cut off": ('toolchain = "ma', "not TOML"),
    "not UTF-8": (b'toolchain = "\xff"', "not UTF-8"),
    "UTF-16": ('toolchain = "make"'.encode("utf-16"), "not UTF-8"),
    "NUL": (b'toolchain = "a\0b"', "not TOML"),
    "a key twice": ('toolchain = "make"\ntoolchain = "python"\n', "not TOML"),
    "very deep": (f"a = {_DEEP}", "nested too deeply"),
    "key of 100,000 parts": ("a" + ".a" * 100_000 + " = 1", "too many dots"),
    "huge number": (f"a = {'9' * 5000}", "number that is too large"),
    "larger than a text": ("# " + "x" * 2**20 * 5, "larger than"),
    "unknown key": ("shell = true\n", "shell"),
    "unknown section": ("[secrets]\na = 1\n", "secrets"),
    "unknown stage": ("[stages.fetch]\nskip = true\n", "stages"),
    "command as one text": ('[stages.build]\ncommands = ["rm -rf /"]\n', "stages.build.commands"),
    "command of numbers": ("[stages.build]\ncommands = [[1]]\n", "stages.build.commands"),
    "empty command": ("[stages.build]\ncommands = [[]]\n", "stages.build.commands"),
    "NUL in an argument": ('[stages.build]\ncommands = [["a\\u0000b"]]\n', "NUL"),
    "51 commands": ("[stages.build]\ncommands = [" + '["true"], ' * 51 + "]\n", "stages.build.commands"),
    "201 arguments": ("[stages.build]\ncommands = [[" + '"x", ' * 201 + "]]\n", "stages.build.commands"),
    "argument of 5000 letters": ('[stages.build]\ncommands = [["' + "x" * 5000 + '"]]\n', "stages.build.commands"),
    "artifacts that climb": ('[artifacts]\npaths = ["../../etc/*"]\n', "relative path"),
    "absolute artifacts": ('[artifacts]\npaths = ["/etc/passwd"]\n', "relative path"),
    "artifacts on a drive": ('[artifacts]\npaths = ["C:/x"]\n', "relative path"),
    "artifacts with backslashes": ('[artifacts]\npaths = ["..\\\\x"]\n', "relative path"),
    "rows that climb": ('[batch]\nrows = "../rows.csv"\nrun = ["cat"]\n', "relative path"),
    "absolute rows": ('[batch]\nrows = "/etc/passwd"\nrun = ["cat"]\n', "relative path"),
    "batch without a program": ('[batch]\nrows = "rows.csv"\n', "batch.run"),
    "toolchain with a path": ('toolchain = "../../evil"\n', "toolchain"),
    "LD_PRELOAD": ('[environment]\nLD_PRELOAD = "/tmp/evil.so"\n', "no environment variable"),
    "ld_preload": ('[environment]\nld_preload = "/tmp/evil.so"\n', "no environment variable"),
    "DYLD": ('[environment]\nDYLD_INSERT_LIBRARIES = "x"\n', "no environment variable"),
    "our own": ('[environment]\nBUILDYARD_TOKEN = "x"\n', "no environment variable"),
    "variable with a line break": ('[environment]\n"A\\nB" = "x"\n', "no environment variable"),
    "variable with equals": ('[environment]\n"A=B" = "x"\n', "no environment variable"),
    "NUL in a variable": ('[environment]\nA = "a\\u0000b"\n', "NUL"),
    "101 variables": ("[environment]\n" + "".join(f'A{n} = "x"\n' for n in range(101)), "environment"),
}
"""A `buildyard.toml` -> words of the sentence that refuses it."""


def hostile_names() -> tuple[bytes, ...]:
    """Names a Linux disk can hold and nobody should have to: as bytes, relative, with `/` between folders."""
    return (
        b"a\nb.txt",
        b"a\r\nSet-Cookie: x",
        b"\x1b[2Jclear",
        b"-rf",
        b"--help",
        b"..\\..\\evil.txt",
        b"C:\\evil.txt",
        b"con",
        b"\xff\xfe.bin",
        b"...",
        b"  ",
        b" /x",
        b"..../x",
        b"a;b&c$d`e`",
        b"<img src=x>",
        b'q"uote',
        "\u202egnp.exe".encode(),
        "e\u0301 and \u00e9".encode(),
        "READ\u212ae".encode(),
        b"README",
        b"readme",
        b"Readme.d/x",
        b"%2e%2e%2fevil",
        b"x" * 255,
        b"/".join([b"d" * 200] * 8) + b"/deep",
    )


def _trx(inside: str) -> bytes:
    return f'<TestRun xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010">{inside}</TestRun>'.encode()


_LAUGHS = "".join(f'<!ENTITY l{{}} "{"&l{};" * 10}">'.format(n, *[n - 1] * 10) for n in range(1, 10))
_BILLION = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{_LAUGHS}]>'
_QUADRATIC = f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>'
_EXTERNAL = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
_FROM_NET = '<!DOCTYPE x SYSTEM "http://169.254.169.254/x.dtd">'

REPORTS: dict[str, tuple[ReportKind, bytes, str]] = {
    "JUnit, billion laughs": ("junit", f"{_BILLION}<testsuite>&l9;</testsuite>".encode(), "report.xml"),
    "trx, billion laughs": ("trx", f"{_BILLION}<TestRun>&l9;</TestRun>".encode(), "report.xml"),
    "JUnit, quadratic": ("junit", f"{_QUADRATIC}<testsuite>{'&a;' * 10_000}</testsuite>".encode(), "report.xml"),
    "JUnit, external": ("junit", f"{_EXTERNAL}<testsuite>&e;</testsuite>".encode(), "report.xml"),
    "trx, external": ("trx", f"{_EXTERNAL}<TestRun>&e;</TestRun>".encode(), "report.xml"),
    "JUnit, document type from the net": ("junit", f"{_FROM_NET}<testsuite/>".encode(), "report.xml"),
    "trx, parameter entity": ("trx", b'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///x"> %p;]><TestRun/>', "report.xml"),
    "JUnit, very deep": ("junit", b"<testsuite>" * 100_000, "report.xml"),
    "trx, very deep": ("trx", _trx("<a>" * 100_000), "report.xml"),
    "JUnit, cut off": ("junit", b'<testsuite tests="1"><testcase name="a">', "report.xml"),
    "JUnit, nothing": ("junit", b"", "report.xml"),
    "JUnit, no XML": ("junit", b"\x00\x01\x02", "report.xml"),
    "JUnit, HTML": ("junit", b"<html><body>404</body></html>", "report.xml"),
    "trx, JUnit": ("trx", b"<testsuite/>", "report.xml"),
    "JUnit, not UTF-8": ("junit", b'<testsuite name="\xff"/>', "report.xml"),
    "JUnit, unknown encoding": ("junit", b'<?xml version="1.0" encoding="x-evil"?><testsuite/>', "report.xml"),
    "JUnit, too large": ("junit", b"<testsuite>" + b" " * (65 * 2**20), "report.xml"),
}
