"""The table shows live rows, and its cursor stays on its row."""

from __future__ import annotations

from typing import ClassVar, Self

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.geometry import Region

from tests.tui.widgets.apps import OneWidget, lines, settle
from tests.tui.widgets.rows import BuildRow, BuildRows, build_columns, some_builds
from tui.widgets.columns import Layout
from tui.widgets.virtual_table import VirtualTable

Table = VirtualTable[BuildRow]


def table(rows: BuildRows, layout: Layout | None = None) -> Table:
    return VirtualTable(rows, build_columns(), layout=layout, empty="No builds yet. buildyard submit sends one.")


def keys(widget: Table) -> list[str]:
    return [line[14:22] for line in lines(widget)[1:] if "b-" in line]


async def test_only_rows_on_the_screen_are_asked_for() -> None:
    rows = some_builds(100_000)
    widget = table(rows)
    async with OneWidget(widget).run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert rows.asked <= 100
        assert widget.total == 100_000
        await pilot.press("end")
        await settle(pilot, widget)
        assert keys(widget)[-1] == "b-099999"
        assert rows.asked <= 200


async def test_an_empty_table_says_what_to_do_and_a_filter_what_it_hides() -> None:
    widget = table(BuildRows())
    async with OneWidget(widget).run_test(size=(60, 15)) as pilot:
        assert lines(widget)[1] == "  No builds yet. buildyard submit sends one."
        widget.reload(some_builds(10))
        widget.set_filter("branch:nothing")
        await pilot.pause()
        assert lines(widget)[1] == "  Nothing matches branch:nothing"
        assert widget.cursor is None
        await pilot.press("down", "up", "home", "end", "pageup", "pagedown")
        widget.action_mark()
        widget.action_open()
        widget.set_filter("")
        await pilot.pause()
        assert widget.cursor == "b-000000"


async def test_keys_move_the_cursor_and_the_screen_with_it() -> None:
    widget = table(some_builds(500))
    app = OneWidget(widget)
    async with app.run_test(size=(80, 11)) as pilot:
        for pressed, expected in [
            ("down", 1),
            ("pagedown", 11),
            ("end", 499),
            ("up", 498),
            ("pageup", 488),
            ("home", 0),
            ("up", 0),
        ]:
            await pilot.press(pressed)
            assert widget.cursor == f"b-{expected:06}"
            assert widget.cursor in widget.visible_keys()
            [cursor] = [line for line in lines(widget)[1:] if line.startswith(">")]
            assert widget.cursor in cursor
        widget.action_open()
        await pilot.pause()
        opened = app.heard[-1]
        assert isinstance(opened, VirtualTable.Opened)
        assert opened.key == "b-000000"


async def test_the_cursor_keeps_its_row_and_its_line_while_rows_come_and_go_above() -> None:
    rows = some_builds(50)
    widget = table(rows, Layout(sort="build", descending=True))
    async with OneWidget(widget).run_test(size=(80, 12)) as pilot:
        assert widget.go_to("b-000040")
        await settle(pilot, widget)
        line = next(y for y, text in enumerate(lines(widget)) if text.startswith(">"))
        widget.changed([rows.put(BuildRow(f"b-{n:06}", "Queued", "main", None)) for n in range(50, 60)])
        await settle(pilot, widget)
        assert widget.cursor == "b-000040"
        assert next(y for y, text in enumerate(lines(widget)) if text.startswith(">")) == line
        widget.changed([], [rows.drop("b-000040")])
        await settle(pilot, widget)
        assert widget.cursor == "b-000039"  # its line has the next row now
        assert not widget.go_to("b-000040")


class WatchedTable(VirtualTable[BuildRow]):
    """Keeps the regions that it asks to be drawn anew."""

    regions: ClassVar[list[Region]] = []

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        self.regions.extend(regions or [Region(-1, -1, 0, 0)])
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)


async def test_a_changed_cell_is_drawn_and_nothing_else() -> None:
    rows = some_builds(100)
    widget = WatchedTable(rows, build_columns())
    async with OneWidget(widget).run_test(size=(80, 24)) as pilot:
        await settle(pilot, widget)
        widget.regions.clear()
        widget.changed([rows.change("b-000003", state="Running"), rows.change("b-000090", state="Failed")])
        widget.flush()
        assert widget.regions == [Region(2, 4, 11, 1)]
        await pilot.pause()
        assert "▸ Running" in lines(widget)[4]


async def test_a_row_that_went_without_a_word_is_no_crash() -> None:
    rows = some_builds(10)
    widget = table(rows)
    async with OneWidget(widget).run_test(size=(80, 24)) as pilot:
        await settle(pilot, widget)
        rows.drop("b-000002")
        widget.drop_drawn()
        assert lines(widget)[3] == ""
        widget.changed(["b-000002"])
        await settle(pilot, widget)
        assert "b-000002" not in keys(widget)
        assert widget.total == 9


async def test_sorting_filtering_and_marks_work_together() -> None:
    widget = table(some_builds(30))
    app = OneWidget(widget)
    async with app.run_test(size=(80, 24)) as pilot:
        widget.action_sort("wait")
        widget.action_sort("wait")
        await pilot.press("home")
        assert keys(widget)[:3] == ["b-000029", "b-000028", "b-000027"]
        assert "wait▼" in lines(widget)[0]
        widget.action_scroll_home()
        widget.action_mark()
        widget.action_mark()
        assert widget.marked == {"b-000029", "b-000028"}
        assert sum(line.startswith((" *", ">*")) for line in lines(widget)) == 2
        widget.set_filter("state:cancelled")
        await pilot.pause()
        assert set(keys(widget)) == {f"b-{n:06}" for n in range(4, 30, 5)}
        assert widget.marked_and_hidden() == {"b-000028"}
        widget.action_unmark_all()
        assert not widget.marked
        kept = app.heard[-1]
        changes = [message for message in app.heard if isinstance(message, VirtualTable.LayoutChanged)]
        assert changes[-1].layout == Layout(sort="wait", descending=True)
        assert kept is not None


async def test_a_changed_row_moves_to_its_place_and_past_the_filter() -> None:
    rows = some_builds(10)
    widget = table(rows, Layout(sort="wait", descending=True))
    async with OneWidget(widget).run_test(size=(80, 24)) as pilot:
        widget.set_filter("!state:cancelled")
        widget.changed([rows.change("b-000001", wait=900.0), rows.change("b-000008", state="Cancelled")])
        await settle(pilot, widget)
        assert keys(widget)[0] == "b-000001"
        assert "b-000008" not in keys(widget)


async def test_columns_are_chosen_and_resized_and_the_choice_is_told() -> None:
    widget = table(some_builds(5))
    app = OneWidget(widget)
    async with app.run_test(size=(80, 10)) as pilot:
        widget.action_toggle_column("state")
        widget.action_resize("build", 4)
        await pilot.pause()
        assert lines(widget)[0].split() == ["build", "branch", "stages", "wait"]
        told = app.heard[-1]
        assert isinstance(told, VirtualTable.LayoutChanged)
        assert Layout.from_data(told.layout.as_data()) == widget.chosen
        assert widget.chosen.widths == {"build": 13}


async def test_clicks_choose_open_and_sort() -> None:
    widget = table(some_builds(20))
    app = OneWidget(widget)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.click(offset=(20, 3))
        assert widget.cursor == "b-000002"
        await pilot.click(offset=(20, 4), times=2)
        await pilot.pause()
        assert any(isinstance(message, VirtualTable.Opened) and message.key == "b-000003" for message in app.heard)
        await pilot.click(offset=(4, 0))
        assert widget.chosen.sort == "state"
        await pilot.click(offset=(20, 11))
        await pilot.resize_terminal(60, 15)
        assert widget.cursor in widget.visible_keys()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("adcmfs"), st.integers(0, 30)), max_size=15))
async def test_the_cursor_is_on_the_screen_and_on_its_row_whatever_happens(steps: list[tuple[str, int]]) -> None:
    rows = some_builds(12)
    widget = table(rows)
    async with OneWidget(widget).run_test(size=(60, 8)) as pilot:
        for step, number in steps:
            key, before = f"b-{number:06}", widget.cursor
            if step == "a":
                widget.changed([rows.put(BuildRow(key, "Queued", "main", float(number)))])
            elif step == "d" and key in rows.by_key:
                widget.changed([], [rows.drop(key)])
            elif step == "c" and key in rows.by_key:
                widget.changed([rows.change(key, wait=float(99 - number))])
            elif step == "m":
                widget.go_to(key)
                before = widget.cursor
            elif step == "f":
                widget.set_filter(["", "main", "!main"][number % 3])
            elif step == "s":
                widget.action_sort(["wait", "build"][number % 2])
            widget.flush()
            assert widget.cursor is None or widget.cursor in rows.by_key
            assert (widget.cursor is None) == (widget.shown == 0)
            if before in rows.by_key and step in "acms" and before is not None:
                assert widget.cursor == before or widget.filter
        await pilot.pause()
        if widget.cursor is not None:
            assert sum(line.startswith(">") for line in lines(widget)) <= 1


async def test_a_sentence_about_nothing_is_wrapped_to_the_width_there_is() -> None:
    widget = table(BuildRows())
    async with OneWidget(widget).run_test(size=(24, 8)) as pilot:
        await pilot.pause()
        assert lines(widget)[1:4] == ["  No builds yet.", "  buildyard submit sends", "  one."]
