"""`buildyard local`: the embedded farm in a terminal, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from buildyard.cli.exits import OK
from buildyard.cli.local import Farm
from buildyard.cli.session import Session

_Result = TypeVar("_Result")

_HANG_UP = getattr(signal, "SIGHUP", None)
_STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


@contextmanager
def on_stop_signals(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` in the running loop for every signal that asks this process to end."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    if before.get(_HANG_UP) is signal.SIG_IGN:  # nohup asked for a life beyond the terminal
        del before[_HANG_UP]
    for number in before:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def until_told(work: Awaitable[_Result]) -> _Result:
    """Wait for `work`; a signal that asks this process to end cancels it, so that it stops in order what it runs.

    A later signal changes nothing: the stop is under way.

    Raises:
        asyncio.CancelledError: a signal came.
    """
    task = asyncio.current_task()
    assert task is not None
    told = False

    def end() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()

    with on_stop_signals(end):
        return await work


class Stopping:
    """What requests to end do: the first begins an orderly stop, a second one ends the farm at once."""

    def __init__(self, farm: Farm, begin: Callable[[], object]) -> None:
        self.asked = False
        self._farm = farm
        self._begin = begin

    def __call__(self) -> None:
        """Take one request."""
        if self.asked:
            self._farm.kill()
        else:
            self.asked = True
            self._begin()


async def run_local(session: Session, data_dir: Path | None, *, open_port: bool) -> int:
    """Run a farm until a signal asks for its end; gives the exit code. Raises what `Farm.start` raises."""
    settings = session.settings
    output = session.output
    farm = Farm(
        data_dir or settings.data_dir,
        host=settings.host,
        port=0 if open_port else settings.port,
        scaler_port=0 if open_port else settings.scaler_port,
        env={"BUILDYARD_TOKEN": settings.token} if settings.token else {},
        grace_seconds=settings.grace_seconds,
        say=output.remark,
    )
    stop = asyncio.Event()
    with on_stop_signals(Stopping(farm, stop.set)):
        output.remark(f"Starting a farm in {farm.data_dir} …")
        if not await _started(farm, stop):
            return OK
        try:
            _greet(session, farm)
            await stop.wait()
            output.remark(f"Stopping; what runs has {settings.grace_seconds:g} s to finish, Ctrl-C again ends it now.")
        finally:
            await farm.stop()
        output.remark(f"Stopped. The data stay in {farm.data_dir}.")
    return OK


async def _started(farm: Farm, stop: asyncio.Event) -> bool:
    """Start the farm; False when its end was asked for meanwhile, and then it is stopped."""
    starting = asyncio.create_task(farm.start())
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if starting.done():
        await starting
        return True
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    return False


def _greet(session: Session, farm: Farm) -> None:
    header = ' -H "Authorization: Bearer $BUILDYARD_TOKEN"' if session.settings.token else ""
    lines = (
        "Buildyard runs. Ctrl-C stops it.",
        f"  API     {farm.api_url}  (its contract: {farm.api_url}/openapi.json)",
        f"  Scaler  {farm.scaler_url}/decisions",
        f"  Logs    {farm.logs}",
        "",
        f"  curl{header} -F file=@src.zip {farm.api_url}/upload",
        f"  buildyard --api-url {farm.api_url} submit . --follow",
    )
    for line in lines:
        session.output.line(line)
