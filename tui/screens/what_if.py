"""What the scaler would decide with other values: the question as words typed, the answer as facts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import ValidationError

from buildyard.contracts.scaling import Plan, WhatIf, WhatIfAnswer
from buildyard.errors import InvalidRequest
from tui import format as shown
from tui.screens.scaler_facts import why_facts
from tui.widgets.facts import Fact, heading

NAMES = tuple(name for name in WhatIf.model_fields if name != "pool")
HINT = "such as max_workers=8 ready=100; of policy: burst_threshold burst_size idle_seconds; esc leaves"
_MOST_DIFFERENCES = 20


def question(pool: str, typed: str) -> WhatIf:
    """The question that `name=value` words ask about a pool.

    Raises:
        InvalidRequest: a word is none, or a value is not one that it can have.
    """
    given: dict[str, str] = {}
    for word in typed.split():
        name, sign, value = word.partition("=")
        known = next((one for one in NAMES if one == re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()), None)
        if known is None or not sign or not value:
            raise InvalidRequest(f"{word!r} is no name=value; names are {', '.join(NAMES)}.")
        given[known] = value
    try:
        return WhatIf.model_validate({"pool": pool, **given})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(f"{field}: {first['msg']}.") from error


def answer_facts(answer: WhatIfAnswer, asked: str, *, utf8: bool = True) -> list[Fact]:
    """The answer: in words, this tick's plan beside the one that was made, then the ticks that would differ."""
    facts = [Fact("asked", asked or "the same values"), *(Fact("", sentence) for sentence in answer.sentences)]
    facts += [heading(f"Decision {answer.number}, as it was"), *_plan(answer.actual, utf8=utf8)]
    facts += [heading("With these values"), *_plan(answer.instead, utf8=utf8)]
    facts.append(heading(f"Of the last {answer.ticks:,} ticks {answer.changed:,} would have come out otherwise"))
    said = f"{shown.count(answer.started)} workers were started, {shown.count(answer.started_instead)} would have been"
    facts.append(Fact("starts", said))
    for one in answer.differences[:_MOST_DIFFERENCES]:
        was, instead = _short(one.actual), _short(one.instead)
        facts.append(Fact(shown.clock(one.at), f"{was}; instead {instead}"))
    return facts


def _plan(plan: Plan, *, utf8: bool) -> Iterator[Fact]:
    yield from why_facts(plan, utf8=utf8)
    if plan.start:
        yield Fact("starts", ", ".join(plan.start), "active")
    if plan.drain:
        yield Fact("drains", ", ".join(plan.drain), "active")


def _short(plan: Plan) -> str:
    acts = [f"start {len(plan.start)}"] if plan.start else []
    acts += [f"drain {len(plan.drain)}"] if plan.drain else []
    return f"{plan.code.value.replace('_', ' ')} ({', '.join(acts) or 'nothing'})"
