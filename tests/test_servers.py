"""The servers that tests are given: empty, apart from one another, and never silently absent."""

from __future__ import annotations

from urllib.parse import urlsplit

import asyncpg
import pytest

from tests import servers


async def test_a_fresh_database_is_empty_and_goes_after_its_test(postgres_url: str) -> None:
    with servers.database(postgres_url) as url:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.close()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url.replace("+asyncpg", ""))


def test_two_tests_on_one_broker_get_queues_of_their_own(amqp_url: str) -> None:
    other = servers.with_prefix(amqp_url)
    assert urlsplit(other).path == urlsplit(amqp_url).path
    assert urlsplit(other).query != urlsplit(amqp_url).query


def test_what_is_absent_skips_on_a_laptop_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-tool is not on PATH"):
        servers.need("no-such-tool")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool is not on PATH"):
        servers.need("no-such-tool")


def test_an_address_that_was_given_has_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("BUILDYARD_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:1/")
    with pytest.raises(pytest.fail.Exception, match="does not answer"), servers.virtual_host(servers.RABBITMQ_3):
        pass
    monkeypatch.setenv("BUILDYARD_TEST_POSTGRES_URL", "postgresql+asyncpg://postgres@127.0.0.1:1/postgres")
    with pytest.raises(pytest.fail.Exception, match="No PostgreSQL"):
        servers.postgres()
