"""The engines that the store's contract is tested on, by name: each opened in a folder."""

from pileus.store.sqlite import open_store


def with_a_slow_disk(store):
    """The store, which has found its disk to be slow: its commits go to a thread."""
    store._apart = 1 << 60
    return store


ENGINES = {
    "sqlite-full": lambda folder: open_store(folder / "store", "full"),
    "sqlite-full, slow": lambda folder: with_a_slow_disk(open_store(folder / "store", "full")),
    "sqlite-relaxed": lambda folder: open_store(folder / "store", "relaxed"),
    "sqlite-memory": lambda folder: open_store(None, "memory"),
}
