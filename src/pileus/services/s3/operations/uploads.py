"""Multipart uploads: beginning, ending, listing them.

Source: "Uploading and copying objects using multipart upload in Amazon S3" in the Amazon S3 User Guide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from pileus.cloud.context import Context
from pileus.kernel import digests
from pileus.services.s3 import (
    bodies,
    buckets,
    checksums,
    conditions,
    directories,
    encryption,
    errors,
    keys,
    lifecycle,
    listing,
    locks,
    metadata,
    notifications,
    uploading,
    versions,
)
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.operations.objects import new_acl
from pileus.services.s3.records import (
    Body,
    Bucket,
    Checksum,
    Object,
    Part,
    Piece,
    Upload,
    decode_part,
    decode_upload,
    encode,
)
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

PARTS_MAX = 10_000
PART_BYTES_MIN = 5 * 1024**2
_TYPES = ("COMPOSITE", "FULL_OBJECT")


async def create_multipart_upload(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    key = request["Key"]
    metadata.check_key(key)
    encryption.check_method(request, "CreateMultipartUpload")
    customer_key = encryption.customer_key(request)
    algorithm, type_ = _checksum_mode(request)
    bucket = await buckets.find(ctx, tx, request)
    encryption.check_bucket(bucket, request, "CreateMultipartUpload")
    owner, acl = await new_acl(ctx, tx, bucket, request)
    locks.of_request(bucket, request, ctx.now)
    old = versions.visible(await versions.latest(tx, bucket, key))
    principal = ctx.principal
    root = principal.kind == "root" or not principal.arn
    upload = Upload(
        initiated=ctx.now,
        headers=metadata.content_headers(request),
        metadata=metadata.user_metadata(request),
        tags=metadata.header_tags(request),
        storage_class=metadata.storage_class(request),
        checksum_algorithm=algorithm,
        checksum_type=type_,
        seen=old.sequence if old else 0,
        initiator_id=canonical_id(principal.account or bucket.account) if root else principal.arn,
        initiator_name="" if root else principal.name,
        lock={name: value for name, value in request.items() if name.startswith("ObjectLock")},
        owner=owner,
        acl=acl,
        customer_key=uploading.remembered(ctx, customer_key),
    )
    # Begins with the time: uploads of one key are listed in the order in which they began.
    upload_id = f"{int(ctx.now * 1e6):016x}{ctx.cloud.ids.hex(48)}"
    tx.put(keys.upload(bucket.name, key, upload_id), encode(upload))
    answer = {"Bucket": bucket.name, "Key": key, "UploadId": upload_id, **encryption.shown(upload.customer_key)}
    if algorithm:
        answer |= {"ChecksumAlgorithm": algorithm, "ChecksumType": type_}
    return answer | _abortion(bucket, key, upload)


def _abortion(bucket: Bucket, key: str, upload: Upload) -> dict[str, Any]:
    due = None if bucket.is_directory else lifecycle.abort_of(bucket, key, upload.initiated)
    return {"AbortDate": due.when, "AbortRuleId": due.rule_id} if due else {}


def _checksum_mode(request: dict[str, Any]) -> tuple[str, str]:
    """(algorithm, type) of the object to come; both "" where none is asked for."""
    algorithm, type_ = request.get("ChecksumAlgorithm"), request.get("ChecksumType")
    if algorithm is None:
        if type_ is not None:
            raise errors.invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return "", ""
    algorithm = str(algorithm).upper()
    if algorithm not in digests.ALGORITHMS:
        raise checksums.unsupported()
    if type_ is None:
        return algorithm, "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    if type_ not in _TYPES:
        raise errors.invalid_request("Value for x-amz-checksum-type header is invalid.")
    if (type_ == "COMPOSITE" and algorithm == "CRC64NVME") or (
        type_ == "FULL_OBJECT" and algorithm not in checksums.LINEAR
    ):
        raise errors.invalid_request(
            f"The {type_} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        )
    return algorithm, type_


async def find_upload(tx: Reader, bucket: Bucket, request: dict[str, Any]) -> Upload:
    data = await tx.get(keys.upload(bucket.name, request["Key"], request["UploadId"]))
    if data is None:
        raise errors.no_such_upload(request["UploadId"])
    return decode_upload(data)


async def abort_multipart_upload(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    await find_upload(tx, bucket, request)
    await uploading.drop(ctx.cloud, tx, bucket.name, request["Key"], request["UploadId"])


def _forget(tx: Transaction, bucket: Bucket, request: dict[str, Any]) -> None:
    tx.delete(keys.upload(bucket.name, request["Key"], request["UploadId"]))
    tx.delete_range(*keys.parts_range(request["UploadId"]))


async def _parts(tx: Reader, upload_id: str) -> dict[int, Part]:
    start, end = keys.parts_range(upload_id)
    return {keys.part_number(key): decode_part(value) for key, value in await tx.scan(start, end, limit=PARTS_MAX)}


async def complete_multipart_upload(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    """Make the object of the parts that the request lists; the others are dropped."""
    key, upload_id = request["Key"], request["UploadId"]
    conditions.check_write_form(request)
    bucket = await buckets.find(ctx, tx, request)
    if request.get("MultipartUpload") is None:
        raise errors.invalid_request("You must specify at least one part")
    listed = request["MultipartUpload"].get("Parts") or ()
    if not listed:
        raise errors.malformed_xml()
    old = await versions.latest(tx, bucket, key)
    if old is not None and old.upload_id == upload_id and _etag(one.get("ETag", "") for one in listed) == old.etag:
        # The answer to the first of these calls was lost.
        return _completed(ctx, bucket, key, old)
    upload = await find_upload(tx, bucket, request)
    parts = await _parts(tx, upload_id)
    chosen = _choose(request, upload, parts, listed)
    conditions.check_complete(request, versions.visible(old), key, upload.seen)
    size = sum(part.body.size for _, part in chosen)
    if (announced := request.get("MpuObjectSize")) is not None and announced != size:
        raise errors.invalid_request(
            f"The provided 'x-amz-mp-object-size' header value {announced} does not match what was computed: {size}"
        )
    checksum = _whole_checksum(request, upload, chosen)

    token = bodies.new_token(ctx.cloud)
    tx.put(
        keys.pieces(token),
        encode([Piece(number, part.body, part.checksum) for number, part in chosen]),
    )
    new = Object(
        body=Body("pieces", token, size),
        etag=_etag(part.etag for _, part in chosen),
        modified=ctx.now,
        sequence=versions.next_sequence(ctx.now, old),
        headers=upload.headers,
        metadata=upload.metadata,
        tags=upload.tags,
        storage_class=upload.storage_class,
        checksum=checksum,
        parts=len(chosen),
        upload_id=upload_id,
        lock=locks.of_request(bucket, upload.lock, upload.initiated if upload.lock else ctx.now),
        owner=upload.owner,
        acl=upload.acl,
        customer_key=upload.customer_key,
    )
    used = {number for number, _ in chosen}
    for number, part in parts.items():
        if number not in used:
            await bodies.release(ctx.cloud, tx, part.body)
    _forget(tx, bucket, request)
    await versions.put(ctx, tx, bucket, key, old=old, new=new)
    notifications.announce(
        ctx, tx, bucket, "s3:ObjectCreated:CompleteMultipartUpload", key=key, version=new, now=ctx.now
    )
    return _completed(ctx, bucket, key, new)


def _completed(ctx: Context, bucket: Bucket, key: str, new: Object) -> dict[str, Any]:
    return {
        "Location": _location(ctx, bucket.name, key),
        "Bucket": bucket.name,
        "Key": key,
        "ETag": f'"{new.etag}"',
        **checksums.members(new.checksum),
        # Of customers' keys this answer alone says nothing.
        **({} if new.customer_key else encryption.shown(None)),
        **versions.written_id(new),
        **({} if bucket.is_directory else lifecycle.expiration_header(bucket, key, new)),
    }


def _etag(parts: Iterable[str]) -> str:
    """The entity tag of an object from those of its parts; "" where one is none."""
    try:
        digests_ = [bytes.fromhex(etag.strip('"')) for etag in parts]
    except ValueError:
        return ""
    return f"{hashlib.md5(b''.join(digests_), usedforsecurity=False).hexdigest()}-{len(digests_)}"


def _choose(
    request: dict[str, Any], upload: Upload, parts: dict[int, Part], listed: list[dict[str, Any]]
) -> list[tuple[int, Part]]:
    """The listed parts, each as it was uploaded, in their order."""
    upload_id = request["UploadId"]
    mode = request.get("ChecksumType")
    if mode is not None and mode != upload.checksum_type:
        raise errors.invalid_request(
            f"The upload was created using the {upload.checksum_type or 'null'} checksum mode. "
            "The complete request must use the same checksum mode."
        )
    chosen: list[tuple[int, Part]] = []
    before = 0
    for one in listed:
        number = one.get("PartNumber")
        if number is None or one.get("ETag") is None:
            raise errors.malformed_xml()
        if number < 1:
            raise errors.invalid_argument("PartNumber must be >= 1", "PartNumber", str(number))
        if number <= before:
            raise errors.invalid_part_order(upload_id)
        if number != before + 1 and directories.is_one(request["Bucket"]):
            raise errors.invalid_request("The part numbers of an upload to this bucket must be consecutive, from 1 on.")
        before = number
        etag = one["ETag"].strip('"')
        part = parts.get(number)
        if part is None or part.etag != etag:
            raise errors.invalid_part(etag, number, upload_id)
        given = [(name, one[member]) for name in digests.ALGORITHMS if (member := checksums.member(name)) in one]
        if upload.checksum_type == "COMPOSITE" and not given:
            raise errors.invalid_request(
                f"The upload was created using a {upload.checksum_algorithm.lower()} checksum. The complete request "
                f"must include the checksum for each part. It was missing for part {number} in the request."
            )
        if given and given != [(upload.checksum_algorithm, part.checksum)]:
            raise errors.invalid_part(etag, number, upload_id)
        chosen.append((number, part))
    for number, part in chosen[:-1]:
        if part.body.size < PART_BYTES_MIN:
            raise errors.entity_too_small(part.etag, number, part.body.size, PART_BYTES_MIN)
    return chosen


def _whole_checksum(request: dict[str, Any], upload: Upload, chosen: list[tuple[int, Part]]) -> Checksum | None:
    if upload.customer_key is not None and not upload.checksum_algorithm:
        # Under a customer's key S3 makes none of its own.
        return None
    algorithm = upload.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    if upload.checksum_type == "COMPOSITE":
        checksum = Checksum(
            algorithm, checksums.composite(algorithm, [part.checksum for _, part in chosen]), "COMPOSITE"
        )
    else:
        sizes = [(part.checksum, part.body.size) for _, part in chosen]
        checksum = Checksum(algorithm, checksums.combined(algorithm, sizes))
    for name in digests.ALGORITHMS:
        given = request.get(checksums.member(name))
        if given is None:
            continue
        good = {checksum.value, checksum.value.partition("-")[0]}
        if name != algorithm or given not in good:
            raise errors.bad_checksum(algorithm.lower())
    return checksum


def _location(ctx: Context, bucket: str, key: str) -> str:
    """The object's address, in the style in which the request was addressed."""
    origin = ctx.http.origin or ctx.cloud.endpoint
    in_path = ctx.http.path.startswith(f"/{bucket}/")
    return f"{origin}/{f'{bucket}/' if in_path or not ctx.http.path else ''}{quote(key, safe='')}"


async def list_multipart_uploads(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    encoding = request.get("EncodingType")
    listing.check_encoding(encoding)
    key_marker: str = request.get("KeyMarker") or ""
    id_marker: str = (request.get("UploadIdMarker") or "") if key_marker else ""
    most = listing.page_size(request.get("MaxUploads"), "max-uploads")
    start_at = None
    from_key = key_marker.encode()
    if bucket.is_directory and key_marker:
        from_key, start_at = _from_token(bucket, key_marker)
    elif id_marker:
        marker = keys.upload(bucket.name, key_marker, id_marker)
        if await tx.get(marker) is None:
            raise errors.invalid_argument("Invalid uploadId marker", "upload-id-marker", id_marker)
        start_at = after(marker)
    page = await listing.list_page(
        tx,
        keys.uploads(bucket.name),
        prefix=(request.get("Prefix") or "").encode(),
        delimiter=(request.get("Delimiter") or "").encode(),
        marker=b"" if start_at else from_key,
        start_at=start_at,
        most=most,
    )
    found = [(key.decode(), str(rest[0]), decode_upload(value)) for key, rest, value in page.entries]
    answer: dict[str, Any] = {
        "Bucket": bucket.name,
        "KeyMarker": listing.shown(key_marker, encoding),
        "UploadIdMarker": id_marker,
        "NextKeyMarker": listing.shown(found[-1][0], encoding) if found else "",
        "NextUploadIdMarker": found[-1][1] if found else "",
        "MaxUploads": most,
        "IsTruncated": page.truncated,
    }
    if bucket.is_directory:
        del answer["UploadIdMarker"], answer["NextUploadIdMarker"]
        answer |= {"KeyMarker": key_marker, "NextKeyMarker": _token(page, found) if page.truncated else ""}
    for member in ("Prefix", "Delimiter"):
        if request.get(member):
            answer[member] = listing.shown(request[member], encoding)
    if encoding:
        answer["EncodingType"] = encoding
    if found:
        answer["Uploads"] = [
            {
                "UploadId": upload_id,
                "Key": listing.shown(key, encoding),
                "Initiated": float(int(upload.initiated)),
                **_shown_upload(bucket, upload),
            }
            for key, upload_id, upload in found
        ]
    if page.prefixes:
        answer["CommonPrefixes"] = [
            {"Prefix": listing.shown(prefix.decode("utf-8", "replace"), encoding)} for prefix in page.prefixes
        ]
    return answer


def _token(page: listing.Page, found: list[tuple[str, str, Upload]]) -> str:
    """A directory bucket's key marker: where the next page goes on, behind an upload or a common prefix."""
    upload_id = found[-1][1] if found and found[-1][0].encode() == page.last else ""
    return listing.token(upload_id.encode() + b"/" + page.last)


def _from_token(bucket: Bucket, given: str) -> tuple[bytes, bytes | None]:
    """(the common prefix, else the upload's place) behind which a page goes on."""
    upload_id, slash, last = listing.from_token(given).partition(b"/")
    if not slash or not last:
        raise errors.invalid_argument("Invalid key marker", "key-marker", given)
    if not upload_id:
        return last, None
    return b"", after(keys.upload(bucket.name, last.decode("utf-8", "replace"), upload_id.decode("ascii", "replace")))


def _shown_upload(bucket: Bucket, upload: Upload) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "StorageClass": upload.storage_class,
        "Owner": buckets.owner(bucket),
        "Initiator": {"ID": upload.initiator_id, "DisplayName": upload.initiator_name},
    }
    if upload.checksum_algorithm:
        shown |= {"ChecksumAlgorithm": upload.checksum_algorithm, "ChecksumType": upload.checksum_type}
    return shown


async def list_parts(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    upload = await find_upload(tx, bucket, request)
    upload_id = request["UploadId"]
    marker = request.get("PartNumberMarker") or 0
    most = listing.page_size(request.get("MaxParts"), "max-parts")
    if marker < 0:
        raise errors.invalid_argument(
            "Argument part-number-marker must be an integer between 0 and 2147483647",
            "part-number-marker",
            str(marker),
        )
    _, end = keys.parts_range(upload_id)
    rows = await tx.scan(after(keys.part(upload_id, marker)), end, limit=most + 1)
    found = [(keys.part_number(key), decode_part(value)) for key, value in rows[:most]]
    answer: dict[str, Any] = {
        "Bucket": bucket.name,
        "Key": request["Key"],
        "UploadId": upload_id,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": found[-1][0] if found else 0,
        "MaxParts": most,
        "IsTruncated": len(rows) > most,
        **_shown_upload(bucket, upload),
        **_abortion(bucket, request["Key"], upload),
    }
    if found:
        member = checksums.member(upload.checksum_algorithm)
        answer["Parts"] = [
            {
                "PartNumber": number,
                "LastModified": float(int(part.modified)),
                "ETag": f'"{part.etag}"',
                "Size": part.body.size,
                **({member: part.checksum} if upload.checksum_algorithm else {}),
            }
            for number, part in found
        ]
    return answer
