"""The root of all verbs: what is wrong with an option of any of them is told in plain words."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from buildyard.wording import plain


class PlainGroup(TyperGroup):
    """The verbs; what is wrong with an option of any of them is told in plain words."""

    def make_context(self, *given: Any, **named: Any) -> Any:
        """Read the options before the verb."""
        try:
            return super().make_context(*given, **named)
        except typer.BadParameter as error:
            error.message = plain(error.message)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Read the verb's own options, and run it."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = plain(error.message)
            raise
