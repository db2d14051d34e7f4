from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from buildyard.contracts.builds import JobKind, Outcome, ReasonCode, RowResult, RowSpan, RowsPart, UploadKind
from buildyard.contracts.messages import Heartbeat, RowsDone
from buildyard.project.call_section import CallOptions
from tests.contract.http_stub import http_stub, reply
from tests.slow_service import SlowService, slow_service
from tests.worker.fakes import UPLOAD_KEY, Rig, job_spec, rig_of, upload_of, upload_rig, zipped
from worker.batch.chunks import cut, rows_per_call_job
from worker.calls.calls_job import shared_options
from worker.pipeline import StopCause

QUICK = """
read_seconds = 60
whole_seconds = 120
backoff_seconds = 0.02
backoff_max_seconds = 0.1
retry_after_max_seconds = 0.05
rate_per_second = 1000
"""


async def rows_rig(
    tmp_path: Path,
    values: list[dict[str, str]],
    config: str = "",
    *,
    hosts: str = "",
    done: tuple[int, ...] = (),
    lease: float = 30,
) -> Rig:
    """A job of calls over these rows; with `config` its [call] section."""
    content = zipped({"buildyard.toml": f"[call]\nrows = 'a.csv'\n{config}"}) if config else b"a\n1\n"
    body = "".join(json.dumps({"row": n, "values": row}) + "\n" for n, row in enumerate(values, 1)).encode()
    part = RowsPart(
        span=RowSpan(first=1, count=len(values)),
        key="rows.jsonl",
        byte_start=0,
        byte_end=len(body),
        handler="call",
        done=done,
    )
    spec = job_spec(upload_of(content, UploadKind.ZIP if config else UploadKind.CSV), JobKind.ROWS, rows=part)
    rig = rig_of(tmp_path, spec.model_copy(update={"lease_seconds": lease}), call_hosts=hosts)
    await rig.objects.put(UPLOAD_KEY, content)
    await rig.objects.put("rows.jsonl", body)
    return rig


def told(rig: Rig) -> list[RowResult]:
    return [row for report in rig.reports.of(RowsDone) for row in report.rows]


def orders(service: SlowService, count: int) -> list[dict[str, str]]:
    return [{"url": f"{service.address}/orders/{number}", "method": "GET"} for number in range(1, count + 1)]


async def test_each_row_is_called_once_with_its_key_and_gets_its_result(tmp_path: Path) -> None:
    async with slow_service("--latency", "0.01") as service:
        rig = await rows_rig(tmp_path, orders(service, 12), hosts=service.place)
        finished = await rig.run()
        stats = await service.stats()

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert finished.reason == "12 rows done."
    results = sorted([*told(rig), *finished.rows], key=lambda row: row.row)
    assert [row.row for row in results] == list(range(1, 13))
    assert all(row.ok and row.result["status"] == 200 and row.result["attempts"] == 1 for row in results)
    assert json.loads(str(results[4].result["body"]))["path"] == "/orders/5"
    build = rig.attempt.spec.build_id
    assert stats["keys"] == {f"{build}-{row}": {"calls": 1, "done": 1} for row in range(1, 13)}
    assert 1 < stats["mostAtOnce"] <= 8
    assert all(len(report.rows) == 1 for report in rig.reports.of(RowsDone))


async def test_under_every_fault_each_row_ends_with_one_result_in_bounded_tries(tmp_path: Path) -> None:
    faults = ("--fail-rate", "0.15", "--busy-rate", "0.1", "--hang-rate", "0.05", "--cut-rate", "0.1")
    async with slow_service("--latency", "0.01", "--jitter", "0.01", "--seed", "3", *faults) as service:
        patient = "[call.breaker]\nfailures = 20\n"
        hasty = QUICK.replace("read_seconds = 60", "read_seconds = 0.3")
        config = f"{hasty}concurrency = 6\ntries = 3\nfields = ['path', 'number']\n{patient}"
        rig = await rows_rig(tmp_path, orders(service, 30), config, hosts=service.place)
        finished = await rig.run()
        stats = await service.stats()

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    results = {row.row: row for row in told(rig)}
    assert len(told(rig)) == len(results) == 30
    for row, result in results.items():
        calls = stats["keys"][f"{rig.attempt.spec.build_id}-{row}"]["calls"]
        assert result.result["attempts"] == calls <= 3
        if result.ok:
            assert result.result["fields"] == {"path": f"/orders/{row}", "number": result.result["fields"]["number"]}  # type: ignore[index]
        else:
            assert result.error.endswith("It was tried 3 times.")
    assert sum(result.ok for result in results.values()) > 20
    hung = stats["ends"].get("hung", 0)
    assert stats["mostAtOnce"] <= 6 + hung, "the service may learn late that nobody waits for a call that hangs"
    log = await rig.log_text()
    assert "answered 500" in log
    assert "asks for a pause" in log
    assert "no answer within 0.3 s" in log
    assert "broke off the connection" in log


async def test_what_a_service_limits_is_waited_for(tmp_path: Path) -> None:
    async with slow_service("--latency", "0", "--rate-limit", "5") as service:
        config = QUICK.replace("retry_after_max_seconds = 0.05", "retry_after_max_seconds = 1") + "tries = 10\n"
        rig = await rows_rig(tmp_path, orders(service, 14), config, hosts=service.place)
        await rig.run()
        stats = await service.stats()

    assert all(row.ok for row in told(rig)), told(rig)
    assert stats["ends"]["200"] == 14
    assert 0 < stats["ends"]["429"] < 14, "one pause holds all calls, not only the refused one"


async def test_a_pause_asked_of_one_row_holds_the_others_too(tmp_path: Path) -> None:
    came: list[tuple[str, float]] = []
    clock = asyncio.get_running_loop().time

    async def busy(writer: asyncio.StreamWriter) -> None:
        came.append(("/1", clock()))
        status = "429 X" if len(came) <= 2 else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nRetry-After: 9\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    async def slow(writer: asyncio.StreamWriter) -> None:
        came.append(("/2", clock()))
        await asyncio.sleep(0.2)
        await reply(b"ok")(writer)

    async def plain(writer: asyncio.StreamWriter) -> None:
        came.append(("/3", clock()))
        await reply(b"ok")(writer)

    async with http_stub() as stub:
        stub.answers = {"/1": busy, "/2": slow, "/3": plain}
        rows = [{"url": f"http://127.0.0.1:{stub.port}/{number}"} for number in (1, 2, 3)]
        config = "concurrency = 2\nretry_after_max_seconds = 0.7\nbackoff_seconds = 0.01\n"
        rig = await rows_rig(tmp_path, rows, config, hosts=f"127.0.0.1:{stub.port}")
        await rig.run()

    first = {path: min(at for name, at in came if name == path) for path in ("/1", "/2", "/3")}
    assert all(row.ok for row in told(rig)), told(rig)
    assert first["/3"] - first["/1"] >= 0.65, "the third row's call began while the service wanted peace"


async def test_the_service_itself_never_counts_more_calls_than_the_rate(tmp_path: Path) -> None:
    most: list[int] = []
    while not most or (most[-1] > 13 and len(most) < 3):  # a machine that stalls bunches calls on their way
        folder = tmp_path / str(len(most))
        folder.mkdir()
        async with slow_service("--latency", "0.2") as service:
            config = "rate_per_second = 10\nburst = 1\n"
            rig = await rows_rig(folder, orders(service, 15), config, hosts=service.place)
            began = asyncio.get_running_loop().time()
            await rig.run()
            assert asyncio.get_running_loop().time() - began >= 1.3, "14 calls beyond the burst take 100 ms each"
            stats = await service.stats()
        assert (stats["calls"], stats["ends"]) == (15, {"200": 15})
        most.append(stats["mostInASecond"])

    assert most[-1] <= 13, "11 as they leave; a loaded machine may bunch a few as they come"


async def test_a_dead_service_is_given_up_and_every_row_says_why(tmp_path: Path) -> None:
    async with slow_service("--latency", "0", "--fail-rate", "1") as service:
        breaker = "[call.breaker]\ncalls = 4\nfailures = 4\ncool_down_seconds = 0.05\nopenings = 3\n"
        rig = await rows_rig(tmp_path, orders(service, 200), QUICK + breaker, hosts=service.place)
        finished = await rig.run()
        stats = await service.stats()

    assert finished.outcome is Outcome.SUCCEEDED
    assert len(told(rig)) == 200
    assert not any(row.ok for row in told(rig))
    assert told(rig)[-1].error.startswith(f"{service.place} did not recover: its circuit breaker opened 3 times")
    assert stats["calls"] <= 4 + 8 + 3, "the window, what was on its way with it, and the probes"
    log = await rig.log_text()
    for change in ("closed -> open", "open -> half-open", "half-open -> open"):
        assert f"circuit breaker of {service.place}: {change}" in log


async def test_rows_that_are_recorded_are_not_called_again(tmp_path: Path) -> None:
    async with slow_service("--latency", "0") as service:
        rig = await rows_rig(tmp_path, orders(service, 6), hosts=service.place, done=(1, 2, 5))
        await rig.run()
        stats = await service.stats()

    assert sorted(row.row for row in told(rig)) == [3, 4, 6]
    assert {key.rpartition("-")[2] for key in stats["keys"]} == {"3", "4", "6"}


async def test_no_slot_calls_on_before_its_result_is_confirmed(tmp_path: Path) -> None:
    async with slow_service("--latency", "0") as service:
        rig = await rows_rig(tmp_path, orders(service, 10), "concurrency = 2\n", hosts=service.place)
        confirming = rig.reports.confirm

        async def only_heartbeats(report: Any) -> None:
            if isinstance(report, Heartbeat):
                rig.reports.send(report)
            else:
                await confirming(report)

        rig.reports.confirm = only_heartbeats  # type: ignore[method-assign]
        rig.reports.before_confirm.clear()
        running = asyncio.create_task(rig.run())
        async with asyncio.timeout(120):
            while len(told(rig)) < 2:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # in which the slots would call on
        assert (await service.stats())["calls"] == 2

        rig.reports.before_confirm.set()
        await running
    assert len(told(rig)) == 10


async def test_calls_end_with_their_lease(tmp_path: Path) -> None:
    async with slow_service("--latency", "0.05") as service:
        rig = await rows_rig(tmp_path, orders(service, 1000), "concurrency = 2\n", hosts=service.place, lease=1)
        running = asyncio.create_task(rig.run())
        async with asyncio.timeout(120):
            while not told(rig) and not running.done():  # a machine that stalls may cut it off before
                await asyncio.sleep(0.01)
        rig.reports.before_confirm.clear()  # the broker is away: nothing is confirmed any more
        async with asyncio.timeout(120):
            finished = await running
        calls = (await service.stats())["calls"]
        await asyncio.sleep(0.3)
        assert (await service.stats())["calls"] == calls, "a call went out after the lease"

    assert rig.attempt.stop.cause is StopCause.CUT_OFF
    assert finished.outcome is Outcome.HANDED_BACK


async def test_a_stopped_job_ends_at_once_and_keeps_what_it_finished(tmp_path: Path) -> None:
    async with slow_service("--latency", "0", "--hang-rate", "0.5", "--seed", "5") as service:
        rig = await rows_rig(tmp_path, orders(service, 100), hosts=service.place)
        running = asyncio.create_task(rig.run())
        async with asyncio.timeout(120):
            while not told(rig):
                await asyncio.sleep(0.01)
        rig.attempt.stop.stop(StopCause.CANCELLED)
        async with asyncio.timeout(60):
            finished = await running
        stats = await service.stats()

    assert finished.outcome is Outcome.CANCELLED
    rows = Counter(row.row for row in (*told(rig), *finished.rows))
    assert set(rows.values()) == {1}
    assert len(rows) <= stats["ends"]["200"] + stats["ends"].get("429", 0)


async def test_bad_rows_fail_alone_and_nothing_is_sent_for_them(tmp_path: Path) -> None:
    async with slow_service("--latency", "0") as service:
        good = f"{service.address}/good"
        rows = [
            {"url": good, "header_x": "ok"},
            {"url": "", "header_x": ""},
            {"url": "http://169.254.169.254/latest", "header_x": ""},
            {"url": good, "header_x": "a\r\nEvil: yes"},
            {"url": good, "header_x": "", "method": "CONNECT"},
        ]
        rig = await rows_rig(tmp_path, rows, hosts=service.place)
        finished = await rig.run()
        stats = await service.stats()

    assert finished.outcome is Outcome.SUCCEEDED
    results = sorted(told(rig), key=lambda row: row.row)
    assert [row.ok for row in results] == [True, False, False, False, False]
    assert "BUILDYARD_CALL_HOSTS lists the services that may be called." in results[2].error
    assert stats["calls"] == 1


async def test_no_secret_of_a_row_stands_in_the_log_or_in_a_result(tmp_path: Path) -> None:
    async with slow_service("--latency", "0", "--fail-rate", "0.5") as service:
        rows = [
            {"url": f"{service.address}/{n}?key=s3cr3t-in-query", "header_authorization": "Bearer s3cr3t-token"}
            for n in range(8)
        ]
        rig = await rows_rig(tmp_path, rows, f"{QUICK}tries = 1\nkeep_bytes = 0\n", hosts=service.place)
        finished = await rig.run()

    everything = "".join(row.encode().decode() for row in (*told(rig), *finished.rows)) + await rig.log_text()
    assert any(not row.ok for row in told(rig))
    assert "s3cr3t" not in everything


# ---------------------------------------------------------------- the first job of such a build
CSV = b"url,method\nhttp://127.0.0.1:9/a,GET\nhttp://127.0.0.1:9/b,GET\n"


async def test_a_csv_with_a_column_url_becomes_one_job_of_calls(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, CSV, UploadKind.CSV, call_hosts="127.0.0.1:9")
    finished = await rig.run()

    assert finished.found is not None, finished.reason
    assert (finished.found.handler, len(finished.found.chunks), finished.toolchain) == ("call", 1, "call")


async def test_a_csv_of_calls_is_refused_where_nobody_may_be_called(tmp_path: Path) -> None:
    finished = await (await upload_rig(tmp_path, CSV, UploadKind.CSV)).run()

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert "BUILDYARD_CALL_HOSTS is empty. Its operator sets it" in finished.reason


async def test_with_the_toolchain_batch_addresses_are_data(tmp_path: Path) -> None:
    finished = await (await upload_rig(tmp_path, CSV, UploadKind.CSV, toolchain="batch")).run()

    assert finished.found is not None, finished.reason
    assert (finished.found.handler, len(finished.found.chunks), finished.toolchain) == ("builtin", 2, "batch")


async def test_asked_to_call_a_csv_without_addresses_is_refused(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, b"a\n1\n", UploadKind.CSV, toolchain="call", call_hosts="127.0.0.1:9")
    finished = await rig.run()

    assert finished.reason_code is ReasonCode.CONFIGURATION_REFUSED
    assert "no column `url`" in finished.reason


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        ("url = 'http://127.0.0.1:9/{id}'", None, ""),
        ("url = 'http://127.0.0.1:9/{name}'", ReasonCode.CONFIGURATION_REFUSED, "the column 'name'"),
        ("url = 'http://127.0.0.2:9/{id}'", ReasonCode.SOURCE_REFUSED, "not allowed on this farm"),
        ("url = 'http://{id}/'", ReasonCode.CONFIGURATION_REFUSED, "without a column in the host"),
        ("url = 'ftp://127.0.0.1:9/'", ReasonCode.CONFIGURATION_REFUSED, "must begin with https://"),
        ("", ReasonCode.CONFIGURATION_REFUSED, "no column `url`"),
        ("headers = { Host = 'x' }", ReasonCode.CONFIGURATION_REFUSED, "no header that a call may set"),
        ("headers = { a = '1', A = '2' }", ReasonCode.CONFIGURATION_REFUSED, "is named twice"),
        ("method = 'CONNECT'", ReasonCode.CONFIGURATION_REFUSED, "call.method"),
        ("concurrency = 0", ReasonCode.CONFIGURATION_REFUSED, "call.concurrency"),
        ("concurrency = 65", ReasonCode.CONFIGURATION_REFUSED, "call.concurrency"),
        ("rate_per_second = nan", ReasonCode.CONFIGURATION_REFUSED, "call.rate_per_second"),
        ("rate_per_second = inf", ReasonCode.CONFIGURATION_REFUSED, "call.rate_per_second"),
        ("whole_seconds = 601", ReasonCode.CONFIGURATION_REFUSED, "call.whole_seconds"),
        ("tries = 21", ReasonCode.CONFIGURATION_REFUSED, "call.tries"),
        ("fields = ['a..b']", ReasonCode.CONFIGURATION_REFUSED, "call.fields"),
        ("proxy = 'http://x'", ReasonCode.CONFIGURATION_REFUSED, "call.proxy"),
        ("[call.breaker]\nfailures = 21", ReasonCode.CONFIGURATION_REFUSED, "failures cannot be more than calls"),
        ("[call.body]\na = '{'", ReasonCode.CONFIGURATION_REFUSED, "brace without its partner"),
        ("[batch]\nrows = 'a.csv'\nrun = ['x']", ReasonCode.CONFIGURATION_REFUSED, "cannot both have the rows"),
    ],
)
async def test_a_call_section_is_followed_or_refused_by_name(
    config: str, code: ReasonCode | None, words: str, tmp_path: Path
) -> None:
    content = zipped({"buildyard.toml": f"[call]\nrows = 'data.csv'\n{config}\n", "data.csv": "id\n1\n2\n3\n"})
    finished = await (await upload_rig(tmp_path, content, call_hosts="127.0.0.1:9")).run()

    if code is None:
        assert finished.found is not None, finished.reason
        assert (finished.found.handler, finished.toolchain) == ("call", "call")
        assert finished.toolchain_why == "call, because buildyard.toml has a [call] section."
    else:
        assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, code), finished.reason
        assert words in finished.reason


# ---------------------------------------------------------------- sharing the limits
@pytest.mark.parametrize(("rows", "asked", "jobs"), [(60, None, 1), (60, 1, 4), (60, 30, 2), (3, 1, 3), (60, 100, 1)])
def test_jobs_of_one_build_keep_its_limits_together(rows: int, asked: int | None, jobs: int) -> None:
    options = CallOptions(concurrency=8, rate_per_second=10, burst=4)
    chunks = cut(range(rows + 1), rows_per_call_job(rows, asked, options.most_jobs))
    assert len(chunks) == jobs
    share = shared_options(options, len(chunks))
    assert share.concurrency * jobs <= 8
    assert (share.burst or 0) * jobs <= 4
    assert share.rate_per_second * jobs <= 10 + 1e-9
