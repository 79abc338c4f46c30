"""A server on virtual time serves real clients, however far ahead it is."""


def test_clients_are_believed_after_a_jump(start_pileus, aws):
    server = start_pileus("--clock", "virtual")
    s3 = type(aws)(server.endpoint).client("s3")
    s3.create_bucket(Bucket="before")
    server.advance(14 * 86400)
    s3.create_bucket(Bucket="after")
    before, after = sorted((bucket["Name"], bucket["CreationDate"]) for bucket in s3.list_buckets()["Buckets"])[::-1]
    assert (before[0], after[0]) == ("before", "after")
    assert (after[1] - before[1]).total_seconds() == 14 * 86400
