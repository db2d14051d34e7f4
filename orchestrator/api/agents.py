"""Agents and pools: joining, claiming work, draining, and looking at them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from buildyard.contracts.agents import (
    AgentJoined,
    AgentRegistration,
    AgentView,
    ClaimAnswer,
    ClaimRequest,
    DrainRequest,
)
from buildyard.contracts.api import AgentHealthAnswer, AgentList, PoolList
from orchestrator.api import examples
from orchestrator.api.documented import CLAIM_BODY, DRAIN_BODY, REGISTRATION_BODY, answers
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.parts import AgentPath, Parts

router = APIRouter(prefix="/api/v1", tags=["agents"], route_class=JsonRoute)


@router.get("/agents", operation_id="list_agents", summary="List agents", responses=answers(200, examples.agents, 503))
async def list_agents(parts: Parts) -> AgentList:
    """Every agent known, those present first."""
    return await parts.views.agents()


@router.post(
    "/agents",
    operation_id="register_agent",
    summary="Join a pool as an agent",
    status_code=201,
    response_description="The agent has joined.",
    responses=answers(201, examples.joined, 400, 409, 413, 415, 422, 503),
    openapi_extra=REGISTRATION_BODY,
)
async def register_agent(request: AgentRegistration, parts: Parts) -> AgentJoined:
    """A worker joins its pool; 409 says `agent_unsuited` or `agent_exists`."""
    return await parts.service.register(request)


@router.get(
    "/agents/{name}",
    operation_id="get_agent",
    summary="Look at an agent",
    responses=answers(200, examples.agent, 404, 503),
)
async def get_agent(name: AgentPath, parts: Parts) -> AgentView:
    """One agent: its state, machine, tools and what it works on."""
    return await parts.views.agent(name)


@router.get(
    "/agents/{name}/health",
    operation_id="get_agent_health",
    summary="How an agent is",
    responses=answers(200, examples.agent_health, 404, 503),
)
async def get_agent_health(name: AgentPath, parts: Parts) -> AgentHealthAnswer:
    """Whether the agent was heard of lately, and the newest sample of its machine."""
    return await parts.views.agent_health(name)


@router.post(
    "/agents/{name}/claim",
    operation_id="claim_job",
    summary="Ask for a job with a ticket in hand",
    responses=answers(200, examples.claim, 400, 404, 413, 415, 422, 503),
    openapi_extra=CLAIM_BODY,
)
async def claim_job(name: AgentPath, request: ClaimRequest, parts: Parts) -> ClaimAnswer:
    """The best ready job of the pool, or why there is none; the same `claimId` again gets the same answer."""
    return await parts.service.claim(name, request)


@router.post(
    "/agents/{name}/drain",
    operation_id="drain_agent",
    summary="Ask an agent to finish and leave",
    responses=answers(200, examples.agent, 400, 404, 413, 415, 422, 503),
    openapi_extra=DRAIN_BODY,
)
async def drain_agent(name: AgentPath, request: DrainRequest, parts: Parts) -> AgentView:
    """The agent finishes what it has in hand, takes nothing more and leaves."""
    return await parts.service.drain(name, request.reason)


@router.post(
    "/agents/{name}/undrain",
    operation_id="undrain_agent",
    summary="Let a draining agent take work again",
    responses=answers(200, examples.agent, 404, 409, 503),
)
async def undrain_agent(name: AgentPath, parts: Parts) -> AgentView:
    """The agent takes work again when what it has in hand is done; 409 says `agent_left`.

    One that leaves at this very moment may still do so: then its state soon is `Left`, and no build is lost.
    """
    return await parts.service.undrain(name)


@router.get(
    "/agents/{name}/logs",
    operation_id="get_agent_logs",
    summary="An agent's own log",
    status_code=307,
    response_class=Response,
    response_description="The scaler has the log, at `Location`.",
    responses=answers(307, None, 404, 422),
)
async def get_agent_logs(
    name: AgentPath,
    parts: Parts,
    follow: Annotated[bool, Query(description="Go on as the log grows.")] = False,  # noqa: FBT002 - a query parameter
) -> RedirectResponse:
    """Sends on to the scaler, which started the agent and keeps its log."""
    query = "?follow=1" if follow else ""
    return RedirectResponse(f"{parts.settings.scaler}/agents/{name}/logs{query}", status_code=307)


@router.get("/pools", operation_id="list_pools", summary="List pools", responses=answers(200, examples.pools, 503))
async def list_pools(parts: Parts) -> PoolList:
    """Every pool with what is ready, what runs, how long the oldest waits, and its agents."""
    return await parts.views.pools()
