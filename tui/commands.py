"""The one registry of commands: keys, footer, help and palette derive from it. Pure.

A command has an id that never changes, and applies somewhere: everywhere, on some screens, or in panels of some kind.
`Keymap` joins the registry with a user's own keys and answers what a key does at a place. A key is the character it
types (`/`, `G`, `?`) or Textual's name of it (`enter`, `ctrl+p`, `shift+tab`). The app asks

    keymap.command_for(key, Place(screen, panel), writable=...)   when a key is pressed
    keymap.footer(place, ...), keymap.help(place), palette(place, ...)   when it draws

and does what `Command.id` says; a test fails when a command of the registry does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Screen = Literal["overview", "builds", "build", "queues", "queue", "agents", "agent", "scaler", "logs"]
Panel = Literal["table", "log", "chart", "tree", "text"]
Group = Literal["Screens", "Move", "Look", "Logs", "Scaler", "Act", "Time travel", "Program"]

PANELS_ON: Mapping[Screen, frozenset[Panel]] = {
    "overview": frozenset({"table", "chart"}),
    "builds": frozenset({"table", "tree", "log"}),
    "build": frozenset({"tree", "log", "text", "table"}),
    "queues": frozenset({"table", "chart"}),
    "queue": frozenset({"table", "chart", "text"}),
    "agents": frozenset({"table", "text", "log"}),
    "agent": frozenset({"text", "log", "table"}),
    "scaler": frozenset({"chart", "table", "text"}),
    "logs": frozenset({"table", "log"}),
}


class Place(NamedTuple):
    """Where the focus is."""

    screen: Screen
    panel: Panel


@dataclass(frozen=True, slots=True)
class Command:
    """Something a user can ask for. It applies everywhere when it names neither screens nor panels."""

    id: str
    title: str
    """Two or three words, for footer and palette."""
    help: str
    """One sentence."""
    keys: tuple[str, ...]
    """Default keys; () for those in the palette only."""
    group: Group
    screens: frozenset[Screen] = frozenset()
    panels: frozenset[Panel] = frozenset()
    writes: bool = False
    """Changes the farm: needs `--write`."""
    footer: int = 0
    """Rank in the footer, 1 first; 0: not shown there."""

    def applies(self, place: Place) -> bool:
        """Whether it means something there."""
        return (not self.screens or place.screen in self.screens) and (not self.panels or place.panel in self.panels)

    def meets(self, other: Command) -> bool:
        """Whether there is a place where both apply."""
        return any(self.applies(place) and other.applies(place) for place in PLACES)


PLACES: tuple[Place, ...] = tuple(
    Place(screen, panel) for screen, panels in PANELS_ON.items() for panel in sorted(panels)
)


def _of(group: Group, *rows: tuple[str, str, str, str, int]) -> tuple[Command, ...]:
    """Commands that apply everywhere: (id, keys apart by spaces, title, help, rank in the footer)."""
    return tuple(
        Command(i, title, help_, tuple(keys.split()), group, footer=rank) for i, keys, title, help_, rank in rows
    )


def _in(panels: Sequence[Panel], commands: Iterable[Command]) -> tuple[Command, ...]:
    """The same, in these panels only."""
    return tuple(_with(command, panels=frozenset(panels)) for command in commands)


def _on(screens: Sequence[Screen], commands: Iterable[Command], *, writes: bool = False) -> tuple[Command, ...]:
    """The same, on these screens only."""
    return tuple(_with(command, screens=frozenset(screens), writes=writes) for command in commands)


def _with(
    command: Command,
    *,
    screens: frozenset[Screen] = frozenset(),
    panels: frozenset[Panel] = frozenset(),
    writes: bool = False,
) -> Command:
    return Command(
        command.id,
        command.title,
        command.help,
        command.keys,
        command.group,
        command.screens | screens,
        command.panels | panels,
        command.writes or writes,
        command.footer,
    )


_SCREENS = _of(
    "Screens",
    ("go.overview", "1", "Overview", "Queues, what needs attention, workers and the newest builds.", 0),
    ("go.builds", "2", "Builds", "All builds; enter shows one with its stages and its log.", 0),
    ("go.queues", "3", "Queues", "All pools with their queues, and dead letters.", 0),
    ("go.agents", "4", "Agents", "All agents with what they work on.", 0),
    ("go.scaler", "5", "Scaler", "What the scaler decided, and why.", 0),
    ("go.logs", "6", "Logs", "The logs of many agents or builds, merged by time.", 0),
    ("go.palette", ": ctrl+p", "Jump or command", "Go to any build, agent or queue, or run a command by its name.", 0),
    ("go.activity", "A", "Activity", "What was done from here, and what came of it.", 0),
)
_MOVE = _of(
    "Move",
    ("move.next_panel", "tab", "Next panel", "Give the focus to the next panel.", 0),
    ("move.previous_panel", "shift+tab", "Previous panel", "Give the focus to the panel before.", 0),
    ("move.down", "j down", "Down", "One row down.", 0),
    ("move.up", "k up", "Up", "One row up.", 0),
    ("move.top", "g home", "Top", "To the first row.", 0),
    ("move.bottom", "G end", "Bottom", "To the last row.", 0),
    ("move.page_down", "ctrl+d pagedown", "Page down", "One page down.", 0),
    ("move.page_up", "ctrl+u pageup", "Page up", "One page up.", 0),
    ("move.left", "left", "Left", "Show what is further left.", 0),
    ("move.right", "right", "Right", "Show what is further right.", 0),
    ("move.open", "enter", "Open", "Open what the cursor is on.", 1),
    ("move.back", "escape", "Back", "Back to where you were; first it clears a filter. It never ends the program.", 0),
)
_LOOK = (
    *_of(
        "Look",
        ("look.filter", "/", "Filter", "Show only what matches: words, !words, key:value.", 4),
        ("look.next_match", "n", "Next match", "To the next match.", 0),
        ("look.previous_match", "N", "Previous match", "To the match before.", 0),
        ("look.only_matching", "x", "Only matching", "Only what matches, or matches among all the rest.", 0),
        ("look.details", "d", "Details", "All that is known of what the cursor is on.", 0),
        ("look.related", "J", "Related", "What this hangs together with: job, agent, log, build, decision.", 5),
        ("look.logs", "l", "Log", "The log of what the cursor is on.", 2),
        ("look.copy", "y", "Copy", "Copy the line or row, over SSH too.", 0),
        ("look.copy_json", "Y", "Copy JSON", "Copy it as JSON.", 0),
        ("look.pager", "ctrl+o", "Pager", "Open the log, or what is known of this, in your pager.", 0),
        ("look.save", "S", "Save", "Write the log, filtered or all, or what is known of this, to a file.", 0),
        ("look.zoom", "z", "Zoom", "Give the panel the whole screen, or take it back.", 0),
        ("look.pause", "p", "Pause display", "Hold the display still, or the tape; nothing is lost meanwhile.", 0),
    ),
    *_in(
        ["table"],
        _of(
            "Look",
            ("table.sort", "s", "Sort", "Choose the column to sort by, and the direction.", 6),
            ("table.columns", "o", "Columns", "Choose columns and their widths.", 0),
            ("table.mark", "space", "Mark", "Mark the row for an action on several.", 0),
            ("table.mark_all", "*", "Mark all", "Mark all rows shown, or none.", 0),
        ),
    ),
)
_LOGS = _in(
    ["log"],
    _of(
        "Logs",
        ("log.follow", "f", "Follow", "Follow the newest line; scrolling up stops it.", 1),
        ("log.wrap", "w", "Wrap", "Wrap long lines, or cut them.", 3),
        ("log.timestamps", "t", "Timestamps", "No times, times, or the time since the line before.", 0),
        ("log.labels", "c", "Labels", "No, short or full names of where a line comes from.", 0),
        ("log.level", "L", "Level", "Only lines of this gravity and above.", 0),
        ("log.previous_error", "[", "Previous error", "To the error before.", 0),
        ("log.next_error", "]", "Next error", "To the next error.", 5),
        ("log.since_longer", "+", "Longer", "Show more of the past: 1 minute, 5, 15, an hour, all.", 0),
        ("log.since_shorter", "-", "Shorter", "Show less of the past.", 0),
        ("log.marker", "M", "Marker", "Draw a line here, to see what is new.", 0),
        ("log.expand", "e", "Expand", "The whole line, however long; JSON one field a row.", 0),
        ("log.order", "o", "Order", "By time, or one source after the other.", 0),
    ),
)
_SCALER = _on(
    ["scaler"],
    _of(
        "Scaler",
        ("scaler.changes", "c", "Only changes", "Leave out decisions that repeat the one before.", 3),
        ("scaler.hide_idle", "h", "Hide idle", "Leave out decisions to do nothing.", 0),
        ("scaler.what_if", "w", "What if", "What the scaler would decide with other counts; nothing is done.", 2),
    ),
)
_ACT = (
    *_of("Act", ("act.menu", "a", "Actions", "What can be done with this, or with all that is marked.", 3)),
    *_on(
        ["overview", "builds", "build", "queue"],
        _of(
            "Act",
            ("act.cancel", "C", "Cancel build", "Cancel the build; what runs of it is stopped.", 0),
            ("act.retry", "T", "Retry build", "Build an ended build again, as a new build.", 0),
            ("act.retry_failed", "F", "Retry failed part", "Only the rows or parts that did not succeed.", 0),
            ("act.reprioritise", "!", "Change priority", "Give a waiting build another priority.", 0),
        ),
        writes=True,
    ),
    *_on(
        ["overview", "agents", "agent"],
        _of(
            "Act",
            ("act.drain", "D", "Drain agent", "Ask the agent to finish what it has and leave.", 0),
            ("act.undrain", "U", "Undrain agent", "Let a draining agent take work again.", 0),
        ),
        writes=True,
    ),
    *_on(
        ["queues", "queue"],
        _of(
            "Act",
            ("act.pause_intake", "I", "Pause or resume", "Let a pool hand out nothing more, or let it again.", 0),
        ),
        writes=True,
    ),
    *_on(
        ["overview", "builds", "build", "queues", "queue"],
        _of(
            "Act",
            ("act.requeue", "E", "Requeue dead letter", "Build a dead letter again, as a new build.", 0),
            ("act.drop", "X", "Drop dead letter", "Give a dead letter up, with a reason.", 0),
        ),
        writes=True,
    ),
)
_TIME = _of(
    "Time travel",
    ("time.record", "r", "Record", "Record what happens to a file, or stop doing so.", 0),
    ("time.save", "W", "Save incident", "Write the last minutes to a file that others can open.", 0),
    ("time.back", "<", "Back in time", "Ten seconds back, also in a live farm: its last minutes are kept.", 0),
    ("time.forward", ">", "Forward in time", "Ten seconds forward.", 0),
    ("time.far_back", "{", "Far back in time", "Five minutes back.", 0),
    ("time.far_forward", "}", "Far forward in time", "Five minutes forward.", 0),
    ("time.live", "V", "Back to live", "Show the farm as it is now, also from a recording.", 0),
)
_PROGRAM = _of(
    "Program",
    ("app.help", "?", "Help", "All keys that work here.", 9),
    ("app.reconnect", "R", "Retry now", "Try a server that is down at once.", 0),
    ("app.mouse", "m", "Mouse", "Let the terminal have the mouse, for selecting text, or take it back.", 0),
    ("app.theme", "", "Theme", "Dark, light, high contrast, colour-blind, or no colours.", 0),
    ("app.keys", "", "Keys", "Which keys do what, and which of yours collide.", 0),
    ("app.report", "", "Report a fault", "What to send when a panel failed.", 0),
    ("app.quit", "q", "Quit", "End the dashboard; it asks only while an action is under way.", 0),
)

COMMANDS: tuple[Command, ...] = (*_SCREENS, *_MOVE, *_LOOK, *_LOGS, *_SCALER, *_ACT, *_TIME, *_PROGRAM)
BY_ID: Mapping[str, Command] = {command.id: command for command in COMMANDS}

# ---------------------------------------------------------------- keys

_KEY = re.compile(
    r"(?:(?:ctrl|alt|shift)\+){0,2}(?:[a-z0-9]|f(?:[1-9]|1\d|2[0-4])|enter|escape|tab|space|backspace|delete|insert|up"
    r"|down|left|right|home|end|pageup|pagedown)|[!-~]"
)


class Problem(NamedTuple):
    """Something wrong with a user's keys: the command it is about, and a sentence to show."""

    command: str
    sentence: str


class Keymap:
    """Which keys do what. A user's own key takes it away from whatever else meets it there, and `problems` says so.

    Args:
        own: command id -> keys apart by spaces, as in the user's configuration; "" takes all keys away.
    """

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        problems: list[Problem] = []
        chosen = dict(_readable(own or {}, problems))
        self._keys: dict[str, tuple[str, ...]] = {c.id: chosen.get(c.id, c.keys) for c in COMMANDS}
        self._settle(chosen, problems)
        self.problems = tuple(problems)
        self._by_key: dict[str, list[Command]] = {}
        for command in COMMANDS:
            for key in self._keys[command.id]:
                self._by_key.setdefault(key, []).append(command)

    def keys_of(self, command_id: str) -> tuple[str, ...]:
        """The keys of a command. KeyError for one that does not exist."""
        return self._keys[command_id]

    def command_for(self, key: str, place: Place) -> Command | None:
        """What a key does at a place."""
        return next((command for command in self._by_key.get(key, ()) if command.applies(place)), None)

    def footer(self, place: Place, *, most: int = 7) -> tuple[tuple[str, Command], ...]:
        """(key, command) of the commands that a user needs most at a place; help last."""
        shown = [c for c in COMMANDS if c.footer and c.applies(place) and self._keys[c.id]]
        own = {c.footer: c for c in shown if not (c.screens or c.panels)} | {
            c.footer: c for c in shown if c.screens or c.panels
        }
        ranked = [own[rank] for rank in sorted(own)]
        kept = ranked if len(ranked) <= most else [*ranked[: most - 1], ranked[-1]]
        return tuple((self._keys[c.id][0], c) for c in kept)

    def help(self, place: Place | None = None) -> tuple[tuple[Group, tuple[tuple[str, Command], ...]], ...]:
        """Groups of (keys, command) that apply at a place; of all places where none is given."""
        groups: dict[Group, list[tuple[str, Command]]] = {}
        for command in COMMANDS:
            if place is None or command.applies(place):
                groups.setdefault(command.group, []).append((" ".join(self._keys[command.id]), command))
        return tuple((group, tuple(rows)) for group, rows in groups.items())

    def _settle(self, chosen: Mapping[str, tuple[str, ...]], problems: list[Problem]) -> None:
        """Take keys away from commands that collide with a user's own; of two own ones the first in order stays."""
        for command_id, keys in chosen.items():
            command = BY_ID[command_id]
            for other in COMMANDS:
                own = other.id in chosen
                if other is command or not command.meets(other):
                    continue
                if own and list(chosen).index(other.id) < list(chosen).index(command_id):
                    continue
                lost = tuple(key for key in self._keys[other.id] if key in keys)
                if lost:
                    self._keys[other.id] = tuple(key for key in self._keys[other.id] if key not in keys)
                    problems.append(Problem(other.id, _taken(lost, other, command, self._keys[other.id])))


def palette(place: Place, *, writable: bool) -> tuple[Command, ...]:
    """The commands to offer by name at a place."""
    return tuple(command for command in COMMANDS if command.applies(place) and (writable or not command.writes))


def conflicts(commands: Sequence[Command] = COMMANDS) -> tuple[tuple[str, Command, Command], ...]:
    """Pairs of commands whose default keys collide somewhere; there are none, and a test sees to it."""
    return tuple(
        (key, first, second)
        for number, first in enumerate(commands)
        for second in commands[number + 1 :]
        for key in first.keys
        if key in second.keys and first.meets(second)
    )


def _readable(own: Mapping[str, str], problems: list[Problem]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The entries that can be used; the others become problems."""
    for command_id, text in own.items():
        if command_id not in BY_ID:
            problems.append(Problem(command_id, f"There is no command {command_id!r}; `?` lists them."))
            continue
        keys = tuple(dict.fromkeys(text.split()))
        wrong = [key for key in keys if not _KEY.fullmatch(key)]
        if wrong:
            problems.append(Problem(command_id, f"{wrong[0]!r} is no key; {command_id} keeps its own."))
            continue
        yield command_id, keys


def _taken(lost: tuple[str, ...], loser: Command, winner: Command, left: tuple[str, ...]) -> str:
    still = f"it still has {' '.join(left)}" if left else "it is in the palette"
    return f"{' '.join(lost)} now means {winner.title!r} where it meant {loser.title!r}: {still}."
