"""Which languages there are, and which interpreter a runtime's functions get on this machine.

The very version that a runtime names, where it is here; else the nearest of its language, newer before older.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pileus.kernel.clock import SystemClock
from pileus.kernel.settings import Settings
from pileus.services.lambda_.hosting import dotnet, java, nodejs, provided, python, ruby
from pileus.services.lambda_.hosting.frame import Hosted, Interpreter, Language, Version

LANGUAGES: tuple[Language, ...] = (
    python.LANGUAGE,
    nodejs.LANGUAGE,
    java.LANGUAGE,
    ruby.LANGUAGE,
    dotnet.LANGUAGE,
    provided.LANGUAGE,
)
# What is installed on this machine changes in its time, whatever time it is in the cloud.
_SYSTEM = SystemClock()
# Somebody may install an interpreter while Pileus runs.
_LOOK_AGAIN_AFTER_S = 10.0


def language_of(runtime: str) -> Language | None:
    return next((each for each in LANGUAGES if each.version_of(runtime) is not None), None)


def runtimes_folder(settings: Settings) -> Path:
    """Where what is made or fetched for runtimes is kept: shared by all nodes of this user, where there is a cache."""
    return (settings.cache_dir or settings.data_dir) / "runtimes"


def nearest(wanted: Version, found: list[Interpreter]) -> Interpreter | None:
    """The one of that version, else the next newer, else the newest of the older ones."""
    newer = [each for each in found if each.version >= wanted]
    if newer:
        return min(newer, key=lambda each: each.version)
    return max(found, key=lambda each: each.version, default=None)


@dataclass(frozen=True, slots=True)
class Row:
    """One runtime, for people."""

    runtime: str
    # "ready"; "installed": something is fetched at its first use; "nearest": another version runs; "missing".
    state: str
    interpreter: str = ""
    version: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """No interpreter for a runtime: why, in one sentence that says what to do."""

    reason: str


class Catalog:
    """One node's view of what is installed."""

    def __init__(self, folder: Path, *, strict: bool = False) -> None:
        self.folder = folder
        self._strict = strict
        self._found: dict[str, tuple[float, list[Interpreter]]] = {}

    async def choose(self, runtime: str) -> Hosted | Missing:
        """What functions of `runtime` run on now."""
        language = language_of(runtime)
        if language is None:
            return Missing(f"the runtime {runtime} is not built")
        if language.own is not None and (own := language.own()).version == language.version_of(runtime):
            return Hosted(runtime, language, own)
        found = self._found.get(language.name)
        if found is not None:
            known = self.choose_known(runtime, language)
            exact = isinstance(known, Hosted) and not known.note
            if exact or _SYSTEM.monotonic() - found[0] <= _LOOK_AGAIN_AFTER_S:
                return known
        # Programs may have to be asked for their version.
        await asyncio.to_thread(self.look, language)
        return self.choose_known(runtime, language)

    def look(self, language: Language) -> list[Interpreter]:
        """The interpreters of a language on this machine now, newest first."""
        unique: dict[Version, Interpreter] = {}
        for each in language.find(self.folder):
            unique.setdefault(each.version, each)
        found = sorted(unique.values(), key=lambda each: each.version, reverse=True)
        self._found[language.name] = (_SYSTEM.monotonic(), found)
        return found

    def choose_known(self, runtime: str, language: Language) -> Hosted | Missing:
        """`choose`, from what was found when this machine was last looked at."""
        found = self._found[language.name][1]
        wanted = language.version_of(runtime)
        if wanted is None or not wanted:
            return Hosted(runtime, language)
        usable = [each for each in found if language.usable(each, self.folder)]
        best, chosen = nearest(wanted, found), nearest(wanted, usable)
        if best is None:
            return Missing(f"{language.title} is not installed on this machine: {language.how_to_get}")
        if chosen is None:
            return Missing(f"{language.title} {best.full} is being made ready: try again soon")
        if chosen.version == wanted:
            return Hosted(runtime, language, chosen)
        if best.version == wanted:
            why, what_to_do = f"what {runtime} needs is still being fetched", "try again soon"
        else:
            why, what_to_do = f"{runtime} is not installed on this machine", language.how_to_get
        if self._strict:
            return Missing(f"{why}, and --strict-runtimes takes no other version: {what_to_do}")
        return Hosted(
            runtime, language, chosen, f"{why}: it runs on {language.title} {chosen.full}, the nearest there is"
        )

    def overview(self, runtimes: Sequence[str]) -> list[Row]:
        """Every runtime and what its functions would run on; looks at this machine, and may take a second."""
        rows = []
        for runtime in runtimes:
            language = language_of(runtime)
            if language is None:
                rows.append(Row(runtime=runtime, state="missing", note="is not built"))
                continue
            if language.name not in self._found:
                self.look(language)
            chosen = self.choose_known(runtime, language)
            if isinstance(chosen, Missing):
                rows.append(Row(runtime=runtime, state="missing", note=chosen.reason))
            elif chosen.interpreter is None:
                rows.append(Row(runtime=runtime, state="ready", note="functions bring their own"))
            else:
                state, note = ("nearest", chosen.note) if chosen.note else ("ready", language.remark(self.folder))
                used = chosen.interpreter
                wanting = self.wanting(runtime)
                if wanting is not None:
                    used, later = wanting[1], "what it needs is fetched when it is first used"
                    exact = used.version == language.version_of(runtime)
                    state, note = ("installed", later) if exact else ("nearest", f"is not installed: {later}")
                rows.append(Row(runtime, state, str(used.program), used.full, note))
        return rows

    def wanting(self, runtime: str) -> tuple[Language, Interpreter] | None:
        """The nearest interpreter, where something has to be fetched before it is usable."""
        language = language_of(runtime)
        if language is None or language.fetch is None or language.name not in self._found:
            return None
        wanted = language.version_of(runtime)
        best = nearest(wanted, self._found[language.name][1]) if wanted else None
        return (language, best) if best is not None and not language.usable(best, self.folder) else None
