"""`python -m cluster VERB`: exit codes 0; 1 a step failed; 2 usage, or something is missing; 130 interrupted."""

from __future__ import annotations

import argparse
import asyncio
import base64
import sys
from collections.abc import Sequence
from contextlib import suppress

from buildyard.cli.exits import INTERRUPTED
from buildyard.cli.foreground import until_told
from buildyard.errors import BuildyardError, PermanentError
from cluster.down import down
from cluster.forward import DOORS, forward
from cluster.images import ALL_IMAGES, IMAGES, build_and_load
from cluster.looking import LOGS, logs, status
from cluster.programs import Missing, ProgramFailed, has
from cluster.target import OVERLAYS, Target, check_answers, check_programs, choose, known_contexts
from cluster.up import up

_FAILED, _USAGE = 1, 2


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line asks for."""
    given = _parser().parse_args(words)
    try:
        target = _target(given)
        _VERBS[given.verb](target, given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (Missing, PermanentError) as error:
        return _complain(error, _USAGE)
    except BuildyardError as error:
        return _complain(error, _FAILED)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./manage.sh", description="A farm on Kubernetes (docs/kubernetes.md).")
    verbs = parser.add_subparsers(dest="verb", required=True)
    made = {name: verbs.add_parser(name) for name in ("up", "forward", "down", "status", "logs", "images")}
    for verb in made.values():
        verb.add_argument("--context", default="", help="the cluster, as kubectl calls it (Minikube, else kind)")
        verb.add_argument("--overlay", choices=OVERLAYS, default="", help="what is applied (minikube on a local one)")
    made["up"].add_argument("--timeout", type=float, default=900, metavar="SECONDS", help="to be ready within (900)")
    made["up"].add_argument("--no-images", action="store_true", help="build and load no images")
    made["down"].add_argument("--yes", action="store_true", help="do not ask whether the farm goes")
    data = made["down"].add_mutually_exclusive_group()
    data.add_argument("--delete-data", action="store_true", help="its data go, too")
    data.add_argument("--keep-data", action="store_true", help="its data stay")
    made["forward"].add_argument("--no-token", action="store_true", help="add no token to requests")
    made["logs"].add_argument("part", nargs="*", metavar="PART", help=f"{', '.join(LOGS)} (producer and scaler)")
    made["logs"].add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    made["logs"].add_argument("--tail", type=int, default=100, help="so many last lines of each pod (100)")
    made["images"].add_argument(
        "image", nargs="*", choices=(*ALL_IMAGES, []), metavar="IMAGE", help=f"{', '.join(ALL_IMAGES)}"
    )
    return parser


def _target(given: argparse.Namespace) -> Target:
    if not has("kubectl") and given.verb != "images":
        raise Missing("kubectl is not on PATH.", remedy=_kubectl_remedy())
    contexts = known_contexts() if has("kubectl") else ()
    return choose(given.context, given.overlay, has, contexts, overlay_needed=given.verb == "up")


def _kubectl_remedy() -> str:
    return "Install it: https://kubernetes.io/docs/tasks/tools/"


def _up(target: Target, given: argparse.Namespace) -> None:
    up(target, seconds=given.timeout, images=not given.no_images, say=_say)


def _down(target: Target, given: argparse.Namespace) -> None:
    data = True if given.delete_data else False if given.keep_data else None
    down(target, data=data, yes=given.yes, ask=_ask if sys.stdin.isatty() else None, say=_say)


def _status(target: Target, given: argparse.Namespace) -> None:  # noqa: ARG001 - as all verbs
    print(status(target))


def _logs(target: Target, given: argparse.Namespace) -> None:
    logs(target, given.part, follow=given.follow, tail=given.tail)


def _images(target: Target, given: argparse.Namespace) -> None:
    check_programs(target, images=True)
    if not has("docker"):
        raise Missing("docker is not on PATH.", remedy="Install Docker and start it.")
    build_and_load(target, given.image or IMAGES, _say)


def _forward(target: Target, given: argparse.Namespace) -> None:
    check_answers(target)
    token = "" if given.no_token else _token(target)
    with suppress(asyncio.CancelledError):  # a signal ends it, which is how it is meant to end
        asyncio.run(until_told(forward(target.kubectl, token, DOORS, _say)))


def _token(target: Target) -> str:
    """The farm's token, from its secret; none where we may not read it."""
    try:
        found = target.kubectl.ask("get", "secret", "worker", "--output=jsonpath={.data.BUILDYARD_TOKEN}")
    except ProgramFailed as error:
        _say(f"Requests need a token of their own, since it cannot be read here: {error}")
        return ""
    return base64.b64decode(found).decode()


_VERBS = {"up": _up, "down": _down, "status": _status, "logs": _logs, "images": _images, "forward": _forward}


def _ask(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def _say(line: str) -> None:
    print(line, flush=True)


def _complain(error: BuildyardError, code: int) -> int:
    print(f"{error} {error.remedy}".strip(), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
