"""`python -m buildyard.cli.demo`: the farm's main job from nothing to verified artifacts, in one command.

A temporary data folder, an embedded farm on free ports, every example that this machine can build submitted at
once, watched to the end, every artifact fetched and verified, everything stopped again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from buildyard.cli.artifacts import target_of
from buildyard.cli.demo_inputs import DemoInput, LeftOut, examples_folder, prepare
from buildyard.cli.demo_report import Result, result_as_json, result_table
from buildyard.cli.demo_watch import watched
from buildyard.cli.exits import FAILED, INTERRUPTED, OK, perform, say
from buildyard.cli.foreground import Stopping, on_stop_signals
from buildyard.cli.local import Farm
from buildyard.cli.output import Output
from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildStatus
from buildyard.errors import TemporaryError

LIMIT_SECONDS = 900.0
_GRACE_SECONDS = 3.0


def main() -> None:
    """The program. Exit code 0 when every build succeeded and every artifact verified."""
    parser = argparse.ArgumentParser(prog="demo", description="Build every example on a farm of its own.")
    parser.add_argument("--keep", action="store_true", help="keep the data folder, with artifacts and logs")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show where an error arose")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="buildyard-demo-"))
    code = perform(lambda: demo(folder, Output(), as_json=options.json), debug=options.debug)
    if options.keep or code not in {OK, INTERRUPTED}:
        say(f"The folder {folder} is kept; the logs of the farm's parts are in {folder / 'data' / 'logs'}.")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)


async def demo(folder: Path, output: Output, *, as_json: bool) -> int:
    """Run the demo below `folder`; gives its exit code, 130 after a signal.

    Raises:
        BuildyardError: the farm does not start, or does not do what it should; the sentence says what.
    """
    inputs, left_out = prepare(examples_folder(), folder)
    farm = Farm(folder / "data", inherited=_clean_environment(), grace_seconds=_GRACE_SECONDS, say=output.remark)
    task = asyncio.current_task()
    assert task is not None
    stopping = Stopping(farm, task.cancel)
    with on_stop_signals(stopping):
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                output.remark("Starting a farm of this machine's own …")
                async with farm:
                    output.remark(f"The farm runs at {farm.api_url}; {len(inputs)} builds are submitted.")
                    results = await _build_all(farm, inputs, folder / "artifacts", output)
        except TimeoutError as error:
            raise TemporaryError(f"The demo did not end within {LIMIT_SECONDS:g} seconds.") from error
        except asyncio.CancelledError:
            if not stopping.asked:
                raise
            task.uncancel()
            output.remark("Interrupted; everything that was started is stopped.")
            return INTERRUPTED
    return _told(output, results, left_out, as_json=as_json)


def _clean_environment() -> dict[str, str]:
    """This process's variables without settings of another farm, which the demo must not touch."""
    foreign = {"PORT", "DATABASE_URL"}
    return {
        name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_") and name not in foreign
    }


async def _build_all(farm: Farm, inputs: list[DemoInput], target: Path, output: Output) -> list[Result]:
    async with ProducerClient(farm.api_url) as producer:
        accepted = await asyncio.gather(*(producer.upload(item.path, {"projectName": item.name}) for item in inputs))
        ids = {item.name: answer.execution_id for item, answer in zip(inputs, accepted, strict=True)}
        builds = await watched(producer, ids, output)
        return [await _fetched(producer, item, builds[item.name], target) for item in inputs]


async def _fetched(producer: ProducerClient, item: DemoInput, build: BuildStatus, target: Path) -> Result:
    """Fetch and verify everything that a build made; its log too, when it did not succeed."""
    listed = await producer.artifacts(build.execution_id)
    for artifact in listed.artifacts:
        await producer.download(artifact, target_of(target / item.name, artifact))
    result = Result(item, build, listed.artifacts)
    if result.trouble:
        log = target / f"{item.name}.log"
        lines = [line async for line in producer.logs(build.execution_id, tail=10_000)]
        await asyncio.to_thread(_write, log, "\n".join(lines))
        return Result(item, build, listed.artifacts, log)
    return result


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def _told(output: Output, results: list[Result], left_out: list[LeftOut], *, as_json: bool) -> int:
    if as_json:
        output.json(result_as_json(results, left_out))
    else:
        output.line()
        result_table(output, results)
        output.line()
    for item in left_out:
        output.remark(f"Left out: {item.name}, because {item.reason}.")
    troubled = [result for result in results if result.trouble]
    for result in troubled:
        output.remark(f"Error: {result.item.name}: {result.trouble} Its log is {result.log}.")
    if troubled:
        return FAILED
    files = sum(len(result.artifacts) for result in results)
    output.remark(f"{len(results)} builds succeeded, {files} artifacts verified by sha256, everything stopped.")
    return OK


if __name__ == "__main__":
    main()
