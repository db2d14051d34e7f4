"""The scaler's API over a loop with fakes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import httpx
import pytest

from buildyard.contracts.agents import AgentState
from buildyard.contracts.api import DecisionList, HealthAnswer, Problem, WorkerList
from buildyard.contracts.health import ScalerHealth
from buildyard.contracts.scaling import PoolConfig
from buildyard.errors import BrokerUnavailable, ProducerUnavailable, TemporaryError, UnreadableMessage
from buildyard.ports import Uncounted
from buildyard.settings import Settings, load_settings
from scaler.api import create_app
from scaler.explaining import Explainer
from scaler.loop import Parts, PoolLoop
from scaler.record import DecisionRecord
from scaler.status import ScalerStatus
from tests.scaler.fakes import FakeBroker, FakeClock, FakeExecutor, FakeProducer


class Api:
    """The API of one pool's loop."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.clock = FakeClock()
        self.producer, self.broker, self.executor = FakeProducer(), FakeBroker(), FakeExecutor(self.clock)
        self.record = DecisionRecord(folder / "decisions")
        parts = Parts(self.producer, self.broker, self.executor, self.record, self.clock)
        self.loop = PoolLoop(PoolConfig(name="linux"), parts, 1)
        self.status = ScalerStatus([self.loop], [self.executor], self.clock)
        self.explainer = Explainer(self.record, {"linux": self.loop}, self.producer, self.clock)
        app = create_app(self.status, self.explainer, settings, self.clock)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080")

    async def close(self) -> None:
        await self.http.aclose()
        self.record.close()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = Api(tmp_path, load_settings(data_dir=tmp_path))
    yield made
    await made.close()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Api]:
    """As it is bound to all addresses, with a token."""
    made = Api(tmp_path, load_settings(data_dir=tmp_path, host="0.0.0.0", token="s3cret", allowed_hosts="farm.example"))
    yield made
    await made.close()


async def test_decisions_come_newest_first_and_can_be_read_on_from(api: Api) -> None:
    for ready in (0, 41, 41):
        api.producer.ready = api.broker.ready = ready
        await api.loop.tick("tick")

    all_of_them = DecisionList.model_validate_json((await api.http.get("/decisions")).content)
    newer = DecisionList.model_validate_json((await api.http.get("/decisions?since=1&limit=1&pool=linux")).content)

    assert [decision.plan.code for decision in all_of_them.decisions] == ["workers_coming", "burst", "nothing_to_do"]
    assert [decision.number for decision in newer.decisions] == [3]
    assert newer.next_cursor == "3"
    assert (await api.http.get("/decisions?pool=docker")).json() == {"decisions": [], "nextCursor": None}


async def test_a_wrong_query_is_a_problem_that_names_the_field(api: Api) -> None:
    answer = await api.http.get("/decisions?limit=0")

    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert (problem.code, problem.errors[0]["field"]) == ("invalid_request", "limit")
    assert problem.detail == "limit is wrong: Input should be greater than or equal to 1."


async def test_workers_are_shown_with_what_they_do_and_the_readings_beside_them(api: Api) -> None:
    api.producer.ready = api.broker.ready = 41
    api.broker.further = (Uncounted("rabbitmq management", "It cannot be reached."),)
    await api.loop.tick("tick")
    api.producer.registry = {"linux-1-1": AgentState.BUSY, "linux-2-1": AgentState.IDLE}
    api.producer.ready = api.broker.ready = 40
    await api.loop.tick("tick")
    api.executor.end("linux-3-1", 4)

    workers = WorkerList.model_validate_json((await api.http.get("/agents")).content)

    assert {worker.name: worker.state for worker in workers.workers} == {
        "linux-1-1": "Busy",
        "linux-2-1": "Idle",
        "linux-3-1": "Exited",
        "linux-4-1": "Pending",
        "linux-5-1": "Pending",
    }
    assert workers.readings["linux"]["ready"].value == 40
    merged = {"ready", "leases", "queueReady", "queueUnacked", "queueTotal"}
    alone = {"fake.ready", "fake.unacked", "rabbitmqManagement.total"}
    assert set(workers.readings["linux"]) == merged | alone
    assert workers.readings["linux"]["rabbitmqManagement.total"].cause == "It cannot be reached."
    assert "Rabbitmq management cannot confirm it." in workers.readings["linux"]["queueUnacked"].cause


async def test_workers_that_cannot_be_seen_are_a_problem_and_not_an_empty_list(api: Api) -> None:
    api.executor.trouble = TemporaryError("The workers' folder cannot be read.", remedy="Mount it.")

    answer = await api.http.get("/agents")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (answer.json()["detail"], answer.json()["remedy"]) == ("The workers' folder cannot be read.", "Mount it.")


async def test_workers_of_one_executor_are_shown_while_another_one_is_away(api: Api) -> None:
    away = FakeExecutor(api.clock)
    away.trouble = TemporaryError("The engine does not answer.")
    status = ScalerStatus([api.loop], [away, api.executor], api.clock)
    await api.executor.start("linux-1-1")

    found = await status.workers()

    assert [worker.name for worker in found.workers] == ["linux-1-1"]
    assert found.troubles == ("The engine does not answer.",)
    assert await status.executor_of("linux-1-1") is api.executor
    with pytest.raises(TemporaryError, match="does not answer"):
        await status.executor_of("docker-1-1")


async def test_a_failure_of_our_own_tells_no_internals(api: Api) -> None:
    api.executor.trouble = UnreadableMessage("The password is s3cret.")

    answer = await api.http.get("/agents")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "s3cret" not in answer.text


async def test_a_log_is_plain_text_without_codes_that_steer_a_terminal(api: Api) -> None:
    await api.executor.start("linux-1-1")
    api.executor.text = "fine \N{SNOWMAN}\n\x1b[2Jgone\x07 \x9b31m\r\n".encode() + b"\xff\n"

    answer = await api.http.get("/agents/linux-1-1/logs?tail=7&follow=1")

    assert answer.text == "fine \N{SNOWMAN}\n[2Jgone 31m\n\N{REPLACEMENT CHARACTER}\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert api.executor.read == [("linux-1-1", True, 7)]


@pytest.mark.parametrize("name", ["linux-9-9", "..%2F..%2Fetc", "UPPER"])
async def test_a_log_of_nobody_is_not_found(api: Api, name: str) -> None:
    answer = await api.http.get(f"/agents/{name}/logs")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("POST", "/decisions", 405)])
async def test_what_is_not_there_is_a_problem_too(api: Api, method: str, path: str, status: int) -> None:
    answer = await api.http.request(method, path)

    assert Problem.model_validate_json(answer.content).status == answer.status_code == status


async def test_the_first_page_says_where_things_are(api: Api) -> None:
    text = (await api.http.get("/")).text

    assert "/decisions" in text
    assert "http://127.0.0.1:8000" in text


async def test_the_description_of_the_api_names_its_answers(api: Api) -> None:
    paths = (await api.http.get("/openapi.json")).json()["paths"]

    assert set(paths) == {"/decisions", "/why", "/whatif", "/agents", "/agents/{name}/logs", "/healthz", "/livez"}


# ------------------------------------------------------------------------------------------------ health


async def health(api: Api) -> tuple[int, HealthAnswer]:
    answer = await api.http.get("/healthz")
    return answer.status_code, HealthAnswer.model_validate_json(answer.content)


async def test_health_before_the_first_decision_is_starting(api: Api) -> None:
    status, answer = await health(api)

    assert (status, answer.status) == (503, "starting")


async def test_health_tells_what_the_scaler_itself_uses(api: Api) -> None:
    before = ScalerHealth.model_validate_json((await api.http.get("/healthz")).content).process
    after = ScalerHealth.model_validate_json((await api.http.get("/healthz")).content).process

    assert before is not None
    assert after is not None
    assert 0 < before.cpu_seconds <= after.cpu_seconds
    assert after.memory_bytes is None or after.memory_bytes > 1_000_000


async def test_health_is_well_when_every_part_answers(api: Api) -> None:
    await api.loop.tick("tick")

    status, answer = await health(api)

    assert (status, answer.status) == (200, "ok")
    assert [check.name for check in answer.checks] == ["producer", "broker", "executor", "loop"]


async def test_a_silent_second_source_is_told_and_takes_nobody_out_of_service(api: Api) -> None:
    api.broker.further = (Uncounted("rabbitmq management", "It cannot be reached."),)
    await api.loop.tick("tick")

    status, answer = await health(api)

    assert (status, answer.status) == (200, "ok")
    assert answer.checks[1].detail == "It answers. linux: rabbitmq management: It cannot be reached."


@pytest.mark.parametrize("part", ["producer", "broker", "executor"])
async def test_health_names_the_part_that_does_not_answer(api: Api, part: str) -> None:
    trouble = {"producer": ProducerUnavailable("No producer."), "broker": BrokerUnavailable("No broker.")}
    getattr(api, part).trouble = trouble.get(part, TemporaryError("No executor."))
    await api.loop.tick("tick")

    status, answer = await health(api)

    assert (status, answer.status) == (503, "degraded")
    assert [(check.name, check.detail) for check in answer.checks if not check.ok] == [(part, f"linux: No {part}.")]


async def test_a_broker_that_is_contradicted_still_answers(api: Api) -> None:
    api.producer.ready = 5
    await api.loop.tick("tick")

    assert (await health(api))[0] == 200


async def test_a_loop_that_hangs_is_not_well(api: Api) -> None:
    await api.loop.tick("tick")
    api.clock.seconds += 11

    status, answer = await health(api)

    assert (status, answer.checks[3].detail) == (503, "linux: no decision for 11 s.")


async def test_a_scaler_that_stops_says_so(api: Api) -> None:
    await api.loop.tick("tick")
    api.status.stopping = True

    assert (await health(api))[1].status == "stopping"


# ------------------------------------------------------------------------------------------------ guard


@pytest.mark.parametrize("headers", [{"Host": "evil.example:8080"}, {"Origin": "http://evil.example"}])
async def test_a_foreign_host_or_page_is_refused(api: Api, headers: dict[str, str]) -> None:
    answer = await api.http.get("/", headers=headers)

    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "http://127.0.0.1:8000"])
async def test_our_own_pages_are_let_in(api: Api, origin: str) -> None:
    assert (await api.http.get("/", headers={"Origin": origin})).status_code == 200


@pytest.mark.parametrize("path", ["/decisions", "/agents", "/", "/openapi.json", "/%68ealthz", "/healthz/"])
async def test_without_the_token_nothing_is_told(guarded: Api, path: str) -> None:
    assert (await guarded.http.get(path, headers={"Authorization": "Bearer wrong"})).status_code == 401


async def test_with_the_token_everything_is(guarded: Api) -> None:
    assert (await guarded.http.get("/decisions", headers={"Authorization": "bearer s3cret"})).status_code == 200


async def test_a_probe_needs_no_token(guarded: Api) -> None:
    await guarded.loop.tick("tick")

    assert (await guarded.http.get("/healthz", headers={"Host": "10.1.2.3:8080"})).status_code == 200
    assert (await guarded.http.get("/livez", headers={"Host": "10.1.2.3:8080"})).status_code == 200


async def test_an_odd_form_of_a_path_leads_nowhere(api: Api) -> None:
    await api.executor.start("linux-1-1")

    assert (await api.http.get("/agents/linux-1-1/logs")).status_code == 200
    assert (await api.http.get("/agents%2flinux-1-1%2flogs")).status_code == 404


async def test_what_nobody_expected_is_a_problem_that_tells_no_internals(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> list[bytes]:
        message = "password=hunter2"
        raise RuntimeError(message)

    monkeypatch.setattr(api.record, "newest", broken)

    answer = await api.http.get("/decisions")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert (problem.code, problem.instance) == ("internal_error", "/decisions")
    assert "00000000-0000-7000-8000-000000000001" in problem.detail
    assert "hunter2" not in answer.text


async def test_an_answer_that_breaks_off_is_no_whole_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.executor.start("linux-1-1")

    async def broken(*_: object, **__: object) -> AsyncGenerator[bytes]:
        yield b"one\n"
        raise RuntimeError

    monkeypatch.setattr(api.executor, "logs", broken)

    with pytest.raises(RuntimeError):
        await api.http.get("/agents/linux-1-1/logs")
