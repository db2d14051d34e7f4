"""The connection to one cluster: credentials, calls with a deadline, and answers as errors of our own.

The library brings configuration, TLS and transport; objects travel as plain JSON, because building its models of
thousands of pods costs more than all the rest.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME
from kubernetes.aio.config.kube_config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    KubeConfigLoader,
    KubeConfigMerger,
    load_kube_config,
)

from buildyard.errors import InvalidSettings, TemporaryError
from scaler.executors.kubernetes_answers import refusal

CALL_SECONDS = 2.5
"""Every call ends by then: the scaler gives up after 3 s."""
_RELOAD_SECONDS = 5.0
"""Refused credentials are read anew at most this often."""
_CONNECTIONS = 0
"""No limit: one who follows logs must not keep a Job from being created."""
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class _Asked:
    """One question; the head of its answer comes within `head_seconds`."""

    method: str
    path: str
    query: Mapping[str, Any]
    body: Mapping[str, Any] | None
    content_type: str
    limit: aiohttp.ClientTimeout
    head_seconds: float


class Connection:
    """Calls to one cluster's API server.

    Args:
        kubeconfig: its file; empty: in a pod its service account, elsewhere KUBECONFIG or `~/.kube/config`.
        context: of the kubeconfig; empty: its current one.

    Raises:
        InvalidSettings: the kubeconfig is missing or broken, or has no such context.
    """

    def __init__(self, kubeconfig: str = "", context: str = "") -> None:
        self._in_cluster = not kubeconfig and not context and bool(os.environ.get(SERVICE_HOST_ENV_NAME))
        self._file = str(Path(kubeconfig).expanduser()) if kubeconfig else KUBE_CONFIG_DEFAULT_LOCATION
        self._context = context
        self._api: ApiClient | None = None
        self._retired: ApiClient | None = None
        self._opening = asyncio.Lock()
        self._reloaded_at = -math.inf
        self.who = "The service account of this pod" if self._in_cluster else _check(self._file, context)
        """Whose credentials these are, for sentences."""

    async def aclose(self) -> None:
        """Close all connections."""
        for api in (self._api, self._retired):
            if api is not None:
                await api.close()
        self._api = self._retired = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        seconds: float = CALL_SECONDS,
    ) -> dict[str, Any]:
        """One call; its answer as JSON, within so many seconds.

        Raises:
            Refusal: the API server refuses, with its reason.
            TemporaryError: it cannot be reached, or does not answer in time.
        """
        asked = _Asked(method, path, query or {}, body, content_type, aiohttp.ClientTimeout(total=seconds), seconds)
        try:
            async with asyncio.timeout(seconds), self._answer(asked) as answer:
                found = json.loads(await answer.read())
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise unreachable(error, seconds) from error
        assert isinstance(found, dict)
        return found

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, Any], *, silence_seconds: float | None) -> AsyncIterator[Any]:
        """An answer that goes on; what comes is iterated in chunks of bytes.

        Raises:
            Refusal: the API server refuses, with its reason.
            TemporaryError: it cannot be reached, the stream broke, or nothing came for `silence_seconds`.
        """
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CALL_SECONDS, sock_read=silence_seconds)
        asked = _Asked("GET", path, query, None, "application/json", limit, CALL_SECONDS)
        try:
            async with self._answer(asked) as answer:
                yield answer.content.iter_any()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise unreachable(error) from error

    # ------------------------------------------------------------------------------------------------ inside

    @asynccontextmanager
    async def _answer(self, asked: _Asked) -> AsyncIterator[aiohttp.ClientResponse]:
        answer = await self._send(asked)
        if answer.status == HTTPStatus.UNAUTHORIZED and await self._renewed():
            answer.release()
            answer = await self._send(asked)
        try:
            if answer.status >= HTTPStatus.BAD_REQUEST:
                async with asyncio.timeout(CALL_SECONDS):
                    text = await answer.read()
                raise refusal(answer.status, text, self.who, answer.headers.get("Retry-After"))
            yield answer
        finally:
            answer.release()  # closes the connection of an answer that was not read to its end

    async def _send(self, asked: _Asked) -> aiohttp.ClientResponse:
        api = await self._opened()
        sent = await api.param_serialize(
            asked.method,
            asked.path,
            query_params=[(key, value) for key, value in asked.query.items() if value not in (None, "")],
            header_params={"Accept": "application/json", "Content-Type": asked.content_type},
            body=dict(asked.body) if asked.body is not None else None,
            auth_settings=["BearerToken"],
        )
        async with asyncio.timeout(asked.head_seconds):
            response = await api.call_api(*sent, _request_timeout=asked.limit)
        answer: aiohttp.ClientResponse = response.response
        return answer

    async def _opened(self) -> ApiClient:
        if self._api is None:
            async with self._opening:
                if self._api is None:
                    self._api = ApiClient(await self._configuration())
        return self._api

    async def _configuration(self) -> Configuration:
        configuration = Configuration()
        configuration.connection_pool_maxsize = _CONNECTIONS
        try:
            if self._in_cluster:
                load_incluster_config(configuration)
            else:
                await load_kube_config(self._file, self._context or None, configuration, persist_config=False)
        except (ConfigException, OSError, ValueError, TypeError, yaml.YAMLError) as error:
            raise TemporaryError(f"{self.who} cannot be used now: {_line(error)}.") from error
        return configuration

    async def _renewed(self) -> bool:
        """Read refused credentials anew: a token rotates, and a kubeconfig may have been renewed."""
        now = asyncio.get_running_loop().time()
        if now - self._reloaded_at < _RELOAD_SECONDS:
            return False
        self._reloaded_at = now
        fresh = ApiClient(await self._configuration())
        if self._retired is not None:
            await self._retired.close()
        self._retired, self._api = self._api, fresh  # calls under way still use the one before
        return True


def unreachable(error: Exception, seconds: float = CALL_SECONDS) -> TemporaryError:
    """Whatever kept the API server from answering, as one sentence."""
    if isinstance(error, TimeoutError):
        return TemporaryError(f"The Kubernetes API server did not answer within {seconds:g} s.")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return TemporaryError(
            f"The Kubernetes API server's certificate is not trusted: {_line(error)}.",
            remedy="Check certificate-authority and server of the kubeconfig's cluster.",
        )
    if isinstance(error, aiohttp.ClientPayloadError):
        return TemporaryError("The connection to the Kubernetes API server broke.")
    return TemporaryError(f"The Kubernetes API server cannot be reached: {_line(error)}.")


def _check(file: str, context: str) -> str:
    """Look through a kubeconfig before it is used; whose credentials it holds, for sentences."""
    remedy = (
        "`kubectl config get-contexts` lists them; set `kubeconfig` and `context` in the pool's table `kubernetes`."
    )
    if not any(Path(one).expanduser().is_file() for one in file.split(os.pathsep) if one):
        raise InvalidSettings(f"There is no kubeconfig {file}.", remedy=remedy)
    try:
        loader = KubeConfigLoader(KubeConfigMerger(file).config, active_context=context or None)
        name = loader.current_context["name"]
        cluster = loader._cluster  # noqa: SLF001 - the loader offers it nowhere else
        server = cluster.safe_get("server") if cluster is not None else None
    except ConfigException as error:
        said = _line(error).removeprefix("Invalid kube-config file. ")
        raise InvalidSettings(f"The kubeconfig {file} cannot be used: {said}.", remedy=remedy) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidSettings(f"The kubeconfig {file} is broken: {_line(error)}.", remedy=remedy) from error
    except (TypeError, AttributeError, KeyError) as error:
        raise InvalidSettings(f"The kubeconfig {file} is broken: it is no kubeconfig.", remedy=remedy) from error
    if not server:
        raise InvalidSettings(f"The context {name} of the kubeconfig {file} names no server.", remedy=remedy)
    return f"The context {name} of {file}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__
