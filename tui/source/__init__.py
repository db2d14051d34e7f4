"""Where the dashboard's data come from: a live farm, a recording, or a simulated farm. Three sources, one shape.

How an app uses a source
------------------------
A source is an async context manager; inside it runs tasks of its own on the app's event loop. The app has ONE task
that reads it, and a timer that draws:

    async with source:                                # returns at once: nothing waits for a network
        source.watch(Interest(logs=frozenset({...}))) # whenever the screen changes; cheap, replaces what was before
        async for events in source.batches():         # never raises because of a server; ends with the source
            for event in events:
                changed |= store.apply(event)         # pure, microseconds an event
    ...
    every 0.1 to 1 s: draw what is in `changed`, clear it; ages are counted against `source.now()`

In Textual: `@work(exclusive=True, exit_on_error=False)` on the app for that task, `set_interval` for the drawing. No
thread is needed; nothing in here blocks longer than reading one answer takes (a list of 200 builds: some ms).

Messages
--------
Batches of events of `tui.state.events`, at most `MOST_IN_BATCH` log lines or so at once. Their cadence is that of the
news, at most one batch per turn of the loop; draw by timer, not by batch. `SourceSeen` comes with every change of a
connection and about once a second, so that ages go on. A reader that is slow holds nothing up but itself: of answers
that it did not take only the newest of a kind is kept, streams of logs and events wait, and the server's own
book-keeping fills in what they did not carry.

Interest
--------
`Interest` says what is looked at: builds (read in full, with their events and artifacts) and logs (`log_of_build`,
`log_of_agent`). Lists are always read. A log begins with its last `tail` lines; once begun it goes on, over any number
of broken connections, until interest ends: what is missing afterwards is counted by the store.

Time
----
`source.now()` is the time that the data belong to: the clock for a live farm, the place on the tape for a replay, the
simulated time for the demo. Nothing else may be used for ages.

Sources that can move in time (`Replay`), or whose farm can be changed and asked (`LiveSource`), have more: see
`Seekable`, `Changeable` and `Advising`.
"""

from __future__ import annotations

from tui.source.port import NOTHING_WATCHED, Advising, Changeable, Interest, Seekable, Source

__all__ = ["NOTHING_WATCHED", "Advising", "Changeable", "Interest", "Seekable", "Source"]
