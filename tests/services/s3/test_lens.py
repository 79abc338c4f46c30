"""S3 Storage Lens: configurations and groups, and their tags."""

from __future__ import annotations

from tests.services.s3.control_kit import control_of, user_keys


def configuration(id="lens", **more):
    return {"Id": id, "IsEnabled": True, "AccountLevel": {"BucketLevel": {}}, **more}


def levels(account=None, **bucket):
    return {"AccountLevel": {**(account or {}), "BucketLevel": bucket}}


def exported(aws, **more):
    destination = {
        "Format": "CSV",
        "OutputSchemaVersion": "V_1",
        "AccountId": aws.account,
        "Arn": "arn:aws:s3:::bucket",
    }
    return {"DataExport": {"S3BucketDestination": {**destination, **more}}}


def test_the_life_of_a_configuration(aws, control, mine, fails):
    at = {**mine, "ConfigId": "lens"}
    arn = f"arn:aws:s3:us-east-1:{aws.account}:storage-lens/lens"
    for call in (
        control.get_storage_lens_configuration,
        control.delete_storage_lens_configuration,
        control.get_storage_lens_configuration_tagging,
    ):
        error = fails(call, **at)
        assert (error["status"], error["Code"]) == (404, "NoSuchConfiguration")
    metrics = {"IsEnabled": True, "SelectionCriteria": {"Delimiter": "/", "MaxDepth": 3}}
    given = configuration(
        **levels(
            {"ActivityMetrics": {"IsEnabled": True}},
            ActivityMetrics={"IsEnabled": True},
            PrefixLevel={"StorageMetrics": metrics},
        ),
        Include={"Regions": ["eu-west-1"]},
        **exported(aws, Encryption={"SSES3": {}}),
    )
    tags = [{"Key": "a", "Value": "b"}]
    control.put_storage_lens_configuration(**at, StorageLensConfiguration=given, Tags=tags)
    found = control.get_storage_lens_configuration(**at)["StorageLensConfiguration"]
    assert found == {**given, "StorageLensArn": arn}
    listed = control.list_storage_lens_configurations(**mine)["StorageLensConfigurationList"]
    assert listed == [{"Id": "lens", "StorageLensArn": arn, "HomeRegion": "us-east-1", "IsEnabled": True}]
    assert control.get_storage_lens_configuration_tagging(**at)["Tags"] == tags
    control.put_storage_lens_configuration(**at, StorageLensConfiguration=configuration(IsEnabled=False))
    found = control.get_storage_lens_configuration(**at)["StorageLensConfiguration"]
    assert (found["IsEnabled"], "Include" in found) == (False, False)
    assert control.get_storage_lens_configuration_tagging(**at)["Tags"] == tags
    control.put_storage_lens_configuration_tagging(**at, Tags=[{"Key": "c", "Value": "d"}])
    assert control.get_storage_lens_configuration_tagging(**at)["Tags"] == [{"Key": "c", "Value": "d"}]
    control.delete_storage_lens_configuration_tagging(**at)
    assert control.get_storage_lens_configuration_tagging(**at).get("Tags", []) == []
    control.delete_storage_lens_configuration(**at)
    assert fails(control.get_storage_lens_configuration, **at)["Code"] == "NoSuchConfiguration"


def test_what_configurations_must_hold_to(aws, control, mine, fails):
    group = f"arn:aws:s3:us-east-1:{aws.account}:storage-lens-group/g"
    enabled = {"IsEnabled": True}

    def groups(**criteria):
        return levels({"StorageLensGroupLevel": {"SelectionCriteria": criteria}})

    def prefixes(**metrics):
        return levels(PrefixLevel={"StorageMetrics": metrics})

    for more, code in (
        ({"Id": "other"}, "InvalidConfigId"),
        ({"StorageLensArn": f"arn:aws:s3:us-east-1:{aws.account}:storage-lens/lens"}, "InvalidStorageLensArn"),
        (
            {"Include": {"Regions": ["eu-west-1"]}, "Exclude": {"Regions": ["eu-west-1"]}},
            "InvalidIncludeExcludeContainers",
        ),
        ({"Include": {}}, "EmptyIncludeContainer"),
        ({"Exclude": {"Buckets": []}}, "EmptyExcludeContainer"),
        ({"Include": {"Regions": ["eu-nowhere-1"]}}, "InvalidRegionName"),
        ({"Include": {"Buckets": [f"arn:aws:s3:::bucket{n}" for n in range(51)]}}, "TooManyBuckets"),
        (
            {"AwsOrg": {"Arn": "arn:aws:organizations::123456789012:organization/o-1234567890"}},
            "AWSOrganizationsNotInUseException",
        ),
        (levels({"ActivityMetrics": enabled}), "MissingBucketLevelActivityMetrics"),
        (levels(ActivityMetrics=enabled), "MissingAccountLevelActivityMetrics"),
        (prefixes(IsEnabled=False), "StorageMetricsMustEnabled"),
        (prefixes(IsEnabled=True, SelectionCriteria={"MaxDepth": 11}), "InvalidMaximumPrefixDepth"),
        (
            prefixes(IsEnabled=True, SelectionCriteria={"MinStorageBytesPercentage": 101.0}),
            "InvalidMinimumStorageBytesPercentage",
        ),
        (exported(aws, Arn="arn:aws:s3:us-east-1::bucket"), "InvalidDestination"),
        (exported(aws, Encryption={}), "MissingEncryptionMethod"),
        (exported(aws, Encryption={"SSES3": {}, "SSEKMS": {"KeyId": "k"}}), "InvalidEncryptionMethod"),
        (exported(aws, Encryption={"SSEKMS": {"KeyId": "k"}}), "InvalidKMSEncryptionKeyId"),
        (groups(Include=[group], Exclude=[group]), "InvalidIncludeExcludeElements"),
        (groups(Include=[]), "EmptyIncludeElement"),
        (groups(Include=[group, group]), "DuplicateStorageLensGroupARN"),
        (groups(Exclude=["arn:aws:s3:us-east-1:000000000001:storage-lens-group/g"]), "InvalidStorageLensGroupARN"),
    ):
        given = configuration(**more) if "Id" not in more else {**configuration(), **more}
        error = fails(control.put_storage_lens_configuration, **mine, ConfigId="lens", StorageLensConfiguration=given)
        assert (error["Code"], error["status"]) == (code, 403 if code.startswith("AWS") else 400)
    default = "default-account-dashboard"
    put = {**mine, "ConfigId": default}
    error = fails(
        control.put_storage_lens_configuration,
        **put,
        StorageLensConfiguration=configuration(default, Include={"Regions": ["eu-west-1"]}),
    )
    assert error["Code"] == "InvalidFilterForDefaultConfiguration"
    there = control_of(aws, region="eu-west-1")
    error = fails(there.put_storage_lens_configuration, **put, StorageLensConfiguration=configuration(default))
    assert error["Code"] == "InvalidRegionForDefaultConfiguration"
    control.put_storage_lens_configuration(**put, StorageLensConfiguration=configuration(default))
    error = fails(control.delete_storage_lens_configuration, **put)
    assert (error["status"], error["Code"]) == (403, "DefaultConfigurationDeleteForbidden")


def test_there_is_an_end_to_configurations(control, mine, fails):
    for number in range(20):
        id = f"lens-{number}"
        control.put_storage_lens_configuration(**mine, ConfigId=id, StorageLensConfiguration=configuration(id))
    error = fails(
        control.put_storage_lens_configuration, **mine, ConfigId="more", StorageLensConfiguration=configuration("more")
    )
    assert (error["status"], error["Code"]) == (400, "TooManyConfigurations")
    control.put_storage_lens_configuration(**mine, ConfigId="lens-0", StorageLensConfiguration=configuration("lens-0"))


def test_the_life_of_a_group(aws, control, mine, fails):
    at = {**mine, "Name": "group"}
    arn = f"arn:aws:s3:us-east-1:{aws.account}:storage-lens-group/group"
    error = fails(control.get_storage_lens_group, **at)
    assert (error["status"], error["Code"]) == (404, "NoSuchConfiguration")
    filter_ = {"And": {"MatchAnyPrefix": ["a/", "b/"], "MatchObjectSize": {"BytesGreaterThan": 5}}}
    group = {"Name": "group", "Filter": filter_}
    made = control.create_storage_lens_group(**mine, StorageLensGroup=group, Tags=[{"Key": "a", "Value": "b"}])
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 204
    found = control.get_storage_lens_group(**at)["StorageLensGroup"]
    assert found == {**group, "StorageLensGroupArn": arn}
    listed = control.list_storage_lens_groups(**mine)["StorageLensGroupList"]
    assert listed == [{"Name": "group", "StorageLensGroupArn": arn, "HomeRegion": "us-east-1"}]
    assert control.list_tags_for_resource(**mine, ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    control.untag_resource(**mine, ResourceArn=arn, TagKeys=["a"])
    assert control.list_tags_for_resource(**mine, ResourceArn=arn).get("Tags", []) == []
    error = fails(control.create_storage_lens_group, **mine, StorageLensGroup=group)
    assert (error["status"], error["Code"]) == (409, "ConfigurationAlreadyExists")
    changed = {"Name": "group", "Filter": {"MatchObjectAge": {"DaysGreaterThan": 3}}}
    control.update_storage_lens_group(**at, StorageLensGroup=changed)
    assert control.get_storage_lens_group(**at)["StorageLensGroup"]["Filter"] == changed["Filter"]
    error = fails(control.update_storage_lens_group, **at, StorageLensGroup={**changed, "Name": "other"})
    assert error["Code"] == "MismatchedName"
    assert control.delete_storage_lens_group(**at)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert fails(control.delete_storage_lens_group, **at)["Code"] == "NoSuchConfiguration"


def test_what_groups_must_hold_to(control, mine, fails):
    for filter_, code in (
        ({}, "InvalidFilter"),
        ({"MatchAnyPrefix": ["a"], "MatchAnySuffix": ["b"]}, "InvalidFilter"),
        ({"Or": {"MatchAnyPrefix": ["a"]}}, "InvalidLogicalOperator"),
        ({"MatchAnyPrefix": []}, "InvalidMatchAnyPrefix"),
        ({"MatchAnyPrefix": ["a", "a"]}, "DuplicateElement"),
        ({"MatchAnySuffix": [str(n) for n in range(11)]}, "TooManyElements"),
        ({"MatchAnySuffix": ["a" * 1025]}, "InvalidSuffix"),
        ({"MatchAnyTag": [{"Key": "a,b", "Value": ""}]}, "InvalidTag"),
        ({"MatchObjectAge": {}}, "InvalidMatchObjectAge"),
        ({"MatchObjectAge": {"DaysLessThan": 0}}, "InvalidAge"),
        ({"MatchObjectAge": {"DaysGreaterThan": 5, "DaysLessThan": 5}}, "InvalidNumericCombination"),
        ({"MatchObjectSize": {"BytesGreaterThan": 50 * 1024**4}}, "InvalidSize"),
    ):
        error = fails(control.create_storage_lens_group, **mine, StorageLensGroup={"Name": "g", "Filter": filter_})
        assert (error["Code"], error["status"]) == (code, 400)
    wrong = {"Name": "a name", "Filter": {"MatchAnyPrefix": ["a"]}}
    assert fails(control.create_storage_lens_group, **mine, StorageLensGroup=wrong)["Code"] == "InvalidName"


def test_who_may_not(aws, mine, fails):
    _, keys = user_keys(aws)
    theirs = control_of(aws, credentials=keys)
    for call, more in (
        (theirs.put_storage_lens_configuration, {"ConfigId": "lens", "StorageLensConfiguration": configuration()}),
        (theirs.get_storage_lens_configuration_tagging, {"ConfigId": "lens"}),
        (theirs.list_storage_lens_configurations, {}),
        (theirs.get_storage_lens_group, {"Name": "g"}),
    ):
        assert fails(call, **mine, **more)["Code"] == "AccessDenied"
