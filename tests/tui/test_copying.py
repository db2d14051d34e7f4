"""Things as JSON: what a terminal might obey is escaped, and it stays the same JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.tui import samples as s
from tui.copying import as_json
from tui.state import Ref, Store
from tui.state import events as e


@given(st.text(alphabet="a\x9b\x9d\x7f\u202e\u200b\u2028é", min_size=1))
def test_nothing_in_it_is_obeyed_by_a_terminal(said: str) -> None:
    store = Store()
    store.apply(e.SourceSeen("producer", s.at(0), "down", "http://here", None, said))

    text = as_json(store, Ref("source", "producer"))

    assert said in json.dumps(json.loads(text), ensure_ascii=False)
    assert not set(text) & set("\x7f\x9b\x9d\u202e\u200b\u2028")


def test_a_pool_is_told_with_the_last_decision_about_it() -> None:
    store = Store()
    store.apply(e.DecisionsSeen((s.decision(3),)))
    told = json.loads(as_json(store, Ref("pool", "linux")))
    assert told["decision"]["number"] == 3
    assert "packed" not in told["decision"]
