"""Looks at what is being typed and offers to complete it; folders are listed off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gemma_backend.media.listing import entries, typed_folder
from gemma_tui.commanding import Commander
from gemma_tui.tui.completing import (
    MOST,
    Suggestion,
    Want,
    suggest_choices,
    suggest_commands,
    suggest_names,
    suggest_paths,
    unescaped,
    wanted,
)
from gemma_tui.tui.conversation import Spawn
from gemma_tui.tui.widgets.completions import Completions
from gemma_tui.tui.widgets.composer import Composer

Names = Callable[[], list[tuple[str, str]]]
"""Names of prompts, each with its title; reads files."""


class Completer:
    """Keeps `completions` in step with `composer`."""

    def __init__(
        self, composer: Composer, completions: Completions, commander: Commander, spawn: Spawn, prompts: Names
    ) -> None:
        self._composer = composer
        self._completions = completions
        self._commander = commander
        self._spawn = spawn
        self._prompts = prompts
        self._want: tuple[int, Want] | None = None
        self._declined: tuple[int, Want] | None = None

    def look(self) -> None:
        """Offer what fits where the cursor is now."""
        row, column = self._composer.cursor_location
        line = self._composer.document.get_line(row)
        want = wanted(line, column, self._commander.offered, first=row == 0)
        found = None if want is None else (row, want)
        if found == self._want:
            return
        self._want = found
        if want is None or found == self._declined:
            self._completions.offer(())
        elif want.kind == "command":
            self._completions.offer(suggest_commands(want, self._commander.offered))
        elif want.kind == "choice":
            self._completions.offer(suggest_choices(want))
        else:
            self._spawn(self._list(row, want))

    def decline(self) -> None:
        """Offer nothing until something else is typed."""
        self._declined = self._want
        self._completions.offer(())

    def take(self, *, run: bool = False) -> bool:
        """Put the chosen suggestion into the message; whether a command is complete with it.

        To `run` a command, one that is there already is complete, though it could take something more.
        """
        suggestion = self._completions.chosen
        if suggestion is None or self._want is None:
            return False
        row, want = self._want
        end = self._composer.cursor_location
        if want.kind == "at" and suggestion.path is not None:
            self._composer.replace("", (row, want.start), end)
            self._composer.post_message(Composer.FilesDropped([suggestion.path], ""))
        elif run and unescaped(suggestion.insert).rstrip(" ") == unescaped(want.typed):
            self.decline()
            return want.kind != "at"
        else:
            self._composer.replace(suggestion.insert, (row, want.start), end)
        self._declined = None if suggestion.more else self._where()
        self._want = None
        self._completions.offer(())
        self.look()
        return want.kind in ("command", "choice") and not suggestion.more

    def _where(self) -> tuple[int, Want] | None:
        row, column = self._composer.cursor_location
        line = self._composer.document.get_line(row)
        want = wanted(line, column, self._commander.offered, first=row == 0)
        return None if want is None else (row, want)

    async def _list(self, row: int, want: Want) -> None:
        suggestions = await asyncio.to_thread(self._suggest, want)
        if self._want == (row, want):
            self._completions.offer(suggestions)

    def _suggest(self, want: Want) -> list[Suggestion]:
        if want.kind == "prompt":
            return suggest_names(want, self._prompts())
        folder, name = typed_folder(unescaped(want.typed))
        return suggest_paths(want, entries(folder, name)[:MOST])
