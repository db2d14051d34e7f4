"""Answers of the APIs as the wire has them."""

from __future__ import annotations

import json
from typing import Any

BUILD_ID = "01970000-0000-7000-8000-000000000001"
AT = "2026-11-21T09:30:00.250Z"
LINKS = {"self": f"/api/v1/builds/{BUILD_ID}", "logs": "l", "events": "e", "trace": "t"}
SOURCE = {
    "type": "upload",
    "uploadId": BUILD_ID,
    "key": f"uploads/{BUILD_ID}",
    "kind": "Zip",
    "sha256": "ab" * 32,
    "sizeBytes": 1200,
    "filename": "src.zip",
}


def accepted(**more: Any) -> dict[str, Any]:
    return {
        "executionId": BUILD_ID,
        "status": "Queued",
        "queuePosition": 2,
        "estimatedStartTime": AT,
        "estimatedDuration": "PT30S",
        "links": LINKS,
        "warnings": [],
        **more,
    }


def stored() -> dict[str, Any]:
    return {
        "jobId": BUILD_ID,
        "kind": "Csv",
        "filename": "data.csv",
        "sizeBytes": 8,
        "sha256": "ab" * 32,
        "expiresAt": AT,
    }


def stage(name: str, status: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "status": status, "startTime": AT, "duration": "PT1.25S", **more}


def status(**more: Any) -> dict[str, Any]:
    return {
        "executionId": BUILD_ID,
        "projectName": "calc",
        "configuration": "Release",
        "targetPool": "linux",
        "priority": "Normal",
        "strategy": "Incremental",
        "strategyUsed": "Clean",
        "status": "Succeeded",
        "currentStage": None,
        "createdAt": AT,
        "startTime": AT,
        "endTime": AT,
        "duration": "PT4S",
        "queuePosition": None,
        "stages": [stage("Fetch", "Succeeded"), stage("Build", "Succeeded", warningsCount=2)],
        "agent": {"name": "linux-1-1", "hostname": "here", "targetType": "Linux"},
        "toolchain": "python",
        "toolchainWhy": "there is a pyproject.toml",
        "tests": {"total": 3, "passed": 3, "failed": 0, "skipped": 0, "failures": []},
        "rows": None,
        "artifactsCount": 1,
        "reason": "All stages succeeded.",
        "reasonCode": "succeeded",
        "attempts": [],
        "source": SOURCE,
        "metadata": {},
        "warnings": [],
        "links": LINKS,
        **more,
    }


def summary(**more: Any) -> dict[str, Any]:
    return {
        "executionId": BUILD_ID,
        "projectName": "calc",
        "targetPool": "linux",
        "priority": "Normal",
        "status": "Running",
        "createdAt": AT,
        "startTime": AT,
        "duration": "PT4S",
        "toolchain": "python",
        "rows": None,
        "reason": "",
        "reasonCode": None,
        **more,
    }


def artifact(**more: Any) -> dict[str, Any]:
    return {
        "id": "01970000-0000-7000-8000-0000000000aa",
        "name": "calc-1.0-py3-none-any.whl",
        "path": "dist/calc-1.0-py3-none-any.whl",
        "sizeBytes": 5,
        "contentType": "application/zip",
        "sha256Hash": "cd" * 32,
        "createdAt": AT,
        "downloadUrl": "/api/v1/artifacts/01970000-0000-7000-8000-0000000000aa/download",
        **more,
    }


def log_line(number: int, text: str) -> bytes:
    return json.dumps({"n": number, "at": AT, "stage": "Build", "text": text}).encode() + b"\n"
