"""What the scaler would decide with other values: typed as words, asked of the scaler, shown beside what was."""

from __future__ import annotations

import pytest

from buildyard.contracts.scaling import DecisionCode, Plan, WhatIfAnswer, WhatIfTick
from buildyard.errors import InvalidRequest, ScalerUnavailable
from tests.tui.app.coverage import covers
from tests.tui.app.farms import Obeying, obeying, ready, screen_text, story, toasts
from tests.tui.samples import at, decision
from tui.screens.menus import Prompt
from tui.screens.scaler import ScalerScreen
from tui.screens.what_if import NAMES, answer_facts, question


def answer() -> WhatIfAnswer:
    one = decision(7)
    was = Plan(code=DecisionCode.AT_MAXIMUM, reason="All 2 workers are there.")
    instead = Plan(
        start=("linux-3-1",), code=DecisionCode.BURST, reason="50 wait.", formula="50 > 40", clamps=("5 to 1",)
    )
    return WhatIfAnswer(
        pool="linux",
        policy=one.observed.policy,
        observed=one.observed,
        number=7,
        actual=was,
        instead=instead,
        ticks=60,
        changed=1,
        started=0,
        started_instead=1,
        differences=(WhatIfTick(number=6, at=at(6), actual=was, instead=instead),),
        sentences=("It would start 1 worker.",),
    )


def test_a_question_is_words_of_name_and_value() -> None:
    asked = question("linux", " max_workers=8  ready=100 policy=elastic maxWait=2.5 ")
    assert (asked.pool, asked.max_workers, asked.ready, asked.policy, asked.max_wait) == (
        "linux",
        8,
        100,
        "elastic",
        2.5,
    )
    assert question("linux", "").max_workers is None
    assert "pool" not in NAMES


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("max=8", "'max=8' is no name=value; names are ticks"),
        ("ready", "'ready' is no name=value"),
        ("ready=", "'ready=' is no name=value"),
        ("pool=x", "'pool=x' is no name=value"),
        ("ready=many", "ready: Input should be a valid integer"),
        ("ready=-1", "ready: Input should be greater than or equal to 0"),
        ("policy=x", "policy: Input should be 'burst' or 'elastic'"),
    ],
)
def test_a_question_that_cannot_be_asked_says_which_word_is_to_blame(typed: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        question("linux", typed)
    assert said in str(raised.value)


def test_the_answer_tells_both_plans_and_the_ticks_that_differ() -> None:
    said = "\n".join(f"{fact.label} {fact.text}" for fact in answer_facts(answer(), "max_workers=8"))
    for part in (
        "asked max_workers=8",
        "It would start 1 worker.",
        "■ at_maximum".replace("_", " "),
        "formula 50 > 40",
        "limit 5 to 1",
        "starts linux-3-1",
        "Of the last 60 ticks 1 would have come out otherwise",
        "09:30:06 at maximum (nothing); instead burst (start 1)",
    ):
        assert part in said


@covers("scaler.what_if")
async def test_the_answer_stands_in_place_of_the_record_until_another_decision_is_chosen() -> None:
    events, now = story()
    async with obeying(*events, now=now).run_test(size=(160, 45)) as pilot:
        app = await ready(pilot)
        source = app.source
        assert isinstance(source, Obeying)
        await pilot.press("5")
        await ready(pilot)
        await pilot.press("w", *"ready=50", "enter")
        await ready(pilot)
        assert "Nobody asked about this pool." in toasts(app)
        source.told_if = answer()
        await pilot.press("w")
        assert isinstance(app.screen, Prompt), "what was typed last stands there"
        await pilot.press("enter")
        await ready(pilot)
        screen = app.farm_screen
        assert isinstance(screen, ScalerScreen)
        assert [one.ready for one in source.questions] == [50, 50]
        text = screen_text(app)
        assert "What if" in text
        assert "It would start 1 worker." in text
        await pilot.press("escape", "j")
        await ready(pilot)
        assert "It would start 1 worker." not in screen_text(app)
        source.told_if = ScalerUnavailable("The scaler cannot be reached.")
        await pilot.press("w", *" max=1", "enter")
        await pilot.pause()
        assert "is no name=value" in toasts(app)
        assert len(source.questions) == 2
