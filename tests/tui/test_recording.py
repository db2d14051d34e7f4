"""Recordings hold what was told and no secret, are bounded, and a file that is none is refused in one sentence."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.errors import InvalidRequest
from tests.tui import samples as s
from tests.tui.screens.builds_farm import diagnostic
from tui import recording
from tui.recording import Recorder, decoded, encoded, opened, without_secrets
from tui.source.demo import DemoSource
from tui.source.demo.source import START
from tui.source.port import Interest
from tui.state import Store
from tui.state import events as e

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def written(path: Path, events: Iterable[tuple[float, e.Event]], **more: int) -> Path:
    with path.open("wb") as file, Recorder(file, s.BEGAN, "a farm", **more) as recorder:
        for seconds, event in events:
            recorder.add(event, s.at(seconds))
    return path


@cache
def demo_events(seconds: int) -> tuple[tuple[float, e.Event], ...]:
    source = DemoSource(3, past=200)
    told: list[tuple[float, e.Event]] = [(0, event) for event in (*source._sources(), *source._farm.past())]
    for second in range(1, seconds + 1):
        running = sorted(build.id for build in source._farm.builds.values() if build.status == "Running")[:2]
        source.watch(Interest(frozenset(running), frozenset(e.log_of_build(one) for one in running)))
        told += [(second, event) for event in source.next_second()]
    return tuple(told)


def test_every_kind_of_event_is_read_back_as_it_was_written() -> None:
    told = [event for _, event in demo_events(30)]
    told += [
        e.BuildGone(s.at(1), s.identifier(1)),
        e.ArtifactsSeen(s.at(1), s.identifier(1), ()),
        e.DiagnosticsSeen(s.at(1), s.identifier(1), (diagnostic(),)),
        e.LogEnded("build/x"),
        e.PartSeen("scaler", s.at(1), "scaler/workers", "No.", "Ask.", forbidden=True),
        e.LogBroke("build/x", s.at(1), "broke", None),
        e.LogSeen("agent/x", (e.LogLine("a\x1b[31mb\ud7ff", None),)),
    ]
    assert {type(event) for event in told} == set(get_args(e.Event))
    for event in told:
        milliseconds, back = decoded(encoded(event, 1250))
        assert milliseconds == 1250
        assert back == event


def test_a_recording_replays_into_the_same_farm(tmp_path: Path) -> None:
    told = demo_events(30)
    path = written(tmp_path / "x.farm", [(seconds, event) for seconds, event in told])
    tape = opened(path)
    assert tape.header.title == "a farm"
    assert tape.damage == ""
    live, replayed = Store(), Store()
    for _, event in told:
        live.apply(event)
    for _, event in tape.since(0):
        replayed.apply(event)
    assert dict(replayed.builds) == dict(live.builds)
    assert dict(replayed.jobs) == dict(live.jobs)
    assert dict(replayed.decisions) == dict(live.decisions)
    assert replayed.agents.keys() <= live.agents.keys() | replayed.agents.keys()
    assert tape.span[1] - tape.span[0] <= timedelta(seconds=30)


def test_one_can_begin_in_the_middle(tmp_path: Path) -> None:
    events: list[tuple[float, e.Event]] = [
        (n, e.LogSeen("build/x", (e.LogLine(f"line {n}", n),))) for n in range(1, 121)
    ]
    tape = opened(written(tmp_path / "x.farm", events))
    later = [event for _, event in tape.since(100_000)]
    assert later == [event for n, event in events if n >= 100]


def test_nothing_is_left_out_of_what_was_told_at_one_moment(tmp_path: Path) -> None:
    lines = tuple(e.LogLine(f"{n} {'x' * 1000}", n) for n in range(1, 301))
    events: list[tuple[float, e.Event]] = [(0, e.LogSeen(f"build/{n}", lines)) for n in range(5)]
    assert [event for _, event in opened(written(tmp_path / "x.farm", events)).since(0)] == [one for _, one in events]


def test_other_ends_of_lines_within_a_text_end_no_event(tmp_path: Path) -> None:
    events: list[tuple[float, e.Event]] = [
        (0, e.SourceSeen("producer", s.at(0), "down", "http://here", None, "one\u2028two\x85three\u2029four"))
    ]
    assert [event for _, event in opened(written(tmp_path / "x.farm", events)).since(0)] == [one for _, one in events]


def test_answers_that_come_every_second_are_thinned_and_news_are_not(tmp_path: Path) -> None:
    events: list[tuple[float, e.Event]] = []
    for n in range(60):
        events.append((n, e.PoolsSeen(s.at(n), (s.pool(ready=n),))))
        events.append((n, e.DecisionsSeen((s.decision(n + 1),))))
    kinds = [type(event) for _, event in opened(written(tmp_path / "x.farm", events)).since(0)]
    assert kinds.count(e.DecisionsSeen) == 60
    assert kinds.count(e.PoolsSeen) == 12


def test_a_recording_ends_when_it_is_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "x.farm"
    with path.open("wb") as file, Recorder(file, s.BEGAN, most_bytes=15_000) as recorder:
        for seconds, event in demo_events(30):
            recorder.add(event, s.at(seconds))
        assert recorder.full
    assert path.stat().st_size <= 15_000
    assert opened(path).damage == ""


# ---------------------------------------------------------------- secrets

SECRETS = [
    ("https://me:hunter2@git.example/x", "hunter2"),
    ("Authorization: Bearer abcdef123456", "abcdef123456"),
    ("password=hunter2 next", "hunter2"),
    ("export API_KEY=hunter2;", "hunter2"),
    ("NPM_TOKEN: hunter2", "hunter2"),
    ("ghp_" + "a" * 36, "a" * 36),
    ("AKIA" + "B" * 16, "B" * 16),
    ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl", "eyJzdWIiOiIxMjM0"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_what_looks_like_a_secret_is_not_written(text: str, secret: str, tmp_path: Path) -> None:
    seen = e.SourceSeen("producer", s.at(0), "down", f"http://u:{secret}@host", None, text)
    broke = e.LogSeen("build/x", (e.LogLine(text, 1),))
    path = written(tmp_path / "x.farm", [(0, seen), (1, broke)])
    lines = [json.dumps(recording.decoded(encoded(event, 0))[1].__repr__()) for _, event in opened(path).since(0)]
    assert len(lines) == 2
    assert all(secret not in line for line in lines)
    assert all("***" in line for line in lines)


def test_a_line_made_to_look_like_many_secrets_takes_no_time_to_speak_of() -> None:
    broke = e.LogSeen("build/x", tuple(e.LogLine("-eyJ" * 4_000, n) for n in range(200)))
    began = time.process_time()
    encoded(broke, 0)
    assert time.process_time() - began < 10, (
        "of its own processor time: once through is far below, in squares far above"
    )


def test_metadata_named_like_a_secret_is_hidden_too() -> None:
    told = e.BuildChanged(s.event(1, 1, "build_received", token="hunter2", note="plain"))
    line = encoded(told, 0)
    assert "hunter2" not in line
    assert "plain" in line
    assert decoded(line)[1] is not None


@given(st.text(max_size=200))
def test_hiding_secrets_never_breaks_the_json_around(text: str) -> None:
    line = encoded(e.LogSeen("build/x", (e.LogLine(text, 1),)), 0) if text.isprintable() else "{}"
    json.loads(line)
    json.loads(without_secrets(json.dumps({"token": text, "token2": 5, "a": [text, True, None]})))


# ---------------------------------------------------------------- files that are no recordings


def refused(path: Path) -> str:
    with pytest.raises(InvalidRequest) as caught:
        opened(path)
    return str(caught.value)


def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.farm"
    assert refused(path) == f"{path} cannot be read: No such file or directory."
    for content in (b"", b"hello", b"\x28\xb5\x2f\xfd garbage", zstd.compress(b"{}\n"), b"\x00" * 100):
        path.write_bytes(content)
        assert refused(path) == f"{path} is no recording of Buildyard."


def test_a_newer_format_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x.farm"
    header = {"buildyard": "recording", "v": 2, "began": "2026-11-21T09:30:00Z"}
    path.write_bytes(zstd.compress(json.dumps(header).encode()))
    assert refused(path) == f"{path} is a recording of format 2; this dashboard reads format 1."


def test_a_file_that_breaks_off_is_played_up_to_there(tmp_path: Path) -> None:
    path = written(tmp_path / "x.farm", demo_events(30))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 20])
    tape = opened(path)
    assert tape.damage == f"{path} is damaged: it is played up to where it breaks off."
    assert list(tape.since(0))
    path.write_bytes(whole[: len(whole) // 2] + b"garbage" * 10)
    assert opened(path).damage


def test_kinds_and_lines_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.farm"
    header = {"buildyard": "recording", "v": 1, "began": "2026-11-21T09:30:00Z"}
    good = encoded(e.LogEnded("build/x"), 5)
    rows = [json.dumps(header), '{"t":1,"k":"Later","e":{"x":1}}', '{"t":2,"k":"LogSeen","e":{}}', good]
    path.write_bytes(zstd.compress("\n".join(rows).encode()))
    assert list(opened(path).since(0)) == [(5, e.LogEnded("build/x"))]


def test_a_frame_that_would_blow_up_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_MOST_FRAME_BYTES", 1 << 20)
    path = tmp_path / "x.farm"
    path.write_bytes(zstd.compress(b"\n" * (8 << 20)))
    assert refused(path) == f"{path} is no recording of Buildyard."


def test_what_is_written_can_be_read_while_it_is_written() -> None:
    file = io.BytesIO()
    recorder = Recorder(file, START)
    recorder.add(e.LogEnded("build/x"), START)
    recorder.flush()
    assert file.getvalue()
    assert recorder.written == len(file.getvalue())
