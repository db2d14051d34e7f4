"""Git sources, hostile archives, long logs, and batches whose worker dies."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import tarfile
from collections import Counter
from contextlib import aclosing
from pathlib import Path

import pytest

from buildyard.contracts.api import BuildRequest
from buildyard.errors import Forbidden
from tests.journey.yard import Yard, json_lines, make_project, open_yard, until, zipped
from tests.servers import need

pytestmark = [pytest.mark.journey]


def repository(folder: Path) -> str:
    """A git repository whose first commit, and not the tip, builds; the first commit's id."""
    folder.mkdir(parents=True)
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env={**os.environ, **identity}, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    (folder / "Makefile").write_text("all:\n\t@echo first; mkdir -p dist; echo made > dist/made.txt\n")
    git("add", "-A")
    git("commit", "-qm", "Build")
    first = git("rev-parse", "HEAD")
    git("tag", "v1")
    (folder / "Makefile").write_text("all:\n\t@echo second; false\n")
    git("commit", "-qam", "Break")
    return first


async def test_a_git_source_builds_its_branch_its_tag_and_an_older_commit(
    where: dict[str, str], tmp_path: Path
) -> None:
    need("git")
    need("make")
    commit = repository(tmp_path / "repositories" / "project")
    env = {**where, "BUILDYARD_GIT_LOCAL_ROOTS": str(tmp_path / "repositories")}
    async with open_yard(tmp_path, env) as yard:
        ends = {}
        for ref in ("main", "v1", commit):
            request = BuildRequest.model_validate(
                {"project_name": "p", "git_url": str(tmp_path / "repositories" / "project"), "branch": ref}
            )
            build = (await yard.producer.submit(request)).execution_id
            ends[ref] = await yard.end(build)

        assert [end.status for end in ends.values()] == ["Failed", "Succeeded", "Succeeded"], [
            end.reason for end in ends.values()
        ]
        artifacts = await yard.verified(ends["v1"].execution_id, tmp_path / "out")
        assert artifacts["dist/made.txt"].read_text() == "made\n"


async def test_a_repository_from_elsewhere_is_refused_at_once(tmp_path: Path) -> None:
    async with open_yard(tmp_path, {}) as yard:
        for url in ("https://evil.example/x.git", str(tmp_path)):
            request = BuildRequest.model_validate({"project_name": "p", "git_url": url})
            with pytest.raises(Forbidden):
                await yard.producer.submit(request)


def tar_of(kind: bytes, **fields: str) -> bytes:
    """A tar.gz with one entry of a kind that nobody may send."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo("entry")
        entry.type = kind
        entry.linkname = fields.get("to", "")
        archive.addfile(entry)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("links.tar.gz", tar_of(tarfile.SYMTYPE, to="/etc/passwd")),
        ("hard.tar.gz", tar_of(tarfile.LNKTYPE, to="../../x")),
        ("device.tar.gz", tar_of(tarfile.CHRTYPE)),
        ("many.zip", zipped({f"f{number}": "" for number in range(200)})),
        ("bomb.zip", zipped({"zeros": "0" * 3_000_000})),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_hostile_archive_ends_rejected(name: str, content: bytes, tmp_path: Path) -> None:
    budget = {"BUILDYARD_UNPACK_MAX_BYTES": "1000000", "BUILDYARD_UNPACK_MAX_ENTRIES": "100"}
    async with open_yard(tmp_path, budget) as yard:
        status = await yard.end(await yard.submit(content, name))

        assert (status.status, status.reason_code) == ("Rejected", "archive_refused"), status.reason


async def test_a_long_log_is_complete_and_followed_to_its_end(where: dict[str, str], tmp_path: Path) -> None:
    lines = 300_000
    need("make")
    recipe = f"seq -f 'line %.0f of a log that is long enough to matter' 1 {lines}; printf '\\033[31mred\\033[2J\\n'"
    async with open_yard(tmp_path, where) as yard:
        build = await yard.submit(make_project(recipe))
        followed = asyncio.create_task(_count_lines(yard, build))

        status = await yard.end(build)

        assert status.status == "Succeeded", status.reason
        log = (await yard.log(build)).split("\n")
        numbered = [line for line in log if line.startswith("line ")]
        assert numbered[0].startswith("line 1 of")
        assert numbered[-1].startswith(f"line {lines} of")
        assert len(numbered) == lines
        assert "\x1b[31mred\x1b[0m" in log or "\x1b[31mred" in log
        assert not any("\x1b[2J" in line for line in log)
        assert await followed == len(log)


async def _count_lines(yard: Yard, build: str) -> int:
    async with aclosing(yard.producer.logs(build, follow=True)) as lines:
        return len([line async for line in lines])


HANDLER = """
import json, sys, time
for line in sys.stdin:
    row = json.loads(line)["row"]
    time.sleep(0.2)
    with open({ledger!r}, "a") as ledger:
        ledger.write(f"{{row}}\\n")
    print(json.dumps({{"row": row}}), flush=True)
"""


async def test_a_crash_repeats_no_finished_row(where: dict[str, str], tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    project = zipped(
        {
            "buildyard.toml": '[batch]\nrows = "rows.csv"\nrun = ["python", "handler.py"]\n',
            "rows.csv": "n\n" + "\n".join(str(number) for number in range(20)) + "\n",
            "handler.py": HANDLER.format(ledger=str(ledger)),
        }
    )
    async with open_yard(tmp_path, where, "max_workers = 1") as yard:
        build = await yard.submit(project, rowsPerJob="20")
        recorded = await _some_rows(yard, build, 5)
        [busy] = [agent for agent in (await yard.producer.agents()).agents if agent.state == "Busy"]
        os.kill(busy.pid, signal.SIGKILL)

        status = await yard.end(build)

        assert status.status == "Succeeded", status.reason
        runs = Counter(int(line) for line in ledger.read_text().split())
        assert set(runs) == set(range(1, 21))
        assert [runs[row] for row in range(1, recorded + 1)] == [1] * recorded, "a finished row ran again"
        assert sum(runs.values()) <= 22, "only what was in hand at the crash may run again"
        artifacts = await yard.verified(build, tmp_path / "out")
        assert [one["row"] for one in json_lines(artifacts["results.jsonl"])] == list(range(1, 21))


async def _some_rows(yard: Yard, build: str, count: int) -> int:
    done = 0

    async def recorded() -> bool:
        nonlocal done
        rows = (await yard.producer.build(build)).rows
        done = rows.succeeded if rows else 0
        return done >= count

    await until(recorded)
    return done
