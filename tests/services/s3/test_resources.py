"""Parts of buckets and objects that queries name, the methods they take, and what is told first."""

from __future__ import annotations

import pytest

# What takes DELETE, POST, PUT and GET of a bucket.
OF_BUCKETS = {
    "abac": ("ABAC", "PUT, GET"),
    "accelerate": ("ACCELERATE", "PUT, GET"),
    "acl": ("ACL", "PUT, GET"),
    "cors": ("CORS", "DELETE, PUT, GET"),
    "delete": ("MULTI_OBJECT_DELETE", "POST"),
    "encryption": ("ENCRYPTION", "DELETE, PUT, GET"),
    "inventory": ("INVENTORY", "DELETE, PUT, GET"),
    "lifecycle": ("LIFECYCLE", "DELETE, PUT, GET"),
    "location": ("LOCATION", "GET"),
    "logging": ("LOGGING_STATUS", "PUT, GET"),
    "notification": ("NOTIFICATION", "PUT, GET"),
    "object-lock": ("OBJECT_LOCK_CONFIGURATION", "PUT, GET"),
    "policy": ("BUCKETPOLICY", "DELETE, PUT, GET"),
    "policyStatus": ("POLICY_STATUS", "GET"),
    "requestPayment": ("REQUEST_PAYMENT", "PUT, GET"),
    "tagging": ("TAGGING", "DELETE, PUT, GET"),
    "uploads": ("UPLOADS", "GET"),
    "versioning": ("VERSIONING", "PUT, GET"),
    "versions": ("BUCKETVERSIONS", "GET"),
    "website": ("WEBSITE", "DELETE, PUT, GET"),
}
OF_OBJECTS = {
    "acl": ("ACL", "PUT, GET"),
    "attributes": ("OBJECT_ATTRIBUTES", "GET"),
    "legal-hold": ("OBJECT_LOCK_LEGALHOLD", "PUT, GET"),
    "restore": ("RESTORE", "POST"),
    "retention": ("OBJECT_LOCK_RETENTION", "PUT, GET"),
    "tagging": ("OBJECT_TAGGING", "DELETE, PUT, GET"),
    "torrent": ("TORRENT", "GET"),
    "uploadId=a": ("UPLOAD", "DELETE, POST, GET"),
    "uploads": ("UPLOADS", "POST"),
}


def _check(raw, refused, path, parts):
    for query, (resource, allowed) in parts.items():
        for method in {"DELETE", "POST", "PUT", "GET"} - set(allowed.split(", ")):
            found = refused(method, f"{path}?{query}", "Method", "ResourceType")
            assert found == (405, "MethodNotAllowed", method, resource), (method, query)
            assert raw(method, f"{path}?{query}")[1]["allow"] == allowed, (method, query)


def test_a_method_that_a_part_does_not_take_is_not_done_to_the_whole(s3, bucket, raw, refused):
    _check(raw, refused, f"/{bucket}", OF_BUCKETS)
    s3.head_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"as it was")
    _check(raw, refused, f"/{bucket}/a", OF_OBJECTS)
    for query in set(OF_BUCKETS) - {"acl", "encryption", "tagging"}:
        assert refused("DELETE", f"/{bucket}/a?{query}")[0] == refused("PUT", f"/{bucket}/a?{query}")[0] == 405, query
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"as it was"


def test_what_no_operation_takes(bucket, refused):
    cases = {
        ("POST", f"/{bucket}/a"): "OBJECT",
        ("PATCH", f"/{bucket}/a"): "OBJECT",
        ("PATCH", f"/{bucket}"): "BUCKET",
        ("PUT", "/"): "SERVICE",
        ("POST", "/"): "SERVICE",
        ("DELETE", "/"): "SERVICE",
    }
    for (method, path), resource in cases.items():
        assert refused(method, path, "Method", "ResourceType") == (405, "MethodNotAllowed", method, resource)


def test_queries_that_contradict_themselves(s3, bucket, refused):
    members = ("Message", "ArgumentName", "ArgumentValue")
    conflict = "Conflicting query string parameters: acl, tagging"
    found = refused("GET", f"/{bucket}?tagging&acl", *members)
    assert found == (400, "InvalidArgument", conflict, "ResourceType", "tagging")
    alone = "This operation does not accept partNumber without uploadId"
    found = refused("PUT", f"/{bucket}/a?partNumber=1", *members)
    assert found == (400, "InvalidArgument", alone, "partNumber", "partNumber")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_what_a_query_does_not_know_is_passed_over(s3, bucket, raw):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    for query in ("foo=bar", "x-id=GetObject", "polling-location", "versioning", "lifecycle"):
        assert raw("GET", f"/{bucket}/a?{query}")[2] == b"x", query


BODIES = ("versioning", "tagging", "cors", "lifecycle", "website", "encryption", "replication", "publicAccessBlock")


@pytest.mark.parametrize("body", [b"", b"no xml", b"<Wrong/>"])
def test_the_bucket_counts_before_the_body(aws, bucket, refused, body):
    stranger = type(aws)(aws.endpoint)
    theirs = f"theirs-{bucket}"[:63]
    stranger.client("s3").create_bucket(Bucket=theirs)
    for query in (*BODIES, "inventory&id=a", "object-lock", "acl"):
        assert refused("PUT", f"/{bucket}-none?{query}", "BucketName", body=body)[:2] == (404, "NoSuchBucket"), query
        assert refused("PUT", f"/{theirs}?{query}", body=body) == (403, "AccessDenied"), query
        assert refused("PUT", f"/{bucket}?{query}", body=body)[0] == 400, query
    assert refused("POST", f"/{bucket}-none?delete", body=body) == (404, "NoSuchBucket")
    assert refused("POST", f"/{theirs}?delete", body=body) == (400, "InvalidRequest")


def test_bodies_that_have_to_come_with_their_digest(s3, bucket, refused, md5):
    missing = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
    for method, path in (
        ("POST", f"/{bucket}?delete"),
        ("PUT", f"/{bucket}?tagging"),
        ("PUT", f"/{bucket}?cors"),
        ("PUT", f"/{bucket}?lifecycle"),
        ("PUT", f"/{bucket}/a?legal-hold"),
    ):
        assert refused(method, path, "Message", body=b"<a/>") == (400, "InvalidRequest", missing), path
        assert refused(method, path, body=b"<a/>", headers=md5(b"<a/>")) == (400, "MalformedXML"), path
    s3.put_object(Bucket=bucket, Key="a")
    tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    assert refused("PUT", f"/{bucket}/a?tagging", body=tags)[0] == 200


def test_addresses_that_are_none(raw, refused):
    for name in ("ab", "with%20space", "a" * 256, "stra%C3%9Fe"):
        assert refused("GET", f"/{name}") == (400, "InvalidBucketName"), name
        assert refused("PUT", f"/{name}/key") == (400, "InvalidBucketName"), name
        assert raw("HEAD", f"/{name}")[::2] == (400, b""), name
    # Such names there were once.
    for name in ("Upper_Case", "a..b", "-a-", "a" * 200):
        assert refused("GET", f"/{name}") == (404, "NoSuchBucket"), name
    for path in ("/bucket/%zz", "/bucket/%", "/bucket/%ff"):
        assert refused("GET", path) == (400, "InvalidURI"), path


def test_head_tells_the_type_of_what_it_does_not_show(bucket, raw):
    for path in (f"/{bucket}/none", f"/{bucket}-none"):
        status, headers, body = raw("HEAD", path)
        assert (status, headers["content-type"], body) == (404, "application/xml", b"")
