"""`pileus runtimes install`: interpreters from where their languages keep them, and what functions find beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pileus.sandbox.contract import SandboxError
from pileus.services.lambda_.hosting.catalog import LANGUAGES, Catalog, language_of
from pileus.services.lambda_.runtimes import RUNTIMES


async def install(runtimes: list[str], folder: Path, say: Callable[[str], None]) -> None:
    """Each runtime named, or (without names) what the interpreters that are here lack. Raises `SandboxError`."""
    catalog = Catalog(folder)
    for runtime in runtimes:
        language = language_of(runtime)
        if language is None or runtime not in RUNTIMES:
            raise SandboxError(f"{runtime} is no runtime of Lambda's: `pileus runtimes` lists them")
        wanted = language.version_of(runtime)
        if not wanted:
            say(f"{runtime} needs nothing: functions bring their own.")
            continue
        if all(each.version != wanted for each in catalog.look(language)):
            if language.install is None:
                raise SandboxError(f"{language.title} cannot be installed by Pileus: {language.how_to_get}")
            say(f"Installing {language.title} {'.'.join(map(str, wanted))} ...")
            await language.install(wanted, folder)
        found = next((each for each in catalog.look(language) if each.version == wanted), None)
        if found is None:
            raise SandboxError(f"{language.title} was installed, and is not found: look at {folder}")
        if language.fetch is not None and not language.usable(found, folder):
            say(f"Fetching what {runtime} needs ...")
            await language.fetch(found, folder)
        if language.complete is not None:
            await language.complete(folder, say)
        say(f"{runtime} runs on {language.title} {found.full} ({found.program}).")
    if not runtimes:
        say("Looking for what the interpreters of this machine lack ...")
        for language in LANGUAGES:
            found_here = catalog.look(language)
            for interpreter in found_here:
                if language.fetch is not None and not language.usable(interpreter, folder):
                    say(f"Fetching what {language.title} {interpreter.full} needs ...")
                    await language.fetch(interpreter, folder)
            if found_here and language.complete is not None:
                await language.complete(folder, say)
