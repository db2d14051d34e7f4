"""Refusals of the Kubernetes API server -> errors of our own, each a sentence with what to do. Pure."""

from __future__ import annotations

import json
from typing import Any

from buildyard.errors import BuildyardError, Forbidden, InvalidSettings, PermanentError, TemporaryError, Unauthorized

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _GONE, _BAD_REQUEST, _UNPROCESSABLE = 401, 403, 404, 410, 400, 422
_LONGEST = 400
NEEDED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("batch", "jobs", ("get", "list", "watch", "create", "patch")),
    ("", "pods", ("list", "watch", "patch", "delete")),
    ("", "pods/log", ("get",)),
    ("", "events", ("list",)),
)
"""API group, resource and verbs: all that a scaler needs in a pool's namespace."""


class Refusal(TemporaryError):
    """The API server's own answer: HTTP status, its one-word reason, its sentence. `error_of` says what it means."""

    def __init__(self, status: int, reason: str, message: str, who: str, retry_after: float) -> None:
        super().__init__(f"The Kubernetes API server refuses: {message}.", retry_after=retry_after)
        self.status = status
        self.reason = reason
        self.message = message
        self.who = who

    @property
    def gone(self) -> bool:
        """A watch or a list must begin anew: what it asks for is no longer kept."""
        return self.status == _GONE or self.reason in ("Expired", "Gone")

    @property
    def over_quota(self) -> bool:
        """The namespace's quota does not allow it."""
        return "exceeded quota" in self.message


def refusal(status: int, text: bytes, who: str, retry_after: str | None = None) -> Refusal:
    """An answer of 400 or more. What stands in front of an API server may answer with anything."""
    try:
        said: Any = json.loads(text)
    except ValueError:
        said = None
    body = said if isinstance(said, dict) else {}
    plain = text[:_LONGEST].decode(errors="replace")
    message = " ".join(str(body.get("message") or plain).split())[:_LONGEST].rstrip(".")
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else 1.0
    return Refusal(status, str(body.get("reason") or ""), message or f"HTTP {status}", who, seconds)


_FOR_GOOD: dict[int, tuple[type[PermanentError], str, str]] = {
    _UNAUTHORIZED: (
        Unauthorized,
        "{who} is not accepted by the Kubernetes API server: its credentials expired or were revoked.",
        "Renew them (`kubectl get jobs` with the same context must work); they are read anew by themselves.",
    ),
    _FORBIDDEN: (
        Forbidden,
        "{who} may not {what}: {message}.",
        "Give it the Role of the scaler (docs/kubernetes-workers.md lists the rules).",
    ),
    _NOT_FOUND: (
        InvalidSettings,
        "It is not possible to {what}: {message}.",
        "Create the namespace, or set `namespace` in the pool's table `kubernetes`.",
    ),
    _BAD_REQUEST: (
        InvalidSettings,
        "The cluster refuses to {what}: {message}.",
        "Correct the pool's table `kubernetes`.",
    ),
}
_FOR_GOOD[_UNPROCESSABLE] = _FOR_GOOD[_BAD_REQUEST]


def error_of(found: Refusal, what: str) -> BuildyardError:
    """What a refusal means for who asked; `what` is what was asked for, as `list the Jobs of namespace n`."""
    if found.over_quota:
        return TemporaryError(
            f"The quota does not allow to {what}: {found.message}.",
            remedy="Raise the namespace's ResourceQuota, or lower max_workers.",
            retry_after=5,
        )
    known = _FOR_GOOD.get(found.status)
    if known is None or "because it is being terminated" in found.message:
        return TemporaryError(f"The cluster could not {what}: {found.message}.", retry_after=found.retry_after)
    kind, sentence, remedy = known
    return kind(sentence.format(who=found.who, what=what, message=found.message), remedy=remedy)


def access_reviews(namespace: str) -> dict[str, dict[str, Any]]:
    """Questions to the API server, whether its caller may do each thing that is NEEDED, by the thing in words."""
    return {
        f"{verb} {resource}": {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "namespace": namespace,
                    "group": group,
                    "resource": resource.partition("/")[0],
                    "subresource": resource.partition("/")[2],
                    "verb": verb,
                }
            },
        }
        for group, resource, verbs in NEEDED
        for verb in verbs
    }


def as_temporary(error: BuildyardError) -> TemporaryError:
    """What keeps the workers from being seen, whatever it is: nobody may take it for "there are none"."""
    if isinstance(error, TemporaryError):
        return error
    return TemporaryError(str(error), remedy=error.remedy)


def as_settings(error: BuildyardError) -> InvalidSettings:
    """What keeps a scaler from beginning at all."""
    return InvalidSettings(str(error), remedy=error.remedy)
