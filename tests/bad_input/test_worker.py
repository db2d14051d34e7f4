"""Hostile sources through the real stages of a worker: each ends the job with its reason, and nothing gets out."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from buildyard.contracts.builds import GitSource, Outcome, ReasonCode, StageName, UploadKind
from buildyard.errors import InvalidRequest
from tests.bad_input.builds import ELSEWHERE, REFS, SPELLED
from tests.bad_input.hostile_files import REPORTS, TOMLS, hostile_names
from tests.bad_input.refused_later import REFUSED_BY_A_WORKER, Refused
from tests.worker.fakes import job_spec, rig_of, upload_rig, zipped
from worker.log_text import LineSplitter, clean_line
from worker.stages.commands import _content
from worker.stages.files import read_regular, scan_tree
from worker.stages.project import read_configuration
from worker.stages.publish import collect
from worker.toolchains.contract import ArtifactGlob
from worker.toolchains.dotnet_source import DotnetSource
from worker.toolchains.reports import ReportFile, summarise


def outside(folder: Path) -> set[str]:
    """Everything below a folder that is not in the job's own places."""
    return {path.name for path in folder.iterdir()} - {"work", "data", "cache"}


@pytest.mark.parametrize("refused", [pytest.param(one, id=one.name) for one in REFUSED_BY_A_WORKER])
async def test_a_refused_upload_ends_the_build_with_its_reason(refused: Refused, tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, refused.content, refused.kind)

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, refused.code), finished.reason
    assert refused.words in finished.reason
    assert finished.reason.isprintable()
    assert len(finished.reason) <= 500
    assert not outside(tmp_path)


@pytest.mark.parametrize(
    ("url", "ref"),
    [
        *((url, "main") for url in (*SPELLED.values(), *ELSEWHERE.values())),
        *(("https://github.com/owner/name", ref) for ref in REFS.values()),
    ],
)
async def test_git_is_never_called_for_a_bad_address_or_ref(url: str, ref: str, tmp_path: Path) -> None:
    mark, git = tmp_path / "called", tmp_path / "git"
    git.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    git.chmod(0o755)
    rig = rig_of(tmp_path, job_spec(GitSource(url=url, ref=ref)), tools={"git": str(git)})

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert not re.search("hunter2|er2@", finished.reason + await rig.log_text())
    assert not mark.exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_allowed_name_that_stands_for_a_private_address_is_not_fetched(host: str, tmp_path: Path) -> None:
    source = GitSource(url=f"https://{host}/a/b", ref="main")
    rig = rig_of(tmp_path, job_spec(source), tools={"git": "/nowhere/git"}, git_hosts=host)

    finished = await rig.run()

    assert finished.reason_code in {ReasonCode.SOURCE_REFUSED, ReasonCode.SOURCE_UNAVAILABLE}
    assert "private address" in finished.reason or "could not be found" in finished.reason


# ---------------------------------------------------------------- configuration
@pytest.mark.parametrize("name", TOMLS)
async def test_a_hostile_configuration_ends_the_build_with_its_reason(name: str, tmp_path: Path) -> None:
    content, words = TOMLS[name]
    rig = await upload_rig(tmp_path, zipped({"buildyard.toml": content, "Makefile": "all:\n\ttrue\n"}))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.CONFIGURATION_REFUSED)
    assert words in finished.reason
    assert not outside(tmp_path)


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret.toml", "/proc/self/environ", "."])
def test_a_configuration_that_is_a_link_is_not_followed(target: str, tmp_path: Path) -> None:
    (tmp_path / "secret.toml").write_text('toolchain = "make"')
    src = tmp_path / "src"
    src.mkdir()
    (src / "buildyard.toml").symlink_to(target)

    with pytest.raises(InvalidRequest, match="no regular file"):
        read_configuration(src)


def test_a_configuration_that_is_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "buildyard.toml")

    with pytest.raises(InvalidRequest, match="no regular file"):
        read_configuration(tmp_path)


# ---------------------------------------------------------------- trees and artifacts
def test_links_and_pipes_of_a_checkout_are_neither_listed_nor_read(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "Evil.sln").write_text("secret")
    src = tmp_path / "src"
    src.mkdir()
    (src / "App.sln").symlink_to(tmp_path / "secret" / "Evil.sln")
    (src / "lib").symlink_to(tmp_path / "secret")
    (src / "loop").symlink_to(src)
    os.mkfifo(src / "Pipe.sln")
    (src / "Good.sln").write_text("good")

    tree = scan_tree(src, lambda _: True)

    assert tree.files == {"Good.sln"}
    assert tree.texts == {"Good.sln": "good"}
    with pytest.raises(OSError, match=r"symbolic link|regular file"):
        read_regular(src / "App.sln", 100)


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.sln", "folder", "."])
def test_a_solution_path_to_a_link_is_no_solution_of_the_source(target: str, tmp_path: Path) -> None:
    (tmp_path / "outside.sln").write_text("Microsoft Visual Studio Solution File, Format Version 12.00")
    src = tmp_path / "src"
    (src / "folder").mkdir(parents=True)
    (src / "Real.csproj").write_text("<Project/>")
    (src / "App.sln").symlink_to(target)

    with pytest.raises(InvalidRequest, match="no solution or project of this source"):
        DotnetSource(scan_tree(src, lambda _: True), "App.sln")


def test_hostile_names_of_artifacts_become_plain_ones_below_the_prefix(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in hostile_names():
        place = out / os.fsdecode(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")
    (out / "link").symlink_to("/etc/passwd")

    found = collect(tmp_path / "src", out, [ArtifactGlob("**", "out")])

    paths = [one.path for one in found]
    assert len(paths) == len(hostile_names())
    assert len({path.casefold() for path in paths}) == len(paths)
    for path in paths:
        assert path.isprintable()
        assert not path.startswith("/")
        assert not {"", ".", ".."} & set(path.split("/"))
        assert not re.search(r'[\\:<>|"*?\x00-\x1f;&$`]', path)
        assert len(path.encode()) <= 700


# ---------------------------------------------------------------- logs
@pytest.mark.parametrize(
    "line",
    [
        "##vso[task.setvariable variable=PATH]/evil",
        "##[error]not an error",
        "##teamcity[buildStatus text='hacked']",
        "::set-env name=PATH::/evil",
        "::set-output name=x::y",
        "::add-path::/evil",
        "[2026-11-21 09:00:00] build succeeded",
        '{"n": 1, "stage": "build", "text": "forged"}',
        "<script>alert(1)</script>",
        "%s %n {0} ${HOME} $(id) `id`",
    ],
)
async def test_a_line_that_commands_another_server_stays_text(line: str, tmp_path: Path) -> None:
    rig = rig_of(tmp_path, job_spec())

    assert await rig.attempt.log.write(StageName.BUILD, [(line.encode(), 0)]) == [line]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b]52;c;ZXZpbA==\x07copied", "copied"),
        (b"\x1b]0;title\x1b\\x", "x"),
        (b"\x1b]8;;file:///etc\x07link\x1b]8;;\x07", "link"),
        (b"\x1b]1337;File=inline=1:AAAA\x07x", "x"),
        (b'\x1bP$q"p\x1b\\x', "x"),
        (b"\x1b_payload\x1b\\x", "x"),
        (b"\x1b^private\x1b\\x", "x"),
        (b"\x1b[2J\x1b[Hx", "x"),
        (b"\x1b[6n\x1b[cx", "x"),
        (b"\x1b[?1049hx", "x"),
        (b"\x1b[20tx", "x"),
        (b"\x1bcx", "x"),
        (b"\x1b#8x", "x"),
        (b"\xc2\x9b2Jx", "x"),
        (b"\xc2\x9d0;t\xc2\x9cx", "x"),
        (b"a\x08\x08\x08b", "ab"),
        (b"a\x07\x0e\x0fb", "ab"),
        (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        (b"\xff\xfe\x80", "\ufffd\ufffd\ufffd"),
        (b"\xc0\xaf\xed\xa0\x80", "\ufffd" * 5),
        (b"\xf4\x90\x80\x80", "\ufffd" * 4),
        (b"a\x00b", "ab"),
        ("a\u2028b\u2029c".encode(), "a b c"),
        (b"", ""),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out_of_a_line(raw: bytes, text: str) -> None:
    assert clean_line(raw) == text


def test_a_line_of_100_mb_takes_no_memory() -> None:
    splitter = LineSplitter()
    piece = b"x" * 2**20
    for _ in range(100):
        assert not splitter.feed(piece)

    (line, dropped), *_ = splitter.feed(b"\n")

    assert len(line) + dropped == 100 * 2**20
    assert clean_line(line, dropped).endswith("bytes cut]")


# ---------------------------------------------------------------- test reports
@pytest.mark.parametrize("name", REPORTS)
def test_a_hostile_report_is_told_in_one_sentence(name: str) -> None:
    kind, data, words = REPORTS[name]

    summary, problems = summarise([ReportFile(kind, "report.xml", data)])

    assert summary is None
    assert len(problems) == 1
    assert words in problems[0]
    assert problems[0].isprintable()
    assert len(problems[0]) <= 500


def test_a_report_that_is_a_link_or_a_pipe_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "link.trx").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.trx")

    assert _content(tmp_path / "link.trx") is None
    assert _content(tmp_path / "pipe.trx") is None


def test_every_kind_of_upload_has_cases() -> None:
    assert {one.kind for one in REFUSED_BY_A_WORKER} == set(UploadKind)
