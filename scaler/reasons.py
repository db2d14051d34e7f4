"""The closed list of reason codes, each with what it means and what can be done about it; pure.

The table in `docs/scaling.md` is made from here: `python -m scaler codes`.
"""

from __future__ import annotations

from typing import NamedTuple

from buildyard.contracts.scaling import DecisionCode


class Meaning(NamedTuple):
    """A code in words; `then` says what follows by itself, or what a person can do."""

    means: str
    then: str


MEANINGS: dict[DecisionCode, Meaning] = {
    DecisionCode.BURST: Meaning(
        "More jobs wait than `burst_threshold`: `burst_size` workers start, less those pending.",
        "The next tick looks again; a lower `burst_threshold` or a larger `burst_size` starts more, sooner.",
    ),
    DecisionCode.FIRST_WORKER: Meaning(
        "Work waits and no worker is there to take it: one starts.",
        "It takes work as soon as it has joined.",
    ),
    DecisionCode.WAITED_TOO_LONG: Meaning(
        "The oldest job has waited `max_wait` (`elastic`: `drain_seconds` and a start) while all are busy: one starts.",
        "One more starts at a time, after the last one has joined.",
    ),
    DecisionCode.DRAIN_TARGET: Meaning(
        "By `elastic`: the workers that are there would not finish all that waits within `drain_seconds`.",
        "A shorter `drain_seconds` starts more workers, a longer one fewer.",
    ),
    DecisionCode.TRIAL_WORKER: Meaning(
        "Jobs need what no worker that is there has, and a new one may have it: one starts for them all.",
        "If it lacks that too, the next one is tried 5 minutes after it joined.",
    ),
    DecisionCode.UNSUITED: Meaning(
        "Jobs need what no free worker has, and the newest ones lacked it too: none starts for them.",
        "They wait for a worker that has it; the next one is tried 5 minutes after the newest joined.",
    ),
    DecisionCode.STEADY: Meaning(
        "Nothing is to be done: work is in hand, or the pool is not quiet yet.",
        "A job that waits too long gets a worker of its own.",
    ),
    DecisionCode.WORKERS_COMING: Meaning(
        "Work waits, and workers that are pending or idle are on their way to it.",
        "None starts on top of them; one that has not joined after 60 s no longer counts as on its way.",
    ),
    DecisionCode.AT_MAXIMUM: Meaning(
        "More workers are needed, but `max_workers` are present.",
        "Raise `max_workers` in the pools file if there is room for more.",
    ),
    DecisionCode.FARM_AT_MAXIMUM: Meaning(
        "More workers are needed, but all pools together have as many as the farm may have.",
        "A place that becomes free goes to the pool with the fewest for its weight; `BUILDYARD_MAX_WORKERS` has more.",
    ),
    DecisionCode.FAIR_SHARE: Meaning(
        "More workers are needed and places are free, but these are the fair share of pools that need them too.",
        "They start there; `weight` in the pools file gives a pool a larger share.",
    ),
    DecisionCode.GIVES_WAY: Meaning(
        "Another pool starves below its fair share, and this one has more than its own: so many are asked to drain.",
        "Idle ones leave at once, busy ones when their job has ended; the other pool starts workers in their place.",
    ),
    DecisionCode.IDLE_WAIT: Meaning(
        "Everything is a trusted zero, but not yet for `idle_seconds`.",
        "Idle workers are asked to leave once it has lasted so long.",
    ),
    DecisionCode.SCALE_TO_ZERO: Meaning(
        "Everything has been a trusted zero for `idle_seconds`: idle workers are asked to drain.",
        "Each finishes what it may have taken meanwhile, and leaves by itself.",
    ),
    DecisionCode.NOTHING_TO_DO: Meaning(
        "Nothing waits, nothing runs and no worker is present.",
        "The next job rings the doorbell.",
    ),
    DecisionCode.UNKNOWN_COUNT: Meaning(
        "A count that the decision needs is not known, or a zero is not trusted.",
        "It is asked again at every tick; `buildyard queues` and `buildyard doctor` say who does not answer.",
    ),
    DecisionCode.EXECUTOR_UNREACHABLE: Meaning(
        "The workers cannot be seen, so that none is started twice and none is drained by mistake.",
        "It is asked again at every tick; `buildyard doctor` says what is wrong.",
    ),
    DecisionCode.START_BACKOFF: Meaning(
        "Workers ended without ever joining: the next one waits 2, 4, 8 ... up to 60 s.",
        "Read their logs: `GET /agents/NAME/logs` of the scaler.",
    ),
}


def codes_table() -> str:
    """The codes as a Markdown table."""
    rows = ["| code | means | then |", "|---|---|---|"]
    rows += [f"| `{code.value}` | {meaning.means} | {meaning.then} |" for code, meaning in MEANINGS.items()]
    return "\n".join(rows) + "\n"
