"""The demo's result: one row a build, and in a sentence what is wrong with one that is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from buildyard.cli.demo_inputs import DemoInput, LeftOut
from buildyard.cli.output import Output, duration, printable, word
from buildyard.contracts.api import ArtifactView, BuildStatus
from buildyard.contracts.builds import BuildState, StageStatus

_SHA_SHOWN = 12
_FILES_SHOWN = 4
_ONE_TABLE_WIDTH = 130


@dataclass(frozen=True)
class Result:
    """One build of the demo at its end, with its verified artifacts."""

    item: DemoInput
    build: BuildStatus
    artifacts: tuple[ArtifactView, ...]
    log: Path | None = None

    @property
    def trouble(self) -> str:
        """What is not as it should be; empty when all is well."""
        build = self.build
        if BuildState(build.status) is not BuildState.SUCCEEDED:
            failing = build.tests.failures[:1] if build.tests else ()
            named = "".join(f" The test {case.name} fails." for case in failing)
            return f"it ended as {build.status}: {build.reason}{named}"
        done = build.rows.succeeded if build.rows else 0
        if done != self.item.rows:
            return f"it did {done} rows, not {self.item.rows}."
        return "" if self.artifacts else "it made no artifact."


def result_table(output: Output, results: list[Result]) -> None:
    """The results for people: one table where it fits, else builds and files apart."""
    builds = ("BUILD", "STATUS", "TOOLCHAIN", "STAGES", "TESTS", "TOOK#")
    if output.out.width >= _ONE_TABLE_WIDTH:
        output.table((*builds, "ARTIFACT", "SHA256"), [_row(result) + _files(result) for result in results])
        return
    output.table(builds, [_row(result) for result in results])
    output.line()
    output.table(("BUILD", "ARTIFACT", "SHA256"), [(result.item.name, *_files(result)) for result in results])


def _row(result: Result) -> tuple[str | Text, ...]:
    build = result.build
    return (
        result.item.name,
        word(build.status),
        build.toolchain,
        _stages(build),
        _tests(build),
        duration(build.duration),
    )


def _files(result: Result) -> tuple[Text, Text]:
    shown = result.artifacts[:_FILES_SHOWN]
    more = [f"and {len(result.artifacts) - len(shown)} more"] * (len(result.artifacts) > len(shown))
    names = "\n".join([*(printable(artifact.name) for artifact in shown), *more])
    return Text(names), Text("\n".join(artifact.sha256_hash[:_SHA_SHOWN] for artifact in shown))


def _stages(build: BuildStatus) -> str:
    done = [StageStatus(stage.status) for stage in build.stages]
    skipped = done.count(StageStatus.SKIPPED)
    return f"{done.count(StageStatus.SUCCEEDED)} of {len(done) - skipped}"


def _tests(build: BuildStatus) -> str:
    if build.rows:
        return f"{build.rows.succeeded} of {build.rows.total} rows"
    return f"{build.tests.passed} of {build.tests.total}" if build.tests else ""


def result_as_json(results: list[Result], left_out: list[LeftOut]) -> dict[str, Any]:
    """The results for programs."""
    return {
        "ok": not any(result.trouble for result in results),
        "builds": [
            {
                "name": result.item.name,
                "trouble": result.trouble,
                "build": result.build.wire(),
                "artifacts": [{**artifact.wire(), "verified": True} for artifact in result.artifacts],
            }
            for result in results
        ],
        "leftOut": [vars(item) for item in left_out],
    }
