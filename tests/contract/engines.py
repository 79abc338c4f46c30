"""The engines that the store's contract is tested on, by name: each opened in a folder."""

from pileus.store.sqlite import open_store

ENGINES = {
    "sqlite-full": lambda folder: open_store(folder / "store", "full"),
    "sqlite-relaxed": lambda folder: open_store(folder / "store", "relaxed"),
    "sqlite-memory": lambda folder: open_store(None, "memory"),
}
