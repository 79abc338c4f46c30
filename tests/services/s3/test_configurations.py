"""Configurations under ids: inventory, analytics, metrics, tiering."""

from __future__ import annotations

import pytest

INVENTORY = {
    "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::somewhere", "Format": "CSV"}},
    "IsEnabled": True,
    "IncludedObjectVersions": "All",
    "OptionalFields": ["Size", "ETag"],
    "Schedule": {"Frequency": "Daily"},
}
ANALYTICS = {
    "Filter": {"Prefix": "logs"},
    "StorageClassAnalysis": {
        "DataExport": {
            "OutputSchemaVersion": "V_1",
            "Destination": {
                "S3BucketDestination": {"Format": "CSV", "Bucket": "arn:aws:s3:::somewhere", "Prefix": "test"}
            },
        }
    },
}
METRICS = {"Filter": {"Prefix": "logs/"}}
TIERING = {"Filter": {"Prefix": "a"}, "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}
KINDS = [
    ("inventory", "InventoryConfiguration", INVENTORY, "IdMismatch"),
    ("analytics", "AnalyticsConfiguration", ANALYTICS, "MalformedXML"),
    ("metrics", "MetricsConfiguration", METRICS, "IdMismatch"),
    ("intelligent_tiering", "IntelligentTieringConfiguration", TIERING, "MalformedXML"),
]


@pytest.mark.parametrize(("kind", "member", "configuration", "mismatch"), KINDS)
def test_put_get_list_and_delete(s3, bucket, fails, kind, member, configuration, mismatch):
    put = getattr(s3, f"put_bucket_{kind}_configuration")
    get = getattr(s3, f"get_bucket_{kind}_configuration")
    delete = getattr(s3, f"delete_bucket_{kind}_configuration")
    every = getattr(s3, f"list_bucket_{kind}_configurations")
    missing = {"status": 404, "Code": "NoSuchConfiguration", "Message": "The specified configuration does not exist."}
    assert fails(get, Bucket=bucket, Id="b") == missing
    assert fails(delete, Bucket=bucket, Id="b") == missing
    answer = every(Bucket=bucket)
    assert answer["IsTruncated"] is False
    assert f"{member}List" not in answer
    for name in ("b", "a", "c"):
        answer = put(Bucket=bucket, Id=name, **{member: {**configuration, "Id": name}})
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert get(Bucket=bucket, Id="b")[member] == {**configuration, "Id": "b"}
    assert [one["Id"] for one in every(Bucket=bucket)[f"{member}List"]] == ["a", "b", "c"]
    delete(Bucket=bucket, Id="b")
    assert [one["Id"] for one in every(Bucket=bucket)[f"{member}List"]] == ["a", "c"]
    error = fails(put, Bucket=bucket, Id="other", **{member: {**configuration, "Id": "name"}})
    assert (error["status"], error["Code"]) == (400, mismatch)
    assert fails(get, Bucket=bucket + "-not", Id="a")["Code"] == "NoSuchBucket"


def test_pages(s3, bucket):
    for number in range(102):
        name = f"{number:03}"
        s3.put_bucket_metrics_configuration(Bucket=bucket, Id=name, MetricsConfiguration={"Id": name})
    first = s3.list_bucket_metrics_configurations(Bucket=bucket)
    assert (first["IsTruncated"], len(first["MetricsConfigurationList"])) == (True, 100)
    token = first["NextContinuationToken"]
    second = s3.list_bucket_metrics_configurations(Bucket=bucket, ContinuationToken=token)
    assert [one["Id"] for one in second["MetricsConfigurationList"]] == ["100", "101"]
    assert (second["IsTruncated"], second["ContinuationToken"]) == (False, token)


def test_what_an_inventory_may_not_say(s3, bucket, fails):
    def put(**changed):
        return fails(
            s3.put_bucket_inventory_configuration,
            Bucket=bucket,
            Id="a",
            InventoryConfiguration={**INVENTORY, "Id": "a", **changed},
        )

    destination = {"S3BucketDestination": {"Bucket": "somewhere", "Format": "CSV"}}
    assert put(Destination=destination) == {
        "status": 400,
        "Code": "InvalidS3DestinationBucket",
        "Message": "Invalid bucket ARN.",
    }
    destination = {"S3BucketDestination": {"Bucket": "arn:aws:s3:::somewhere", "Format": "WRONG"}}
    assert put(Destination=destination)["Code"] == "MalformedXML"
    assert put(Schedule={"Frequency": "Hourly"})["Code"] == "MalformedXML"
    assert put(IncludedObjectVersions="Some")["Code"] == "MalformedXML"
    assert put(OptionalFields=["Sizes"])["Code"] == "MalformedXML"


def test_days_of_tiers(s3, bucket, fails):
    for tierings in (
        [{"Days": 89, "AccessTier": "ARCHIVE_ACCESS"}],
        [{"Days": 90, "AccessTier": "DEEP_ARCHIVE_ACCESS"}],
        [{"Days": 200, "AccessTier": "ARCHIVE_ACCESS"}, {"Days": 190, "AccessTier": "DEEP_ARCHIVE_ACCESS"}],
    ):
        configuration = {**TIERING, "Id": "a", "Tierings": tierings}
        error = fails(
            s3.put_bucket_intelligent_tiering_configuration,
            Bucket=bucket,
            Id="a",
            IntelligentTieringConfiguration=configuration,
        )
        assert (error["status"], error["Code"]) == (400, "InvalidRequest")


@pytest.mark.parametrize("kind", ["inventory", "analytics", "metrics", "intelligent-tiering"])
def test_an_id_there_must_be(bucket, refused, kind):
    for query in (kind, f"{kind}&id="):
        assert refused("DELETE", f"/{bucket}?{query}") == (400, "InvalidConfigurationId")
    assert refused("PUT", f"/{bucket}?{kind}", body=b"<Wrong/>") == (400, "MalformedXML")
