"""The URL chooses the broker, and a wrong one is told before anything is connected."""

from __future__ import annotations

import subprocess
import sys

import pytest

from buildyard.broker import open_broker
from buildyard.broker.rabbitmq import RabbitBroker
from buildyard.broker.rabbitmq_layout import Layout, parse_version
from buildyard.broker.sqlite import SqliteBroker
from buildyard.errors import InvalidSettings
from buildyard.ports import DEAD, REPORTS, jobs


def test_the_scheme_chooses_the_adapter() -> None:
    assert isinstance(open_broker("sqlite:////tmp/some folder/broker.sqlite?prefix=a-b"), SqliteBroker)
    assert isinstance(open_broker("amqp://guest:guest@localhost:5672/farm?heartbeat=30&prefix=a"), RabbitBroker)
    assert isinstance(open_broker("amqps://broker.example/"), RabbitBroker)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://localhost",
        "sqlite:",
        "sqlite:///",
        "sqlite:///file?prefix=a b",
        "amqp://",
        "amqp://host:port/",
        "amqp://host:0/",
        "amqp://host/?prefix=../x",
        "amqp://host/?prefix=" + "x" * 61,
    ],
)
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings):
        open_broker(url)


def test_an_embedded_farm_loads_no_amqp_client() -> None:
    program = "import sys, buildyard.broker as b; b.open_broker('sqlite:///x'); sys.exit('aio_pika' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_versions_are_read_as_far_as_they_are_numbers() -> None:
    assert parse_version("3.10.8") == (3, 10, 8)
    assert parse_version("4.1.0-rc.1") == (4, 1, 0)
    assert parse_version("") == ()
    assert parse_version("unknown") == ()


def test_the_layout_follows_the_version_of_the_server() -> None:
    old, quorum, new = Layout((3, 7, 9)), Layout((3, 10, 8)), Layout((4, 0, 5), "farm")
    assert old.work_arguments(DEAD) == {"x-queue-type": "classic"}
    assert quorum.work_arguments(DEAD) == {"x-queue-type": "quorum"}
    bounded = {"x-max-length": REPORTS.most, "x-overflow": "reject-publish"}
    assert quorum.work_arguments(REPORTS) == {"x-queue-type": "quorum", **bounded}
    assert new.work_arguments(jobs("linux")) == {
        "x-queue-type": "quorum",
        "x-consumer-timeout": 240 * 60 * 1000,
        "x-delivery-limit": -1,
    }
    assert (quorum.name(REPORTS), new.name(REPORTS)) == ("reports", "farm.reports")
    assert (old.counts_consumers, quorum.counts_consumers, Layout((4, 3)).counts_consumers) == (True, False, True)
