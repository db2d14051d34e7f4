"""Widgets for live data: each draws only the lines on the screen, from values that its owner hands over.

What a widget decides (row order, which lines match, where a cell of a chart lies) stands in modules without Textual:
`filter_terms`, `row_order`, `columns`, `text_cells`, `log_ring`, `log_reader`, `log_levels`, `log_cells`,
`chart_cells`, `queue_cells`. Text from outside is drawn through `line_view` and `log_cells`, which pass it through
`tui.safe_text`.

Keys are bound by the application: a widget has actions (`action_*`), and the arrow, page, home and end keys.
"""
