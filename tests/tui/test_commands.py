"""One registry: keys that do not collide, a footer, a help page and a palette that follow from it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.commands import BY_ID, COMMANDS, PANELS_ON, PLACES, Keymap, Place, conflicts, palette

TABLE = Place("builds", "table")
LOG = Place("logs", "log")
OF_TERMINAL_MULTIPLEXERS = {"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+q", "ctrl+j", "ctrl+c", "ctrl+z"}
KEYS = st.sampled_from(["j", "k", "q", "?", "ctrl+x", "f5", "w", "enter", "Z", "shift+up"])
OWN = st.dictionaries(
    st.one_of(st.sampled_from(sorted(BY_ID)), st.text(max_size=8)),
    st.one_of(st.lists(KEYS, max_size=3).map(" ".join), st.text(max_size=12)),
    max_size=6,
)


def test_ids_are_unique_and_every_command_can_be_told_by_its_words() -> None:
    assert len(BY_ID) == len(COMMANDS)
    assert len({command.title for command in COMMANDS}) == len(COMMANDS)
    for command in COMMANDS:
        assert 0 < len(command.title) <= 20
        assert command.help.endswith(".")
        assert any(command.applies(place) for place in PLACES)


def test_no_two_default_keys_collide_anywhere() -> None:
    assert conflicts() == ()
    assert Keymap().problems == ()


def test_no_default_key_is_one_that_terminals_and_multiplexers_take() -> None:
    assert not {key for command in COMMANDS for key in command.keys} & OF_TERMINAL_MULTIPLEXERS


def test_the_keys_of_the_screen_map_do_what_it_says() -> None:
    keymap = Keymap()
    expected = {
        "1": "go.overview", "2": "go.builds", "3": "go.queues", "4": "go.agents", "5": "go.scaler", "6": "go.logs",
        "tab": "move.next_panel", "shift+tab": "move.previous_panel", "j": "move.down", "k": "move.up", "g": "move.top",
        "G": "move.bottom", "ctrl+d": "move.page_down", "ctrl+u": "move.page_up", "enter": "move.open",
        "escape": "move.back", "/": "look.filter", "n": "look.next_match", "N": "look.previous_match",
        "x": "look.only_matching", "s": "table.sort", "space": "table.mark", "a": "act.menu", "y": "look.copy",
        "Y": "look.copy_json", "l": "look.logs", "d": "look.details", "z": "look.zoom", "p": "look.pause",
        "m": "app.mouse", ":": "go.palette", "ctrl+p": "go.palette", "?": "app.help", "q": "app.quit",
        "A": "go.activity", "R": "app.reconnect", "r": "time.record",
    }  # fmt: skip
    for key, command_id in expected.items():
        command = keymap.command_for(key, TABLE)
        assert command is not None, key
        assert command.id == command_id
    logs = {"f": "log.follow", "w": "log.wrap", "t": "log.timestamps", "c": "log.labels", "L": "log.level",
            "M": "log.marker", "[": "log.previous_error", "]": "log.next_error", "e": "log.expand", "o": "log.order",
            "ctrl+o": "look.pager", "S": "look.save"}  # fmt: skip
    for key, command_id in logs.items():
        command = keymap.command_for(key, LOG)
        assert command is not None
        assert command.id == command_id
    assert keymap.command_for("w", TABLE) is None


def test_commands_that_change_the_farm_are_offered_only_to_writers() -> None:
    writing = {command.id for command in COMMANDS if command.writes}
    assert writing == {
        "act.cancel", "act.retry", "act.retry_failed", "act.reprioritise", "act.drain", "act.undrain",
        "act.pause_intake", "act.requeue", "act.drop",
    }  # fmt: skip
    for place in PLACES:
        assert not {command.id for command in palette(place, writable=False)} & writing
    assert BY_ID["act.cancel"] in palette(TABLE, writable=True)
    assert BY_ID["act.drain"] not in palette(TABLE, writable=True)


@pytest.mark.parametrize("place", PLACES)
def test_the_footer_tells_what_one_needs_most_and_how_to_learn_the_rest(place: Place) -> None:
    footer = Keymap().footer(place)
    assert 4 <= len(footer) <= 7
    assert footer[-1] == ("?", BY_ID["app.help"])
    assert all(command.applies(place) for _, command in footer)
    assert len(Keymap().footer(place, most=3)) == 3


def test_help_lists_all_that_applies_at_a_place_and_nothing_else() -> None:
    for place in PLACES:
        shown = [command for _, rows in Keymap().help(place) for _, command in rows]
        assert sorted(command.id for command in shown) == sorted(c.id for c in COMMANDS if c.applies(place))
    everything = [command for _, rows in Keymap().help() for _, command in rows]
    assert len(everything) == len(COMMANDS)


def test_a_users_key_wins_and_the_loss_of_another_is_told() -> None:
    keymap = Keymap({"log.wrap": "j"})
    moved = keymap.command_for("j", LOG)
    assert moved is BY_ID["log.wrap"]
    assert keymap.keys_of("move.down") == ("down",)
    assert [problem.command for problem in keymap.problems] == ["move.down"]
    assert "still has down" in keymap.problems[0].sentence


def test_a_key_may_mean_two_things_in_two_places() -> None:
    keymap = Keymap({"scaler.what_if": "f"})
    assert keymap.problems == ()
    assert keymap.command_for("f", LOG) is BY_ID["log.follow"]
    assert keymap.command_for("f", Place("scaler", "table")) is BY_ID["scaler.what_if"]


def test_of_two_wishes_for_one_key_the_first_is_granted() -> None:
    keymap = Keymap({"look.zoom": "F5 f5", "look.pause": "f5"})
    assert keymap.problems[0].sentence.startswith("'F5' is no key")
    keymap = Keymap({"look.zoom": "f5", "look.pause": "f5"})
    assert keymap.command_for("f5", TABLE) is BY_ID["look.zoom"]
    assert keymap.keys_of("look.pause") == ()
    assert len(keymap.problems) == 1


def test_a_key_can_be_taken_away() -> None:
    keymap = Keymap({"app.quit": ""})
    assert keymap.keys_of("app.quit") == ()
    assert keymap.command_for("q", TABLE) is None
    assert keymap.problems == ()


@settings(max_examples=200, deadline=None)
@given(OWN)
def test_whatever_a_user_writes_no_key_means_two_things_at_one_place(own: dict[str, str]) -> None:
    keymap = Keymap(own)
    for command_id in own:
        if command_id not in BY_ID:
            assert command_id in {problem.command for problem in keymap.problems}
    for place in PLACES:
        keys = [key for command in COMMANDS if command.applies(place) for key in keymap.keys_of(command.id)]
        assert len(keys) == len(set(keys))


def test_every_screen_has_panels() -> None:
    assert all(PANELS_ON.values())
