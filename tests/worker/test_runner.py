from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from buildyard.contracts.builds import Outcome, ReasonCode, StageName, UploadKind
from buildyard.contracts.messages import StageFinished, StageStarted
from tests.worker.fakes import FailingObjects, Rig, upload_rig, zipped
from worker.pipeline import StopCause

MAKEFILE = """
all:
\t@echo 'main.c:1:2: warning: odd'
\t@mkdir -p dist && echo made > dist/result.txt
test:
\t@echo tested
"""


async def _noted(rig: Rig, text: str) -> None:
    """Wait until the log shows a text."""
    async with asyncio.timeout(60):
        while not any(text.encode() in body for _, body in rig.broker.published):
            await asyncio.sleep(0.01)


def _marked(rig: Rig) -> list[int]:
    marker = f"BUILDYARD_ATTEMPT={rig.attempt.marker}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and marker in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


async def test_a_makefile_is_built_tested_and_published(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"project/Makefile": MAKEFILE, "project/main.c": ""}))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.SUCCEEDED, ReasonCode.SUCCEEDED), finished.reason
    assert finished.toolchain == "make"
    assert "Makefile is at the top" in finished.toolchain_why
    assert rig.reports.stages() == [
        ("fetch", "succeeded"),
        ("restore", "skipped"),
        ("build", "succeeded"),
        ("test", "succeeded"),
        ("package", "skipped"),
        ("publish", "succeeded"),
    ]
    started = [report.stage.value for report in rig.reports.of(StageStarted)]
    assert started == ["fetch", "build", "test", "publish"]
    build = next(report for report in rig.reports.of(StageFinished) if report.stage is StageName.BUILD)
    assert (build.warnings, build.errors) == (1, 0)
    (artifact,) = finished.artifacts
    assert (artifact.name, artifact.path, artifact.content_type) == ("result.txt", "dist/result.txt", "text/plain")
    assert await rig.objects.read(artifact.key) == b"made\n"
    assert finished.tests is not None
    assert finished.tests.passed == 1
    lines = await rig.log_lines()
    assert finished.log_lines == len(lines)
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))


async def test_a_failing_command_ends_the_build_and_skips_the_rest(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:\n\t@echo oops && exit 3\n"}))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.COMMAND_FAILED)
    assert "exit code 2" in finished.reason
    assert [status for _, status in rig.reports.stages()] == ["succeeded", "skipped", "failed"] + ["skipped"] * 3
    assert "oops" in await rig.log_text()


async def test_failing_tests_end_the_build_with_their_own_reason(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:\n\t@true\ncheck:\n\t@false\n"}))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.TESTS_FAILED)
    assert finished.reason == "1 of 1 test failed: make check."
    assert finished.tests is not None
    assert finished.tests.failed == 1


async def test_no_tests_and_no_artifacts_are_left_out_as_asked(tmp_path: Path) -> None:
    archive = zipped({"Makefile": MAKEFILE})
    rig = await upload_rig(tmp_path, archive, run_tests=False, publish_artifacts=False)

    finished = await rig.run()

    assert finished.outcome is Outcome.SUCCEEDED
    assert finished.artifacts == ()
    reasons = {report.stage.value: report.reason for report in rig.reports.of(StageFinished)}
    assert reasons["test"] == "The request asks for no tests."
    assert reasons["publish"] == "The request asks for no artifacts."


@pytest.mark.parametrize(
    ("cause", "outcome", "code"),
    [
        (StopCause.CANCELLED, Outcome.CANCELLED, ReasonCode.CANCELLED),
        (StopCause.TIMED_OUT, Outcome.TIMED_OUT, ReasonCode.TIMED_OUT),
        (StopCause.HANDED_BACK, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK),
        (StopCause.CUT_OFF, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK),
    ],
)
async def test_a_stopped_build_ends_with_its_cause_and_leaves_no_process(
    tmp_path: Path, cause: StopCause, outcome: Outcome, code: ReasonCode
) -> None:
    code_of_daemon = "import os,time; os.setsid(); os.fork() and os._exit(0); os.setsid(); time.sleep(600)"
    makefile = f"all:\n\t@{sys.executable} -c '{code_of_daemon}' & echo started; sleep 600\n"
    rig = await upload_rig(tmp_path, zipped({"Makefile": makefile}))
    running = asyncio.create_task(rig.run())
    await _noted(rig, "started")

    rig.attempt.stop.stop(cause)
    finished = await running

    assert (finished.outcome, finished.reason_code) == (outcome, code)
    assert _marked(rig) == []
    status = "failed" if outcome is Outcome.TIMED_OUT else "cancelled"
    assert ("build", status) in rig.reports.stages()


async def test_a_build_sees_no_secret_of_the_farm(tmp_path: Path) -> None:
    parent = {
        "PATH": os.environ["PATH"],
        "BUILDYARD_TOKEN": "hush",
        "BUILDYARD_BROKER_URL": "amqp://user:hush@host/",
        "BUILDYARD_STORE_URL": "hush",
        "DATABASE_URL": "hush",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "NPM_CONFIG__AUTHTOKEN": "hush",
        "PIP_INDEX_URL": "https://mirror/simple",
    }
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:\n\t@env\n"}), parent=parent)

    await rig.run()

    log = await rig.log_text()
    assert "hush" not in log
    assert "PIP_INDEX_URL=https://mirror/simple" in log
    assert f"HOME={rig.attempt.workspace.home}" in log
    assert "BUILDYARD_AGENT=linux-1-1" in log


async def test_buildyard_toml_rules_commands_artifacts_and_environment(tmp_path: Path) -> None:
    config = """
[artifacts]
paths = ["made/*.bin", "logs"]
[stages.restore]
skip = true
[stages.build]
commands = [["sh", "./build.sh"], ["python3", "-c", "import os; print('level', os.environ['LEVEL'])"]]
[stages.test]
skip = true
[environment]
LEVEL = "7"
"""
    script = "mkdir made logs; echo 1 >made/a.bin; echo 2 >made/b.txt; echo 3 >logs/x.log\n"
    rig = await upload_rig(tmp_path, zipped({"buildyard.toml": config, "build.sh": script}))

    finished = await rig.run()

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert finished.toolchain == "custom"
    assert sorted(artifact.path for artifact in finished.artifacts) == ["logs/x.log", "made/a.bin"]
    assert "level 7" in await rig.log_text()


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"readme.txt": "nothing to build"}, ReasonCode.NO_TOOLCHAIN),
        ({"buildyard.toml": "toolchain = ["}, ReasonCode.CONFIGURATION_REFUSED),
        ({"buildyard.toml": "unknown = 1", "Makefile": "all:"}, ReasonCode.CONFIGURATION_REFUSED),
        ({"buildyard.toml": b"\xff", "Makefile": "all:"}, ReasonCode.CONFIGURATION_REFUSED),
        ({"buildyard.toml": "#" * 300_000, "Makefile": "all:"}, ReasonCode.CONFIGURATION_REFUSED),
        ({"buildyard.toml": "toolchain = 'dotnet'", "Makefile": "all:"}, ReasonCode.CONFIGURATION_REFUSED),
        ({"../evil": "x"}, ReasonCode.ARCHIVE_REFUSED),
    ],
)
async def test_a_source_that_cannot_be_built_is_rejected(
    tmp_path: Path, files: dict[str, str | bytes], code: ReasonCode
) -> None:
    rig = await upload_rig(tmp_path, zipped(files))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, code), finished.reason
    assert finished.reason.endswith(".")
    assert [status for _, status in rig.reports.stages()] == ["failed"] + ["skipped"] * 5


async def test_an_archive_that_is_none_is_rejected(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, b"PK\x03\x04 and then nothing")

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.ARCHIVE_REFUSED)


async def test_other_bytes_than_were_uploaded_are_never_built(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:"}))
    await rig.objects.delete([rig.attempt.spec.source.key])  # type: ignore[union-attr]
    await rig.objects.put(rig.attempt.spec.source.key, zipped({"Makefile": "evil:"}))  # type: ignore[union-attr]

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.SOURCE_UNAVAILABLE)
    assert "other bytes" in finished.reason


async def test_an_upload_that_is_gone_fails_the_build(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:"}))
    await rig.objects.delete([rig.attempt.spec.source.key])  # type: ignore[union-attr]

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.UPLOAD_GONE)


async def test_a_missing_tool_is_named_before_anything_runs(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:"}), tools={"python": sys.executable})

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.TOOL_MISSING)
    assert "needs make" in finished.reason


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = "[stages.build]\ncommands = [['no-such-program']]\n"
    rig = await upload_rig(tmp_path, zipped({"buildyard.toml": config}))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.TOOL_MISSING)
    assert "`no-such-program` is not there" in finished.reason


async def test_an_unexpected_exception_ends_the_attempt_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("worker.runner.understand", broken)
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:"}))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.WORKER_ERROR)
    assert "ZeroDivisionError" in finished.reason


async def test_a_full_disk_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("worker.stages.project.scan_tree", full)
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:"}))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.DISK_FULL)


async def test_a_command_that_found_the_disk_full_is_called_so_too(tmp_path: Path) -> None:
    archive = zipped({"Makefile": "all:\n\t@echo 'cp: x: No space left on device' >&2; exit 1\n"})
    rig = await upload_rig(tmp_path, archive)

    assert (await rig.run()).reason_code is ReasonCode.DISK_FULL


async def test_a_link_out_of_the_workspace_is_never_published(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    makefile = (
        f"all:\n\t@mkdir -p dist/sub && ln -s {secret} dist/link.txt && ln -s {tmp_path} dist/folder\n"
        "\t@echo ok >dist/sub/real.txt && mkfifo dist/pipe\n"
    )
    rig = await upload_rig(tmp_path, zipped({"Makefile": makefile}))

    finished = await rig.run()

    assert [artifact.path for artifact in finished.artifacts] == ["dist/sub/real.txt"], finished.reason


async def test_an_object_store_that_stays_away_fails_the_artifacts_by_a_cause_that_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.stages.publish._TRIES", 1)
    objects = FailingObjects(0)
    rig = await upload_rig(tmp_path, zipped({"Makefile": MAKEFILE}), objects=objects)
    put = objects.put

    async def only_logs(key: str, chunks: object) -> object:
        objects.failures = int("artifacts" in key)
        return await put(key, chunks)  # type: ignore[arg-type]

    monkeypatch.setattr(objects, "put", only_logs)
    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.WORKER_ERROR)
    assert finished.artifacts == ()


async def test_an_uploaded_csv_becomes_a_batch(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, b"\xef\xbb\xbfid,name\n1,a\n2,\xc3\xa9\n", UploadKind.CSV)

    finished = await rig.run()

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert finished.toolchain == "batch"
    assert finished.found is not None
    assert (finished.found.rows, finished.found.columns, finished.found.handler) == (2, ("id", "name"), "builtin")
    assert rig.reports.stages() == [("fetch", "succeeded")]
    second = finished.found.chunks[1]
    body = await rig.objects.read(finished.found.rows_key, second.byte_start, second.byte_end)
    assert body.decode() == '{"row":2,"values":{"id":"2","name":"é"}}\n'


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b\n", b"a,b\n1\n", b"a,b\n1,\xff\n", b"a,a\n1,2\n", b'a,b\n"1,2\n', "a,b\n".encode("utf-16")],
)
async def test_a_csv_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    rig = await upload_rig(tmp_path, content, UploadKind.CSV)

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.CSV_REFUSED), finished.reason
    assert finished.found is None


async def test_the_workspace_is_for_nobody_else(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:"}))

    await rig.run()

    assert stat.S_IMODE(rig.attempt.workspace.root.stat().st_mode) == 0o700
