"""The least that accepts a build: FastAPI, one model, one insert, one commit. What `bench api` is measured beside.

It has the same web server, the same database library and settings, and the same body; it checks the body's shape,
writes one row with its own connection and transaction, and answers with the row's id. `python -m bench.bare URL`.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import BigInteger, Column, MetaData, String, Table, Text, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from buildyard.clock import SystemClock
from orchestrator.store.engine import open_store

_TABLE = Table(
    "bare",
    MetaData(),
    Column("id", String(36), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)


class Wanted(BaseModel):
    """What is asked for."""

    project_name: str
    git_url: str
    branch: str = "main"


class Accepted(BaseModel):
    """The answer."""

    id: str


def make_app(engine: AsyncEngine) -> FastAPI:
    """The application on a database."""
    app, clock = FastAPI(), SystemClock()
    one_writer = asyncio.Lock() if engine.dialect.name == "sqlite" else None

    async def store(values: dict[str, object]) -> None:
        async with engine.begin() as connection:
            await connection.execute(insert(_TABLE).values(values))

    @app.post("/builds", status_code=202)
    async def add(wanted: Wanted) -> Accepted:
        build_id = clock.new_id()
        values = {"id": build_id, "created_at": int(clock.now().timestamp() * 1e6), "body": wanted.model_dump_json()}
        if one_writer is None:
            await store(values)
        else:
            async with one_writer:
                await store(values)
        return Accepted(id=build_id)

    return app


async def serve(url: str) -> None:
    """Serve on a free port until terminated."""
    engine = open_store(url, SystemClock()).writer
    async with engine.begin() as connection:
        await connection.run_sync(_TABLE.metadata.create_all)
    listening = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # so that asyncio sets TCP_NODELAY
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    server = uvicorn.Server(uvicorn.Config(make_app(engine), log_config=None, access_log=False, lifespan="off"))
    sys.stdout.write(f"ready http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve([listening])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
