"""The store's keys.

    table       account, region, name                                   the table's record
    item        account, region, table id | hash, partition, sort       an item
    index       account, region, table id, index id
                | hash, partition, sort, digest of the item's key       an index entry
    statistics  account, region, table id, index id or b""              how much it holds
    token       account, region, token                                  a finished transaction's token
    stream      account, region, table name, label                      a stream's record
    sequence    account, region, table id                               the number of its last change
    change      account, region, table id | number                      a stream record
    version     account, region, table id, group | digest of the        when and where an item of a global table was
                item's key behind the table's prefix                    last written
    deleted     account, region, table id, group | time, the digest     such an item that is there no more
    cursor      account, region, table id | region                      the last change that was handed on to a replica
    expiry      account, region, table id, id | time, digest of the     the key of an item that expires
                item's key
    history     account, region, table id | number                      what an item was before a change
    backup      account, region, id                                     a backup's record
    import      account, region, id                                     an import's record
    export      account, region, id                                     an export's record
    saved       account, region, copy's id | hash, partition, sort        an item of a backup or export
    watch       kind, account, region, ...                              what a loop looks after, of all accounts

Items and entries of one partition stand together in the order of their sort keys. Partitions are ordered by a hash of
the partition key, so that a scan meets them in no order that means anything, and parallel scans take ranges of the
hash. The longest key of an index entry is made of two attributes, whatever the table's key is: 2 * (2048 + 1024) bytes
and the fixed parts fit into the store's limit even where every byte is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import md5
from uuid import UUID

from pileus.store.keys import pack, pack_onto, range_onto, text_range, unpack

SERVICE = "dynamodb"
# The hash has this many bytes.
HASH_BYTES = 4
_MD5 = md5(usedforsecurity=False)

Part = str | bytes
Range = tuple[bytes, bytes]


@lru_cache(maxsize=4096)
def table(account: str, region: str, name: str) -> bytes:
    return pack(SERVICE, account, region, "table", name)


def tables(account: str, region: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "table"))


def items(account: str, region: str, table_id: str) -> bytes:
    """What the keys of a table's items begin with."""
    return pack(SERVICE, account, region, "item", UUID(table_id).bytes)


def entries(account: str, region: str, table_id: str, index_id: bytes) -> bytes:
    """What the keys of an index's entries begin with."""
    return pack(SERVICE, account, region, "index", UUID(table_id).bytes, index_id)


def all_items(account: str, region: str, table_id: str) -> Range:
    """Everything under a table's `items`."""
    return range_onto(items(account, region, table_id))


def all_entries(account: str, region: str, table_id: str, index_id: bytes | None = None) -> Range:
    """Everything under an index's `entries`, or under those of all indexes of a table."""
    if index_id is not None:
        return range_onto(entries(account, region, table_id, index_id))
    return range_onto(pack(SERVICE, account, region, "index", UUID(table_id).bytes))


def all_statistics(account: str, region: str, table_id: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "statistics", UUID(table_id).bytes))


def table_name(key: bytes) -> str:
    """The name in a table's key."""
    return str(unpack(key)[-1])


def statistics(account: str, region: str, table_id: str, index_id: bytes = b"") -> bytes:
    return pack(SERVICE, account, region, "statistics", UUID(table_id).bytes, index_id)


def token(account: str, region: str, text: str) -> bytes:
    return pack(SERVICE, account, region, "token", text)


def tokens(account: str, region: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "token"))


def stream(account: str, region: str, table: str, label: str) -> bytes:
    return pack(SERVICE, account, region, "stream", table, label)


def streams(account: str, region: str, table: str | None = None) -> Range:
    """The streams of a table's name, or of all."""
    if table is not None:
        return range_onto(pack(SERVICE, account, region, "stream", table))
    return range_onto(pack(SERVICE, account, region, "stream"))


def sequence(account: str, region: str, table_id: str) -> bytes:
    return pack(SERVICE, account, region, "sequence", UUID(table_id).bytes)


def changes(account: str, region: str, table_id: str) -> bytes:
    """What the keys of a table's stream records begin with."""
    return pack(SERVICE, account, region, "change", UUID(table_id).bytes)


def change(prefix: bytes, number: int) -> bytes:
    return pack_onto(prefix, number)


def change_number(prefix: bytes, key: bytes) -> int:
    """The number in a stream record's key."""
    number = unpack(key, len(prefix))[0]
    assert isinstance(number, int)
    return number


def versions(account: str, region: str, table_id: str, group: bytes) -> bytes:
    """What the keys of the versions of a replica's items begin with."""
    return pack(SERVICE, account, region, "version", UUID(table_id).bytes, group)


def deleted(account: str, region: str, table_id: str, group: bytes) -> bytes:
    """What the keys that name its deleted items begin with."""
    return pack(SERVICE, account, region, "deleted", UUID(table_id).bytes, group)


def digest(place: bytes) -> bytes:
    """An item's key behind its table's prefix, which is the same in all replicas, in few bytes."""
    return _digest(place)


def version(prefix: bytes, item_digest: bytes) -> bytes:
    return pack_onto(prefix, item_digest)


def deletion(prefix: bytes, at: int, item_digest: bytes) -> bytes:
    return pack_onto(prefix, at, item_digest)


def deletions_until(prefix: bytes, at: int) -> Range:
    return prefix, pack_onto(prefix, max(0, at))


def deleted_item(prefix: bytes, key: bytes) -> bytes:
    """The digest in a `deletion` key."""
    found = unpack(key, len(prefix))[1]
    assert isinstance(found, bytes)
    return found


def cursor(account: str, region: str, table_id: str, target: str) -> bytes:
    return pack(SERVICE, account, region, "cursor", UUID(table_id).bytes, target)


def cursors(account: str, region: str, table_id: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "cursor", UUID(table_id).bytes))


def expiries(account: str, region: str, table_id: str, ttl_id: bytes) -> bytes:
    """What the keys of a table's expiry entries begin with."""
    return pack(SERVICE, account, region, "expiry", UUID(table_id).bytes, ttl_id)


def all_expiries(account: str, region: str, table_id: str, ttl_id: bytes | None = None) -> Range:
    """Everything under a table's `expiries`, or under all that it has had."""
    if ttl_id is not None:
        return range_onto(expiries(account, region, table_id, ttl_id))
    return range_onto(pack(SERVICE, account, region, "expiry", UUID(table_id).bytes))


def expiry(prefix: bytes, time: int, item_key: bytes) -> bytes:
    return pack_onto(prefix, time, _digest(item_key))


def expiry_from(prefix: bytes, time: int) -> bytes:
    """Where the entries of that time and later ones begin."""
    return pack_onto(prefix, time)


def expiry_time(prefix: bytes, key: bytes) -> int:
    """The time in an expiry entry's key."""
    time = unpack(key, len(prefix))[0]
    assert isinstance(time, int)
    return time


def history(account: str, region: str, table_id: str) -> bytes:
    """What the keys of a table's history begin with."""
    return pack(SERVICE, account, region, "history", UUID(table_id).bytes)


def past(prefix: bytes, number: int) -> bytes:
    return pack_onto(prefix, max(0, number))


def past_number(prefix: bytes, key: bytes) -> int:
    """The number in a history entry's key."""
    number = unpack(key, len(prefix))[0]
    assert isinstance(number, int)
    return number


def backup(account: str, region: str, backup_id: str) -> bytes:
    return pack(SERVICE, account, region, "backup", backup_id)


def backups(account: str, region: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "backup"))


def export(account: str, region: str, export_id: str) -> bytes:
    return pack(SERVICE, account, region, "export", export_id)


def exports(account: str, region: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "export"))


def imported(account: str, region: str, import_id: str) -> bytes:
    """An import's record."""
    return pack(SERVICE, account, region, "import", import_id)


def all_imported(account: str, region: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "import"))


def backup_items(account: str, region: str, backup_id: str) -> bytes:
    """What the keys of a backup's items begin with."""
    return pack(SERVICE, account, region, "saved", backup_id)


def watch(kind: str, account: str, region: str, *parts: str) -> bytes:
    return pack(SERVICE, "", "", "watch", kind, account, region, *parts)


def all_watched(kind: str) -> Range:
    return range_onto(pack(SERVICE, "", "", "watch", kind))


def watched(key: bytes) -> tuple[str, str, tuple[str, ...]]:
    """Account, region and the further parts of a `watch` key."""
    account, region, *parts = (str(part) for part in unpack(key)[5:])
    return account, region, tuple(parts)


def _digest(data: bytes) -> bytes:
    # Copied: OpenSSL looks the algorithm up for each that is made anew, which takes as long as hashing a key.
    hashed = _MD5.copy()
    hashed.update(data)
    return hashed.digest()


def _hash(part: Part) -> bytes:
    data = part.encode() if isinstance(part, str) else part
    return _digest(data)[:HASH_BYTES]


def item(prefix: bytes, partition: Part, sort: Part | None) -> bytes:
    """The key of an item; numbers come in their ordered bytes."""
    if sort is None:
        return pack_onto(prefix, _hash(partition), partition)
    return pack_onto(prefix, _hash(partition), partition, sort)


def entry(prefix: bytes, partition: Part, sort: Part | None, item_key: bytes) -> bytes:
    """The key of an index entry of the item at `item_key`."""
    return pack_onto(item(prefix, partition, sort), _digest(item_key))


def composite_entry(prefix: bytes, partition: Sequence[Part], sort: Sequence[Part], item_key: bytes) -> bytes:
    """`entry` for an index with several attributes in one key."""
    start = pack_onto(composite_partition(prefix, partition), *sort)
    return pack_onto(start, _digest(item_key))


def composite_partition(prefix: bytes, parts: Sequence[Part]) -> bytes:
    """`partition` for as many parts."""
    if len(parts) == 1:
        return partition(prefix, parts[0])
    return pack_onto(prefix, _hash(pack_onto(b"", *parts)), *parts)


def partition(prefix: bytes, part: Part) -> bytes:
    """What the keys of one partition's items or entries are or begin with."""
    return item(prefix, part, None)


def within(start: bytes, parts: Sequence[Part]) -> bytes:
    """What the keys of a partition begin with whose first sort attributes are these."""
    return pack_onto(start, *parts)


def partition_of(prefix: bytes, key: bytes, attributes: int = 1) -> bytes:
    """What a key has of its partition behind `prefix`, where the partition key has so many attributes; b"": nothing."""
    at = len(prefix)
    for _ in range(1 + attributes):
        if key[at : at + 1] not in (b"\x01", b"\x02"):
            return b""
        at = key.find(b"\x00", at)
        while at >= 0 and key[at + 1 : at + 2] == b"\xff":
            # A zero byte of the value itself.
            at = key.find(b"\x00", at + 2)
        if at < 0:
            return b""
        at += 1
    return key[len(prefix) : at]


def partition_range(start: bytes) -> Range:
    """Every key of a partition, the one without a sort key included."""
    return start, start + b"\xff"


def sorted_range(start: bytes, operator: str, parts: tuple[Part, ...]) -> Range:
    """The keys of a partition whose sort key is as the operator and its one or two values say."""
    first, last = partition_range(start)
    key = pack_onto(start, parts[0])
    # Whatever goes on from a packed part sorts before that part with 0xff behind it.
    match operator:
        case "=":
            return key, key + b"\xff"
        case "<":
            return first, key
        case "<=":
            return first, key + b"\xff"
        case ">":
            return key + b"\xff", last
        case ">=":
            return key, last
        case "BETWEEN":
            return key, pack_onto(start, parts[1]) + b"\xff"
    if isinstance(parts[0], str):
        return text_range(start, parts[0])
    return _bytes_range(start, parts[0])


def _bytes_range(start: bytes, head: bytes) -> Range:
    """As `text_range`, for bytes."""
    key = pack_onto(start, head)[:-1]
    stem = key.rstrip(b"\xff")
    return key, stem[:-1] + bytes([stem[-1] + 1])


def segment_range(prefix: bytes, segment: int, total: int) -> Range:
    """The keys of one segment of a parallel scan: an equal share of the hashes."""
    space = 1 << (8 * HASH_BYTES)
    first, last = range_onto(prefix)
    start, stop = -(-segment * space // total), -(-(segment + 1) * space // total)
    if segment:
        first = pack_onto(prefix, start.to_bytes(HASH_BYTES, "big"))
    if segment + 1 < total:
        last = pack_onto(prefix, stop.to_bytes(HASH_BYTES, "big"))
    return first, last
