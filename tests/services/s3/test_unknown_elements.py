"""Elements of bodies that the schema does not have: each is refused, wherever it stands."""

import pytest

TAG = "<Tag><Key>a</Key><Value>b</Value></Tag>"
NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@pytest.mark.parametrize("namespace", ["", NAMESPACE])
def test_unknown_elements_are_refused(bucket, refused, md5, s3, namespace):
    for path, text in (
        ("tagging", f"<Tagging{namespace}><TagSet>{TAG}<Abc>abc</Abc></TagSet></Tagging>"),
        ("tagging", f"<Tagging{namespace}><TagSet>{TAG}</TagSet><Abc/></Tagging>"),
        ("tagging", f"<Tagging{namespace}><TagSet>{TAG.replace('<Value>', '<Abc/><Value>')}</TagSet></Tagging>"),
        ("versioning", f"<VersioningConfiguration{namespace}><Status>Enabled</Status><A/></VersioningConfiguration>"),
        (
            "cors",
            f"<CORSConfiguration{namespace}><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"
            "<Allowed>*</Allowed></CORSRule></CORSConfiguration>",
        ),
    ):
        body = text.encode()
        assert refused("PUT", f"/{bucket}?{path}", body=body, headers=md5(body)) == (400, "MalformedXML"), text
    body = f"<Delete{namespace}><Object><Key>a</Key></Object><Loud>true</Loud></Delete>".encode()
    assert refused("POST", f"/{bucket}?delete", body=body, headers=md5(body)) == (400, "MalformedXML")
    body = f"<Tagging{namespace}><TagSet>{TAG}</TagSet></Tagging>".encode()
    assert refused("PUT", f"/{bucket}?tagging", body=body, headers=md5(body))[0] == 204
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_an_element_of_an_outdated_operation_is_passed_over(bucket, s3):
    with pytest.raises(s3.exceptions.ClientError, match="InvalidArgument"):
        s3.put_bucket_notification(
            Bucket=bucket,
            NotificationConfiguration={
                "CloudFunctionConfiguration": {
                    "CloudFunction": "arn:aws:lambda:us-east-1:000000000000:function:nobody",
                    "Event": "s3:ObjectCreated:*",
                    "InvocationRole": "arn:aws:iam::000000000000:role/old",
                }
            },
        )
