"""Other job queues, and ours, as programs of one shape, so that one driver can measure them side by side.

`NAME_app.py` is the program of one of them, written as its documentation shows. Its worker is started by its own
command; the module itself offers `opened()`, `send(sent)` and `work_off(rows)` to `client.py`. What it needs to know
stands in the environment: see `wishes.py`.
"""
