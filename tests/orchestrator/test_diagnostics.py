"""What compilers said is kept with the stages, of the newest attempt of each job, and comes errors first."""

from __future__ import annotations

import pytest

from buildyard.contracts.builds import Outcome, ReasonCode, StageName, StageStatus
from buildyard.contracts.diagnostics import MAX_DIAGNOSTICS, Diagnostic
from buildyard.contracts.messages import REPORT, StageFinished, StageStarted, read_message
from buildyard.errors import NotFound, UnreadableMessage
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import CLOCK, claim, claimed, ended, fact

WARNING = Diagnostic(severity="warning", file="a.c", line=1, column=2, code="-Wodd", message="odd")
ERROR = Diagnostic(severity="error", file="b.c", line=3, message="no such thing")


async def test_the_diagnostics_of_the_newest_attempts_are_listed_errors_first(yard: Yard) -> None:
    old = await claimed(yard)
    for spec, said in ((old, (ERROR,)), (None, (WARNING, ERROR))):
        current = spec or await claim(yard)
        assert current is not None
        await yard.service.record(StageStarted(**fact(current, stage=StageName.BUILD)))
        done = fact(current, stage=StageName.BUILD, status=StageStatus.FAILED, errors=1, diagnostics=said)
        await yard.service.record(StageFinished(**done))
        await yard.service.record(ended(current, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK, "Back."))

    found = (await yard.views.diagnostics(old.build_id)).diagnostics

    assert [(one.stage, one.job_id, one.place) for one in found] == [
        ("Build", old.job_id, "b.c:3"),
        ("Build", old.job_id, "a.c:1:2"),
    ]
    assert (await yard.views.build(old.build_id)).stages[2].errors_count == 1


async def test_a_build_without_any_has_none_and_an_unknown_one_is_not_found(yard: Yard) -> None:
    spec = await claimed(yard)

    assert (await yard.views.diagnostics(spec.build_id)).diagnostics == ()
    with pytest.raises(NotFound):
        await yard.views.diagnostics(CLOCK.new_id())


async def test_a_report_with_more_than_allowed_is_not_read(yard: Yard) -> None:
    spec = await claimed(yard)
    many = fact(spec, stage=StageName.BUILD, status=StageStatus.FAILED, diagnostics=(ERROR,) * MAX_DIAGNOSTICS)
    body = StageFinished(**many).encode()
    one = body[body.index(b'"diagnostics":[') + 15 :].split(b"},")[0] + b"},"

    assert read_message(REPORT, body)
    with pytest.raises(UnreadableMessage):
        read_message(REPORT, body.replace(b'"diagnostics":[', b'"diagnostics":[' + one))
