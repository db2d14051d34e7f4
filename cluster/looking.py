"""`status` and `logs`."""

from __future__ import annotations

from collections.abc import Sequence

from buildyard.errors import InvalidRequest
from cluster.programs import ProgramFailed, show
from cluster.seen import parts_of, screen
from cluster.target import Target, check_answers

LOGS = ("producer", "scaler", "worker", "slow-api", "rabbitmq", "postgres", "objects")
_MOST_STREAMS = 50


def status(target: Target) -> str:
    """The state of the farm on one screen. Raises Missing and ProgramFailed."""
    check_answers(target)
    kubectl = target.kubectl
    parts = parts_of(kubectl.objects("deployments,statefulsets"))
    return screen(target.context, parts, kubectl.objects("pods"), kubectl.objects("persistentvolumeclaims"))


def logs(target: Target, names: Sequence[str], *, follow: bool, tail: int) -> None:
    """Show logs of parts of the farm, each line with its pod. Raises InvalidRequest, Missing and ProgramFailed."""
    for name in names:
        if name not in LOGS:
            raise InvalidRequest(f"There is no part {name!r}.", remedy=f"Parts are: {', '.join(LOGS)}.")
    check_answers(target)
    wanted = names or LOGS[:2]
    servers = [name for name in wanted if name in LOGS[4:]]
    ours = [name for name in wanted if name not in servers]
    label = "app.kubernetes.io/component" if ours else "app.kubernetes.io/name"
    if ours and servers:
        raise InvalidRequest("Logs of our own parts and of servers are two questions.", remedy="Ask for them apart.")
    words = ["logs", f"--selector={label} in ({','.join(wanted)})", "--all-containers", "--prefix", f"--tail={tail}"]
    words += ["--follow", f"--max-log-requests={_MOST_STREAMS}"] if follow else []
    if show(target.kubectl.words(*words)) != 0:
        raise ProgramFailed("The logs could not be read; kubectl's own words are above.")
