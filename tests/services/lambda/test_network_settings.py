"""Settings that change nothing here and are kept for whoever sets them: VPCs and file systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lambda_kit import caught

POINT = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef0"


def test_a_vpc_is_kept_shown_and_taken_back(
    lambda_: Any, make: Callable[..., Any], updated: Callable[[str], None]
) -> None:
    made = make(VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]})
    vpc = made["VpcConfig"]["VpcId"]
    assert vpc.startswith("vpc-")
    kept = {
        "SubnetIds": ["subnet-1"],
        "SecurityGroupIds": ["sg-1"],
        "VpcId": vpc,
        "Ipv6AllowedForDualStack": False,
    }
    assert made["VpcConfig"] == kept
    assert lambda_.get_function_configuration(FunctionName="f")["VpcConfig"] == kept
    lambda_.update_function_configuration(FunctionName="f", Description="the same network")
    updated("f")
    assert lambda_.get_function_configuration(FunctionName="f")["VpcConfig"] == kept
    gone = lambda_.update_function_configuration(FunctionName="f", VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})[
        "VpcConfig"
    ]
    assert gone == {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False}
    updated("f")
    make("g")
    assert "VpcConfig" not in lambda_.get_function_configuration(FunctionName="g")
    assert lambda_.invoke(FunctionName="f", Payload=b"1")["Payload"].read() == b"1"


def test_networks_that_cannot_be(lambda_: Any, make: Callable[..., Any]) -> None:
    make()
    code, _, message = caught(
        lambda_.update_function_configuration, FunctionName="f", VpcConfig={"SubnetIds": ["x"], "SecurityGroupIds": []}
    )
    assert code == "ValidationException"
    assert message == (
        "1 validation error detected: Value '[x]' at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must "
        "satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than "
        "or equal to 0, Member must satisfy regular expression pattern: subnet-[0-9a-z]*]"
    )
    systems = [{"Arn": POINT, "LocalMountPath": "/mnt/data"}]
    assert caught(lambda_.update_function_configuration, FunctionName="f", FileSystemConfigs=systems) == (
        "InvalidParameterValueException",
        400,
        f"Function must be configured to execute in a VPC to reference access point {POINT}.",
    )


def test_file_systems_are_kept(lambda_: Any, make: Callable[..., Any]) -> None:
    systems = [{"Arn": POINT, "LocalMountPath": "/mnt/data"}]
    made = make(VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}, FileSystemConfigs=systems)
    assert made["FileSystemConfigs"] == systems
    assert lambda_.get_function(FunctionName="f")["Configuration"]["FileSystemConfigs"] == systems
