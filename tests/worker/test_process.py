from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from buildyard.errors import InvalidRequest, NotFound
from worker.pipeline import StopCause
from worker.process import EndedBy, Launch, Limits, RawLines, run, started
from worker.stopping import StopSignal

_ENV = {"PATH": os.environ["PATH"]}
_ATTEMPT = f"{os.getpid()}-process-test/1"


def _launch(tmp_path: Path, *argv: str, timeout: float | None = 30, limits: Limits | None = None) -> Launch:
    return Launch(argv, tmp_path, _ENV, "linux-1-1", _ATTEMPT, timeout_seconds=timeout, limits=limits or Limits())


def _python(tmp_path: Path, code: str, timeout: float | None = 30) -> Launch:
    return _launch(tmp_path, sys.executable, "-c", code, timeout=timeout)


async def _ignore(_: RawLines) -> None:
    return None


def _marked_processes() -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environ = (folder / "environ").read_bytes()
            except OSError:
                continue
            if f"BUILDYARD_ATTEMPT={_ATTEMPT}".encode() in environ:
                found.append(int(folder.name))
    return found


async def _exists(path: Path) -> None:
    async with asyncio.timeout(60):
        while not path.exists():
            await asyncio.sleep(0.01)


async def test_a_child_tells_its_lines_and_its_exit_code(tmp_path: Path) -> None:
    lines: list[bytes] = []

    async def keep(batch: RawLines) -> None:
        lines.extend(line for line, _ in batch)

    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    end = await run(_python(tmp_path, code), keep)

    assert (end.ended_by, end.exit_code, lines, end.tail) == (EndedBy.EXITED, 3, [b"out", b"err"], ("out", "err"))


async def test_a_child_sees_exactly_the_given_environment_and_the_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDYARD_TOKEN", "secret")
    code = "import os; print(sorted(os.environ.items()), os.read(0, 10))"
    end = await run(_python(tmp_path, code), _ignore)

    assert "secret" not in end.tail[0]
    assert "('BUILDYARD_AGENT', 'linux-1-1')" in end.tail[0]
    assert f"('BUILDYARD_ATTEMPT', '{_ATTEMPT}')" in end.tail[0]
    assert end.tail[0].endswith("b''"), "its standard input is empty"


async def test_a_stopped_child_leaves_no_process_even_when_one_detached_itself_twice(tmp_path: Path) -> None:
    code = """
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        open('detached', 'w').write(str(os.getpid()))
        time.sleep(600)
    time.sleep(600)
subprocess.Popen(['sleep', '600'])
time.sleep(600)
"""
    stop = StopSignal()
    running = asyncio.create_task(run(_python(tmp_path, code), _ignore, stop))
    await _exists(tmp_path / "detached")

    stop.stop(StopCause.CANCELLED)
    end = await running

    assert end.ended_by is EndedBy.STOPPED
    assert _marked_processes() == []


async def test_a_process_left_behind_by_a_finished_child_is_ended(tmp_path: Path) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True); print('done')"
    end = await run(_python(tmp_path, code), _ignore)

    assert (end.exit_code, end.tail) == (0, ("done",))
    assert _marked_processes() == []


async def test_an_orphan_without_markers_is_found_by_a_process_that_adopts(tmp_path: Path) -> None:
    inner = "import os,time; os.setsid(); open('orphan', 'w').write(str(os.getpid())); time.sleep(600)"
    outer = f"""
import subprocess, sys, os, time
subprocess.Popen([sys.executable, '-c', {inner!r}], env={{}})
while not os.path.exists('orphan'): time.sleep(0.01)
"""
    host = f"""
import asyncio, pathlib
from worker.process import *
become_subreaper()
async def ignore(lines): pass
launch = Launch(({sys.executable!r}, '-c', {outer!r}), pathlib.Path({str(tmp_path)!r}), {{}}, 'a', 'b/1')
print(asyncio.run(run(launch, ignore)).exit_code)
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", host], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "0\n"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "orphan").read_text()), 0)


async def test_a_child_that_ignores_term_is_killed(tmp_path: Path) -> None:
    code = "import signal,time; signal.signal(15, signal.SIG_IGN); open('ready','w').close(); time.sleep(600)"
    async with started(_python(tmp_path, code), merge_errors=True) as child:
        await _exists(tmp_path / "ready")
        assert await child.end(grace=0.2)

    assert child.described(EndedBy.STOPPED).signal_name == "SIGKILL"
    assert _marked_processes() == []


async def test_a_frozen_child_ends_too(tmp_path: Path) -> None:
    async with started(_launch(tmp_path, "sleep", "600"), merge_errors=True) as child:
        os.kill(child.pid, signal.SIGSTOP)
        assert await child.end()

    assert child.described(EndedBy.STOPPED).signal_name == "SIGTERM"


async def test_a_child_beyond_its_time_limit_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    end = await run(_launch(tmp_path, "sh", "-c", "sleep 600 & sleep 600", timeout=0.2), _ignore)

    assert end.ended_by is EndedBy.TIMED_OUT
    assert time.monotonic() - began < 60, "its commands sleep for ten minutes"
    assert _marked_processes() == []


async def test_a_line_of_100_mb_costs_no_memory(tmp_path: Path) -> None:
    sizes: list[tuple[int, int]] = []

    async def keep(batch: RawLines) -> None:
        sizes.extend((len(line), dropped) for line, dropped in batch)

    tracemalloc.start()
    try:
        end = await run(_launch(tmp_path, "sh", "-c", "head -c 104857600 /dev/zero; echo; echo end"), keep)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert end.tail[-1] == "end"
    assert sizes == [(16384, 104857600 - 16384), (3, 0)]
    assert peak < 5_000_000


async def test_a_slow_sink_slows_the_child_and_loses_nothing(tmp_path: Path) -> None:
    count = 0

    async def slow(batch: RawLines) -> None:
        nonlocal count
        count += len(batch)
        await asyncio.sleep(0.02)

    end = await run(_launch(tmp_path, "seq", "1", "100000"), slow)

    assert (end.exit_code, count) == (0, 100_000)


async def test_an_error_of_the_sink_ends_the_child(tmp_path: Path) -> None:
    async def broken(_: RawLines) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await run(_launch(tmp_path, "sh", "-c", "echo x; sleep 600"), broken)
    assert _marked_processes() == []


async def test_a_cancelled_caller_leaves_no_process(tmp_path: Path) -> None:
    running = asyncio.create_task(run(_launch(tmp_path, "sh", "-c", "echo >ready; sleep 600"), _ignore))
    await _exists(tmp_path / "ready")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert _marked_processes() == []


async def test_a_caller_that_is_cancelled_while_its_child_starts_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    start = loop.subprocess_exec

    async def slow(*arguments: Any, **more: Any) -> Any:
        transport = await start(*arguments, **more)
        await _exists(tmp_path / "ready")  # the child has started one of its own, and nobody knows it yet
        running.cancel()
        await asyncio.sleep(0)
        return transport

    monkeypatch.setattr(loop, "subprocess_exec", slow)
    running = asyncio.create_task(run(_launch(tmp_path, "sh", "-c", "sleep 600 & echo >ready; wait"), _ignore))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert _marked_processes() == []


async def test_a_missing_program_a_missing_interpreter_and_a_missing_folder_are_told_apart(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    plain = tmp_path / "plain"
    plain.write_text("text\n")

    with pytest.raises(NotFound, match="program `no-such-program` is not there"):
        await run(_launch(tmp_path, "no-such-program"), _ignore)
    with pytest.raises(NotFound, match="interpreter"):
        await run(_launch(tmp_path, str(script)), _ignore)
    with pytest.raises(NotFound, match="folder"):
        await run(_launch(tmp_path / "nowhere", "true"), _ignore)
    with pytest.raises(InvalidRequest, match="Permission denied"):
        await run(_launch(tmp_path, str(plain)), _ignore)
    with pytest.raises(InvalidRequest, match="cannot be started"):
        await run(_launch(tmp_path, "true", "nul\0byte"), _ignore)


async def test_a_child_cannot_write_a_larger_file_than_allowed(tmp_path: Path) -> None:
    code = "import time; time.sleep(0.2); open('big', 'wb').write(bytes(2_000_000))"
    launch = _launch(tmp_path, sys.executable, "-c", code, limits=Limits(file_bytes=1_000_000))
    end = await run(launch, _ignore)

    assert end.exit_code != 0
    assert (tmp_path / "big").stat().st_size <= 1_000_000


async def test_a_signal_is_named(tmp_path: Path) -> None:
    end = await run(_launch(tmp_path, "sh", "-c", "kill -SEGV $$"), _ignore)

    assert (end.ended_by, end.exit_code, end.signal_name) == (EndedBy.SIGNAL, None, "SIGSEGV")
