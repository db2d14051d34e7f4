"""Benchmarks: `python -m bench`, or `./manage.sh bench`. Figures are written with the spread of their runs."""
