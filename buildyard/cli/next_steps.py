"""What to try next with a build, by why it ended or where it stands. Pure."""

from __future__ import annotations

from buildyard.contracts.api import BuildStatus
from buildyard.contracts.builds import BuildState, ReasonCode

_AGAIN = "buildyard retry {id}"
_REQUEUE = "buildyard dead requeue {id}"
_STEPS: dict[ReasonCode, str] = {
    ReasonCode.SUCCEEDED: "Fetch what it made: buildyard artifacts get {id}",
    ReasonCode.COMMAND_FAILED: "Read where it broke: buildyard logs {id} --stage {stage}",
    ReasonCode.TESTS_FAILED: "Read what the tests said: buildyard logs {id} --stage Test",
    ReasonCode.ROWS_FAILED: f"See which rows: buildyard batch results {{id}} --errors; run them again: {_AGAIN}",
    ReasonCode.ARTIFACT_FAILED: "Read why: buildyard logs {id} --stage Publish; buildyard.toml says what is wanted",
    ReasonCode.TIMED_OUT: "See what took so long: buildyard logs {id} -t; or give it more: submit --timeout MINUTES",
    ReasonCode.QUEUED_TOO_LONG: f"See why nothing took it: buildyard queues; then {_REQUEUE}",
    ReasonCode.NO_AGENT: f"See why no agent came: buildyard decisions; buildyard doctor; then {_REQUEUE}",
    ReasonCode.CANCELLED: f"Build it again: {_AGAIN}",
    ReasonCode.ARCHIVE_REFUSED: "Let buildyard pack the folder itself: buildyard submit DIR",
    ReasonCode.CSV_REFUSED: "Correct the CSV and submit it again; the reason says what is wrong with it",
    ReasonCode.CONFIGURATION_REFUSED: "Correct buildyard.toml where the reason says, and submit again",
    ReasonCode.NO_TOOLCHAIN: "Say how to build it: commands in buildyard.toml, or submit --toolchain NAME",
    ReasonCode.TOOL_MISSING: "See which agents have it: buildyard agents; install it there, or choose another --pool",
    ReasonCode.SOURCE_REFUSED: "Look at the address and the ref: buildyard logs {id} --stage Fetch",
    ReasonCode.SOURCE_UNAVAILABLE: f"See what the host said: buildyard logs {{id}} --stage Fetch; then {_AGAIN}",
    ReasonCode.INFECTED: "Take out the file that the reason names, and submit again",
    ReasonCode.UNSCANNABLE: f"Once the virus scanner answers again: {_REQUEUE}",
    ReasonCode.UPLOAD_GONE: "The upload is not kept any more: submit it again",
    ReasonCode.WORKER_LOST: f"See what became of the agents: buildyard agents; then {_REQUEUE}",
    ReasonCode.WORKER_ERROR: f"Read what the agent said: buildyard logs {{id}}; then {_REQUEUE}",
    ReasonCode.DISK_FULL: f"Free some space where the agents work; then {_REQUEUE}",
    ReasonCode.HANDED_BACK: "Its agent was stopped; another takes it: buildyard watch {id}",
}


def next_step(build: BuildStatus) -> str:
    """One sentence with the command to try; "" for a state or a reason that is newer than this program."""
    try:
        if not BuildState(build.status).terminal:
            return f"Watch it: buildyard watch {build.execution_id}"
        code = ReasonCode(build.reason_code or "")
    except ValueError:
        return ""
    if code is ReasonCode.SUCCEEDED and not build.artifacts_count:
        return ""
    failed = next((stage.name for stage in build.stages if stage.status == "Failed"), "Build")
    return _STEPS.get(code, "").format(id=build.execution_id, stage=failed)
