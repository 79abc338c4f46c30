"""Inventory reports, on the virtual clock."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
from typing import Any

from tests.services.s3.conftest import new_name

DAY_S = 86_400


def test_reports(aws, start_pileus, fails):
    server = start_pileus("--clock", "virtual", durability="memory")
    s3 = type(aws)(server.endpoint, aws.account).client("s3")
    source, target, closed = new_name(), new_name(), new_name()
    for name in (source, target, closed):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Enabled"})
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
            "StringEquals": {"aws:SourceAccount": aws.account, "s3:x-amz-acl": "bucket-owner-full-control"},
        },
    }
    s3.put_bucket_policy(Bucket=target, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    def put(id_: str, to: str, *, enabled: bool = True, format_: str = "CSV", **members: Any) -> None:
        configuration = {
            "Id": id_,
            "IsEnabled": enabled,
            "IncludedObjectVersions": "All",
            "Schedule": {"Frequency": "Daily"},
            "Destination": {
                "S3BucketDestination": {"Bucket": f"arn:aws:s3:::{to}", "Format": format_, "Prefix": "reports"}
            },
            **members,
        }
        s3.put_bucket_inventory_configuration(Bucket=source, Id=id_, InventoryConfiguration=configuration)

    # The order of the columns is S3's, not the configuration's.
    put("all", target, OptionalFields=["StorageClass", "ETag", "Size", "IsMultipartUploaded"])
    lists = ["LifecycleExpirationDate", "ObjectOwner", "ObjectAccessControlList"]
    put("lists", target, OptionalFields=lists, Filter={"Prefix": "a "})
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "a "}, "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket=source, LifecycleConfiguration={"Rules": [rule]})
    refused = fails(lambda: put("events", target, OptionalFields=["IntelligentTieringReferenceDate"]))
    assert refused["Code"] == "NotImplemented"
    assert fails(lambda: put("parquet", target, format_="Parquet"))["Code"] == "NotImplemented"
    put("some", target, IncludedObjectVersions="Current", Filter={"Prefix": "a "})
    put("weekly", target, Schedule={"Frequency": "Weekly"})
    put("off", target, enabled=False)
    put("denied", closed)
    assert fails(lambda: put("orc", target, format_="ORC"))["Code"] == "NotImplemented"
    versions = [
        s3.put_object(Bucket=source, Key="a b,é", Body=b"12345")["VersionId"],
        s3.put_object(Bucket=source, Key="a b,é", Body=b"1")["VersionId"],
        s3.put_object(Bucket=source, Key="c", StorageClass="STANDARD_IA")["VersionId"],
        s3.delete_object(Bucket=source, Key="c")["VersionId"],
    ]
    server.advance(0)
    assert "Contents" not in s3.list_objects_v2(Bucket=target)
    server.advance(DAY_S)

    def read(key: str) -> bytes:
        body: bytes = s3.get_object(Bucket=target, Key=key)["Body"].read()
        return body

    def report(id_: str) -> tuple[dict[str, Any], list[list[str]]]:
        pages = s3.list_objects_v2(Bucket=target, Prefix=f"reports/{source}/{id_}/")["Contents"]
        keys = [one["Key"] for one in pages]
        (at,) = (key for key in keys if key.endswith("manifest.json"))
        manifest = read(at)
        assert at.endswith("T00-00Z/manifest.json")
        assert read(at.replace(".json", ".checksum")).decode() == hashlib.md5(manifest).hexdigest()
        found = json.loads(manifest)
        (file,) = found["files"]
        data = read(file["key"])
        assert (file["size"], file["MD5checksum"]) == (len(data), hashlib.md5(data).hexdigest())
        (link,) = (key for key in keys if "/hive/dt=" in key)
        assert read(link).decode() == f"s3://{target}/{file['key']}\n"
        return found, list(csv.reader(io.StringIO(gzip.decompress(data).decode())))

    manifest, rows = report("all")
    assert manifest["fileSchema"] == (
        "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag, StorageClass, IsMultipartUploaded"
    )
    assert (manifest["sourceBucket"], manifest["destinationBucket"]) == (source, f"arn:aws:s3:::{target}")
    assert (manifest["version"], manifest["fileFormat"]) == ("2016-11-30", "CSV")
    assert all(row[0] == source for row in rows)
    by_version = {row[2]: row for row in rows}
    assert set(by_version) == set(versions)
    first, second, third, marker = (by_version[version][1:] for version in versions)
    assert first[0] == second[0] == "a+b%2C%C3%A9"
    assert (first[2:5], second[2:5]) == (["false", "false", "5"], ["true", "false", "1"])
    assert (third[2:4], third[6]) == (["false", "false"], "STANDARD_IA")
    assert marker[2:] == ["true", "true", "", "", "", ""]
    assert report("some")[1] == [[source, "a+b%2C%C3%A9"]]
    manifest, (new, old) = report("lists")
    assert manifest["fileSchema"].endswith("ObjectAccessControlList, ObjectOwner, LifecycleExpirationDate")
    owner = s3.list_buckets()["Owner"]["ID"]
    grants = [{"canonicalId": owner, "permission": "FULL_CONTROL", "type": "CanonicalUser"}]
    assert json.loads(base64.b64decode(new[5])) == {"version": "2022-11-10", "status": "AVAILABLE", "grants": grants}
    assert (new[6], old[6], old[7]) == (owner, owner, "")
    assert new[7].endswith("T00:00:00.000Z")
    for id_ in ("off", "denied"):
        assert "Contents" not in s3.list_objects_v2(Bucket=target, Prefix=f"reports/{source}/{id_}/")
    assert "Contents" not in s3.list_objects_v2(Bucket=closed)

    # A week later there are seven daily reports more at most, and one weekly.
    for _ in range(7):
        server.advance(DAY_S)
    manifests = [
        one["Key"] for one in s3.list_objects_v2(Bucket=target)["Contents"] if one["Key"].endswith("manifest.json")
    ]
    assert sum("/all/" in key for key in manifests) == 8
    assert sum("/weekly/" in key for key in manifests) in (1, 2)
