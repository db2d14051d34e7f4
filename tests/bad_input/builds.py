"""Requests for builds: broken JSON, forbidden repositories, refs and paths, properties that load code, odd times."""

from __future__ import annotations

from typing import Any

from tests.bad_input.cases import group
from tests.bad_input.raw_http import post_json, request

_TARGET = "/api/v1/builds"
_REPOSITORY = "https://github.com/owner/name"
_JSON_IN_CHUNKS = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
_BAD, _WRONG = "unreadable_body", "invalid_request"


def build(around: dict[str, Any] | None = None, **job: Any) -> bytes:
    """A request for a build of an allowed repository with some fields changed."""
    return post_json(_TARGET, {"job": {"repositoryUrl": _REPOSITORY, **job}, **(around or {})})


def _raw(body: bytes, kind: str | None = "application/json") -> bytes:
    return post_json(_TARGET, body, kind)


def _job(text: str) -> bytes:
    return _raw(b'{"job": {"repositoryUrl": "https://github.com/owner/name", %b}}' % text.encode())


JSON = group(
    "JSON",
    [
        ("nothing", _raw(b""), 422, _WRONG, "body is missing"),
        ("no content type", _raw(b"{}", None), 415, "unsupported_type", "not said to be JSON"),
        ("said to be text", _raw(b"{}", "text/plain"), 415, "unsupported_type", "not said to be JSON"),
        ("said to be a form", _raw(b"{}", "application/x-www-form-urlencoded"), 415, "unsupported_type", "JSON"),
        ("a word", _raw(b"build it"), 400, _BAD, "not JSON"),
        ("cut off", _raw(b'{"job": {'), 400, _BAD, "not JSON"),
        ("trailing comma", _raw(b'{"job": {},}'), 400, _BAD, "not JSON"),
        ("comment", _raw(b'{"job": {}} // please'), 400, _BAD, "not JSON"),
        ("two documents", _raw(b"{}{}"), 400, _BAD, "not JSON"),
        ("single quotes", _raw(b"{'job': {}}"), 400, _BAD, "not JSON"),
        ("Latin-1", _raw(b'{"job": "\xe4"}'), 400, _BAD, "not UTF-8"),
        ("UTF-16", _raw('{"job": {}}'.encode("utf-16")), 400, _BAD, "not UTF-8"),
        ("byte order mark", _raw(b'\xef\xbb\xbf{"job": {}}'), 400, _BAD, "not JSON"),
        ("line break in a text", _raw(b'{"job": "a\nb"}'), 400, _BAD, "Invalid control character at line"),
        ("a list", _raw(b"[]"), 422, _WRONG, "body must be an object"),
        ("a text", _raw(b'"job"'), 422, _WRONG, "body must be an object"),
        ("null", _raw(b"null"), 422, _WRONG, "body"),
        ("true", _raw(b"true"), 422, _WRONG, "body must be an object"),
        ("a name twice", _raw(b'{"job": {}, "job": {}}'), 400, _BAD, "'job' twice"),
        ("a name twice inside", _job('"gitRef": "a", "gitRef": "b"'), 400, _BAD, "'gitRef' twice"),
        ("NaN", _job('"timeoutMinutes": NaN'), 400, _BAD, "NaN, which is no JSON number"),
        ("Infinity", _job('"timeoutMinutes": Infinity'), 400, _BAD, "Infinity"),
        ("-Infinity", _job('"timeoutMinutes": -Infinity'), 400, _BAD, "-Infinity"),
        ("1e999", _job('"timeoutMinutes": 1e999'), 400, _BAD, "too large"),
        ("-1e999", _job('"timeoutMinutes": -1e999'), 400, _BAD, "too large"),
        ("400 digits", _job('"rowsPerJob": ' + "9" * 400), 400, _BAD, "too large"),
        ("100,000 digits", _job('"rowsPerJob": ' + "9" * 100_000), 400, _BAD, "too large"),
        ("2 to the 63", _job(f'"rowsPerJob": {2**63}'), 400, _BAD, "too large"),
        ("deep lists", _raw(b"[" * 200_000), 400, _BAD, "nested too deep"),
        ("deep objects", _raw(b'{"a":' * 100_000), 400, _BAD, "nested too deep"),
        ("half a surrogate pair", _job(r'"projectName": "\ud800"'), 400, _BAD, "surrogate"),
        ("half a surrogate pair as a name", _job(r'"\udfff": 1'), 400, _BAD, "surrogate"),
        ("escaped NUL", _job(r'"projectName": "a\u0000b"'), 400, _BAD, "NUL"),
        ("escaped NUL in metadata", _job(r'"metadata": {"a": "\u0000"}'), 400, _BAD, "NUL"),
        ("2 MB", _raw(b" " * 2**21), 413, "too_large", "larger than 1048576 bytes"),
        ("2 MB in chunks", request("POST", _TARGET, _JSON_IN_CHUNKS)
         + b"200000\r\n" + b" " * 2**21 + b"\r\n0\r\n\r\n", 413, "too_large", "larger than 1048576 bytes"),
        ("unknown field around", build({"priorty": "High"}), 422, _WRONG, "priorty is not a known field"),
        ("unknown field inside", build(colour="red"), 422, _WRONG, "job.colour is not a known field"),
        ("__proto__", build(__proto__={"admin": True}), 422, _WRONG, "not a known field"),
        ("role", build({"role": "admin"}), 422, _WRONG, "role is not a known field"),
        ("long unknown field", build({"x" * 5000: 1}), 422, _WRONG, "not a known field"),
        ("job is a list", post_json(_TARGET, {"job": []}), 422, _WRONG, "job must be an object"),
        ("job is a text", post_json(_TARGET, {"job": "x"}), 422, _WRONG, "job must be an object"),
        ("job is null", post_json(_TARGET, {"job": None}), 422, _WRONG, "job must be an object"),
        ("no repository", post_json(_TARGET, {"job": {}}), 422, _WRONG, "names no repository"),
        ("nothing at all", post_json(_TARGET, {}), 422, _WRONG, "names no repository"),
        ("repository is a list", build(repositoryUrl=[_REPOSITORY]), 422, _WRONG, "job.repositoryUrl must be text"),
        ("ref is an object", build(gitRef={"a": 1}), 422, _WRONG, "job.gitRef must be text"),
        ("runTests is a word", build(runTests="maybe"), 422, _WRONG, "job.runTests must be true or false"),
        ("runTests is a number", build(runTests=0), 422, _WRONG, "job.runTests must be true or false"),
        ("runTests is a list", build(runTests=[]), 422, _WRONG, "job.runTests must be true or false"),
        ("metadata is a list", build(metadata=["a"]), 422, _WRONG, "job.metadata must be an object"),
        ("metadata of numbers", build(metadata={"a": 1}), 422, _WRONG, "job.metadata.a must be text"),
        ("101 entries of metadata", build(metadata={str(n): "" for n in range(101)}), 422, _WRONG, "more than 100"),
        ("unknown strategy", build({"strategy": "yolo"}), 422, _WRONG, "strategy must be one of"),
        ("unknown priority", build({"priority": "Urgent"}), 422, _WRONG, "priority must be one of"),
        ("priority is a number", build({"priority": 3}), 422, _WRONG, "priority must be one of"),
        ("unknown pool", build({"targetPool": "Windows"}), 422, _WRONG, "There is no pool 'Windows'"),
        ("pool with a path", build({"targetPool": "../linux"}), 422, _WRONG, "targetPool"),
        ("project with a line break", build(projectName="a\nb"), 422, _WRONG, "job.projectName"),
        ("project with markup", build(projectName="<b>"), 422, _WRONG, "job.projectName"),
        ("project of 200 letters", build(projectName="x" * 200), 422, _WRONG, "job.projectName"),
        ("configuration with a switch", build(configuration="Release;x"), 422, _WRONG, "job.configuration"),
        ("framework with a switch", build(targetFramework="net8.0 -p:X=1"), 422, _WRONG, "job.targetFramework"),
        ("runtime with a quote", build(runtimeIdentifier='linux"'), 422, _WRONG, "job.runtimeIdentifier"),
        ("toolchain with a path", build(toolchain="../../x"), 422, _WRONG, "job.toolchain"),
        ("no rows a job", build(rowsPerJob=0), 422, _WRONG, "job.rowsPerJob must be at least 1"),
        ("truth as a number of rows", build(rowsPerJob=True), 422, _WRONG, "job.rowsPerJob must be a whole number"),
        ("half a row a job", build(rowsPerJob=0.5), 422, _WRONG, "job.rowsPerJob must be a whole number"),
    ],
)  # fmt: skip

TIMES = group(
    "timeout",
    [
        ("negative", build(timeoutMinutes=-1), 422, _WRONG, "job.timeoutMinutes must be more than 0"),
        ("zero", build(timeoutMinutes=0), 422, _WRONG, "job.timeoutMinutes must be more than 0"),
        ("minus zero", _job('"timeoutMinutes": -0.0'), 422, _WRONG, "must be more than 0"),
        ("above the farm's", build(timeoutMinutes=121), 422, _WRONG, "above this farm's longest build of 120 min"),
        ("a million years", build(timeoutMinutes=5.2e11), 422, _WRONG, "job.timeoutMinutes must be at most 10080"),
        ("`NaN`", build(timeoutMinutes="NaN"), 422, _WRONG, "job.timeoutMinutes must be a finite number"),
        ("`inf`", build(timeoutMinutes="inf"), 422, _WRONG, "job.timeoutMinutes must be a finite number"),
        ("truth", build(timeoutMinutes=True), 422, _WRONG, "job.timeoutMinutes must be a number"),
        ("a list", build(timeoutMinutes=[1]), 422, _WRONG, "job.timeoutMinutes must be a number"),
        ("a word", build(timeoutMinutes="1h"), 422, _WRONG, "job.timeoutMinutes must be a number"),
    ],
)

SPELLED: dict[str, str] = {
    "ext": "ext::sh -c touch% /tmp/pwned",
    "EXT": "EXT::sh -c true",
    "fd": "fd::17",
    "option": "--upload-pack=touch /tmp/pwned",
    "short option": "-h",
    "ssh password": "ssh://git:hunter2@github.com/a/b",
    "ssh path up": "ssh://git@github.com/../a",
    "ssh option": "ssh://-oProxyCommand=true/x",
    "scp path option": "git@github.com:-oProxyCommand=true",
    "scp option": "git@-oProxyCommand=true:x",
    "git": "git://github.com/a/b",
    "ftp": "ftp://github.com/a/b",
    "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
    "data": "data:text/plain,x",
    "javascript": "javascript:alert(1)",
    "relative": "../../secret",
    "tilde": "~/repository",
    "Windows": "C:\\repository",
    "share": "\\\\host\\share",
    "blank": " ",
    "no host": "https:///github.com/a/b",
    "no path": "https://github.com",
    "one slash": "https:/github.com/a/b",
    "leading space": " https://github.com/a/b",
    "line break": "https://github.com/a/b\nHost: evil",
    "carriage return": "https://github.com/a\r\nX: y",
    "password": "https://user:hunter2@github.com/a/b",
    "password with at": "https://user:hunt@er2@github.com/a/b",
    "password with slash": "https://user:hunter2/x@github.com/a/b",
    "password without scheme": "user:hunter2@github.com:a/b",
    "host in the user name": "https://github.com@evil.example/a/b",
    "backslash": "https://github.com\\@evil.example/a/b",
    "fragment": "https://github.com/a/b#@evil.example",
    "query": "https://github.com/a/b?x=--upload-pack",
    "percent": "https://github.com/%2e%2e/b",
    "unicode dots": "https://github\u3002com/a/b",
    "wide letters": "https://\uff47ithub.com/a/b",
    "soft hyphen": "https://git\u00adhub.com/a/b",
    "port of no number": "https://github.com:https/a",
    "zone": "https://[fe80::1%25eth0]/a/b",
}
"""Addresses that are none, or of no kind that is fetched."""

ELSEWHERE: dict[str, str] = {
    "another host": "https://evil.example/a/b",
    "a longer name": "https://github.com.evil.example/a/b",
    "a shorter name": "https://hub.com/a/b",
    "a trailing dot": "https://x.github.com/a/b",
    "without TLS": "http://github.com/a/b",
    "another port": "https://github.com:8443/a/b",
    "loopback": "http://127.0.0.1:15672/api",
    "loopback, with TLS": "https://127.0.0.1/a/b",
    "loopback by name": "https://localhost/a/b",
    "IPv6 loopback": "http://[::1]/a/b",
    "IPv4 in IPv6": "http://[::ffff:10.0.0.1]/a/b",
    "hexadecimal": "http://0x7f000001/a/b",
    "decimal": "http://2130706433/a/b",
    "short": "http://127.1/a/b",
    "zero": "http://0/a/b",
    "metadata by address": "http://169.254.169.254/latest/meta-data",
    "metadata by name": "http://metadata.google.internal/computeMetadata/v1",
    "port 0": "https://github.com:0/a/b",
    "port 99999": "https://github.com:99999/a/b",
    "file": "file:///etc/passwd",
    "path": "/etc/passwd",
    "path of this farm": "/proc/self/environ",
}
"""Addresses that could be fetched, and may not be."""

REFS: dict[str, str] = {
    "option": "--upload-pack=touch /tmp/pwned",
    "short option": "-h",
    "double dash": "--",
    "climbing": "refs/heads/../x",
    "range": "a..b",
    "reflog": "@{-1}",
    "reflog by name": "main@{1}",
    "search": "HEAD^{/x}",
    "parent": "HEAD~1",
    "colon": "main:secret",
    "refspec": "+main:refs/heads/x",
    "star": "refs/heads/*",
    "empty": "",
    "blank": " ",
    "line break": "main\nrm -rf /",
    "shell": "$(id)",
    "lock": "main.lock",
    "hidden": "a/.b",
    "trailing slash": "main/",
    "unicode": "ma\u0131n",
    "backslash": "a\\b",
}

_FOLDERS = ("OutDir", "PUBLISHDIR", "IntermediateOutputPath")
_SENTENCE_OF_A_PATH = "must be a relative path within the source"
_PATHS = {
    "climbing": "../../etc/passwd",
    "climbing inside": "a/../../b.sln",
    "climbing in Windows' way": "..\\..\\b.sln",
    "absolute": "/etc/passwd",
    "drive": "C:\\x.sln",
    "drive without slash": "C:x.sln",
    "share": "\\\\host\\x.sln",
    "home": "~/x.sln",
    "line break": "a\nb.sln",
    "blank": " ",
}
_VALUES = {
    "semicolon": "a;OutDir=/",
    "quote": 'a"',
    "escape": "a%3Bb",
    "property": "$(Registry:HKEY_LOCAL_MACHINE)",
    "function": "$([System.IO.File]::ReadAllText('/etc/passwd'))",
    "item": "@(Compile)",
    "line break": "a\nb",
    "carriage return": "a\rb",
    "escape code": "a\x1b[2J",
}
_NAMES = {
    "empty": "",
    "space": "A B",
    "switch": "-p:X",
    "slash": "/t:Clean",
    "response file": "@evil.rsp",
    "equals": "A=B",
    "semicolon": "A;B",
    "dot": "A.B",
    "digit first": "1A",
    "another alphabet": "Cu\u017ftomBefore",
    "long": "A" * 101,
}
_LOADING = (
    "CustomBeforeMicrosoftCommonProps",
    "CUSTOMAFTERMICROSOFTCOMMONTARGETS",
    "DirectoryBuildPropsPath",
    "LanguageTargets",
    "MSBuildProjectExtensionsPath",
    "CscToolPath",
    "PreBuildEvent",
    "RestoreSources",
    "VSTestTestAdapterPath",
    "SHELL",
    "CMAKE_TOOLCHAIN_FILE",
)

GIT = (
    *group("address", ((n, build(repositoryUrl=u), 422, _WRONG, "address") for n, u in SPELLED.items())),
    *group("address", ((n, build(repositoryUrl=u), 403, "forbidden", "not allowed") for n, u in ELSEWHERE.items())),
    *group("address", [("empty", build(repositoryUrl=""), 422, _WRONG, "names no repository")]),
    *group("address", [("64 KB", build(repositoryUrl=_REPOSITORY + "x" * 65_536), 422, _WRONG, "longer than 2048")]),
    *group("ref", ((n, build(gitRef=r), 422, _WRONG, "not the plain name of a branch") for n, r in REFS.items())),
    *group("ref", [("10,000 letters", build(gitRef="a" * 10_000), 422, _WRONG, "longer than 255 characters")]),
)  # fmt: skip
PROPERTIES = (
    *group("solutionPath", ((n, build(solutionPath=p), 422, _WRONG, _SENTENCE_OF_A_PATH) for n, p in _PATHS.items())),
    *group("solutionPath", [("5000 letters", build(solutionPath="a" * 5000), 422, _WRONG, "longer than 1024")]),
    *group("value", ((n, build(buildProperties={"A": v}), 422, _WRONG, "holds one of") for n, v in _VALUES.items())),
    *group("value", [("2000 letters", build(buildProperties={"A": "x" * 2000}), 422, _WRONG, "longer than 1,024")]),
    *group("name", ((n, build(buildProperties={p: "x"}), 422, _WRONG, "letters, digits") for n, p in _NAMES.items())),
    *group("loads code", ((p, build(buildProperties={p: "x"}), 422, _WRONG, "load other files") for p in _LOADING)),
    *group("folder", ((p, build(buildProperties={p: "/"}), 422, _WRONG, "path within the source") for p in _FOLDERS)),
    *group("properties", [
        ("a list", build(buildProperties=["A=B"]), 422, _WRONG, "job.buildProperties must be an object"),
        ("a number", build(buildProperties={"A": 1}), 422, _WRONG, "job.buildProperties.A must be text"),
        ("101 of them", build(buildProperties={f"P{n}": "" for n in range(101)}), 422, _WRONG, "more than 100"),
    ]),
)  # fmt: skip
BUILDS = (*JSON, *TIMES, *GIT, *PROPERTIES)
