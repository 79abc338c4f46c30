"""Managed policies that AWS provides, those that users of a serverless platform name.

Source: the "AWS Managed Policy Reference Guide", a page for each. Where a document there goes on about services that
Pileus does not have (the console's needs in `AmazonDynamoDBFullAccess`, all of AWS in `ReadOnlyAccess` and
`PowerUserAccess`), it says here what remains for those that it has.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import orjson


class AwsPolicy(NamedTuple):
    name: str
    path: str
    version: str
    # Seconds since the epoch.
    created: float
    updated: float
    description: str
    document: str

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::aws:policy{self.path}{self.name}"

    @property
    def id(self) -> str:
        """ANPA and 17 characters: always the same for one policy."""
        digest = int.from_bytes(sha256(self.name.encode()).digest(), "big")
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
        return "ANPA" + "".join(alphabet[digest >> 5 * i & 31] for i in range(17))


_LOGS = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
_FEB_2015 = 1_423_248_000.0  # 2015-02-06, when managed policies came


def _allow(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": list(actions) if len(actions) > 1 else actions[0],
        "Resource": resource,
        **more,
    }


def _table() -> list[tuple[str, str, str, float, float, str, list[dict[str, Any]]]]:
    """Name, path, default version, created, updated, description, statements."""
    network = [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ]
    read_only = [
        f"{service}:{verb}*"
        for service in (
            "acm", "apigateway", "application-autoscaling", "cloudformation", "cloudfront", "cloudwatch", "cognito-idp",
            "dynamodb", "ec2", "ecr", "ecs", "events", "firehose", "iam", "kinesis", "kms", "lambda", "logs", "pipes",
            "route53", "s3", "scheduler", "secretsmanager", "sns", "sqs", "ssm", "states", "tag", "xray",
        )
        for verb in ("Get", "List", "Describe")
        # Reading secrets is not reading configuration.
        if (service, verb) not in (("secretsmanager", "Get"), ("kms", "Get"), ("apigateway", "Get"))
    ]  # fmt: skip
    return [
        ("AdministratorAccess", "/", "v1", _FEB_2015, _FEB_2015,
         "Provides full access to AWS services and resources.", [_allow("*")]),
        ("PowerUserAccess", "/", "v6", _FEB_2015, 1_727_740_800.0,
         "Provides full access to AWS services and resources, but does not allow management of Users and groups.",
         [{"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
          _allow("account:GetAccountInformation", "account:GetPrimaryEmail", "account:ListRegions",
                 "iam:CreateServiceLinkedRole", "iam:DeleteServiceLinkedRole", "iam:ListRoles",
                 "organizations:DescribeOrganization")]),
        ("ReadOnlyAccess", "/", "v1", _FEB_2015, _FEB_2015,
         "Provides read-only access to AWS services and resources.",
         [_allow(*read_only, "apigateway:GET", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan",
                 "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "logs:FilterLogEvents", "logs:StartQuery",
                 "logs:StopQuery", "logs:TestMetricFilter", "secretsmanager:GetResourcePolicy")]),
        ("AWSLambdaBasicExecutionRole", "/service-role/", "v1", 1_428_592_020.0, 1_428_592_020.0,
         "Provides write permissions to CloudWatch Logs.", [_allow(*_LOGS)]),
        ("AWSLambdaVPCAccessExecutionRole", "/service-role/", "v3", 1_455_235_380.0, 1_704_420_000.0,
         "Provides minimum permissions for a Lambda function to execute while accessing a resource within a VPC - "
         "create, describe, delete network interfaces and write permissions to CloudWatch Logs.",
         [{"Sid": "AWSLambdaVPCAccessExecutionPermissions", **_allow(*_LOGS, *network)}]),
        ("AWSLambdaExecute", "/", "v3", _FEB_2015, _FEB_2015,
         "Provides Put, Get access to S3 and full access to CloudWatch Logs.",
         [_allow("logs:*", resource="arn:aws:logs:*:*:*"),
          _allow("s3:GetObject", "s3:PutObject", resource="arn:aws:s3:::*")]),
        ("AWSLambdaDynamoDBExecutionRole", "/service-role/", "v1", 1_428_592_140.0, 1_428_592_140.0,
         "Provides list and read access to DynamoDB streams and write permissions to CloudWatch logs.",
         [_allow("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams",
                 *_LOGS)]),
        ("AWSLambdaKinesisExecutionRole", "/service-role/", "v2", 1_428_592_140.0, 1_542_668_400.0,
         "Provides list and read access to Kinesis streams and write permissions to CloudWatch logs.",
         [_allow("kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords",
                 "kinesis:GetShardIterator", "kinesis:ListShards", "kinesis:ListStreams", "kinesis:SubscribeToShard",
                 *_LOGS)]),
        ("AWSLambdaSQSQueueExecutionRole", "/service-role/", "v1", 1_528_998_300.0, 1_528_998_300.0,
         "Provides receive message, delete message, and read attribute access to SQS queues, and write permissions to "
         "CloudWatch logs.",
         [_allow("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", *_LOGS)]),
        ("AWSLambdaRole", "/service-role/", "v1", _FEB_2015, _FEB_2015, "Default policy for AWS Lambda service role.",
         [_allow("lambda:InvokeFunction", resource=["*"])]),
        ("AWSLambdaInvocation-DynamoDB", "/", "v1", _FEB_2015, _FEB_2015, "Provides read access to DynamoDB Streams.",
         [_allow("lambda:InvokeFunction"),
          _allow("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator",
                 "dynamodb:ListStreams")]),
        ("AWSLambda_FullAccess", "/", "v2", 1_605_639_900.0, 1_605_639_900.0,
         "Grants full access to AWS Lambda service, AWS Lambda console features, and other related AWS services.",
         [_allow("cloudformation:DescribeStacks", "cloudformation:ListStackResources", "cloudwatch:ListMetrics",
                 "cloudwatch:GetMetricData", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
                 "kms:ListAliases", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy",
                 "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:ListRoles", "lambda:*",
                 "logs:DescribeLogGroups", "states:DescribeStateMachine", "states:ListStateMachines",
                 "tag:GetResources", "xray:GetTraceSummaries", "xray:BatchGetTraces"),
          _allow("iam:PassRole", Condition={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}),
          _allow("logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents",
                 resource="arn:aws:logs:*:*:log-group:/aws/lambda/*")]),
        ("AWSLambda_ReadOnlyAccess", "/", "v2", 1_605_639_840.0, 1_605_639_840.0,
         "Grants read-only access to AWS Lambda service, AWS Lambda console features, and other related AWS services.",
         [_allow("cloudformation:DescribeStacks", "cloudformation:ListStackResources", "cloudwatch:GetMetricData",
                 "cloudwatch:ListMetrics", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
                 "kms:ListAliases", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy",
                 "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:ListRoles", "logs:DescribeLogGroups",
                 "lambda:Get*", "lambda:List*", "states:DescribeStateMachine", "states:ListStateMachines",
                 "tag:GetResources", "xray:GetTraceSummaries", "xray:BatchGetTraces"),
          _allow("logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents",
                 resource="arn:aws:logs:*:*:log-group:/aws/lambda/*")]),
        ("AmazonS3FullAccess", "/", "v2", _FEB_2015, 1_632_773_880.0,
         "Provides full access to all buckets via the AWS Management Console.", [_allow("s3:*", "s3-object-lambda:*")]),
        ("AmazonS3ReadOnlyAccess", "/", "v3", _FEB_2015, 1_691_703_060.0,
         "Provides read only access to all buckets via the AWS Management Console.",
         [_allow("s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*", "s3-object-lambda:List*")]),
        ("AmazonDynamoDBFullAccess", "/", "v15", _FEB_2015, 1_611_941_880.0,
         "Provides full access to Amazon DynamoDB via the AWS Management Console.",
         [_allow("dynamodb:*", "dax:*", "application-autoscaling:DeleteScalingPolicy",
                 "application-autoscaling:DeregisterScalableTarget", "application-autoscaling:DescribeScalableTargets",
                 "application-autoscaling:DescribeScalingActivities", "application-autoscaling:DescribeScalingPolicies",
                 "application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget",
                 "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarmHistory", "cloudwatch:DescribeAlarms",
                 "cloudwatch:DescribeAlarmsForMetric", "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics",
                 "cloudwatch:PutMetricAlarm", "cloudwatch:GetMetricData", "ec2:DescribeVpcs", "ec2:DescribeSubnets",
                 "ec2:DescribeSecurityGroups", "iam:GetRole", "iam:ListRoles", "kms:DescribeKey", "kms:ListAliases",
                 "sns:CreateTopic", "sns:DeleteTopic", "sns:ListSubscriptions", "sns:ListSubscriptionsByTopic",
                 "sns:ListTopics", "sns:Subscribe", "sns:Unsubscribe", "sns:SetTopicAttributes",
                 "lambda:CreateFunction", "lambda:ListFunctions", "lambda:ListEventSourceMappings",
                 "lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping",
                 "lambda:GetFunctionConfiguration", "lambda:DeleteFunction", "resource-groups:ListGroups",
                 "resource-groups:ListGroupResources", "resource-groups:GetGroup", "resource-groups:GetGroupQuery",
                 "resource-groups:DeleteGroup", "resource-groups:CreateGroup", "tag:GetResources",
                 "kinesis:ListStreams", "kinesis:DescribeStream", "kinesis:DescribeStreamSummary"),
          _allow("iam:PassRole", Condition={"StringLike": {"iam:PassedToService": [
              "application-autoscaling.amazonaws.com", "application-autoscaling.amazonaws.com.cn",
              "dax.amazonaws.com"]}})]),
        ("AmazonDynamoDBReadOnlyAccess", "/", "v14", _FEB_2015, 1_616_181_240.0,
         "Provides read only access to Amazon DynamoDB via the AWS Management Console.",
         [_allow("dynamodb:BatchGetItem", "dynamodb:Describe*", "dynamodb:List*", "dynamodb:GetItem",
                 "dynamodb:GetResourcePolicy", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect",
                 "dax:Describe*", "dax:List*", "dax:GetItem", "dax:BatchGetItem", "dax:Query", "dax:Scan",
                 "cloudwatch:DescribeAlarmHistory", "cloudwatch:DescribeAlarms", "cloudwatch:DescribeAlarmsForMetric",
                 "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics", "cloudwatch:GetMetricData",
                 "iam:GetRole", "iam:ListRoles", "kms:DescribeKey", "kms:ListAliases", "sns:ListSubscriptionsByTopic",
                 "sns:ListTopics", "lambda:ListFunctions", "lambda:ListEventSourceMappings",
                 "lambda:GetFunctionConfiguration", "tag:GetResources", "kinesis:ListStreams",
                 "kinesis:DescribeStream", "kinesis:DescribeStreamSummary")]),
        ("AmazonSQSFullAccess", "/", "v1", _FEB_2015, _FEB_2015,
         "Provides full access to Amazon SQS via the AWS Management Console.", [_allow("sqs:*")]),
        ("AmazonSQSReadOnlyAccess", "/", "v3", _FEB_2015, 1_692_813_600.0,
         "Provides read only access to Amazon SQS via the AWS Management Console.",
         [_allow("sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListDeadLetterSourceQueues", "sqs:ListQueues",
                 "sqs:ListMessageMoveTasks", "sqs:ListQueueTags")]),
        ("AmazonSNSFullAccess", "/", "v1", _FEB_2015, _FEB_2015,
         "Provides full access to Amazon SNS via the AWS Management Console.", [_allow("sns:*")]),
        ("AmazonSNSReadOnlyAccess", "/", "v1", _FEB_2015, _FEB_2015,
         "Provides read only access to Amazon SNS via the AWS Management Console.",
         [_allow("sns:GetTopicAttributes", "sns:List*")]),
        ("CloudWatchLogsFullAccess", "/", "v2", _FEB_2015, 1_700_784_000.0,
         "Provides full access to CloudWatch Logs",
         [_allow("logs:*", "cloudwatch:GenerateQuery")]),
        ("CloudWatchLogsReadOnlyAccess", "/", "v6", _FEB_2015, 1_700_784_000.0,
         "Provides read only access to CloudWatch Logs",
         [_allow("logs:Describe*", "logs:Get*", "logs:List*", "logs:StartQuery", "logs:StopQuery",
                 "logs:TestMetricFilter", "logs:FilterLogEvents", "logs:StartLiveTail", "logs:StopLiveTail",
                 "cloudwatch:GenerateQuery")]),
        ("CloudWatchFullAccess", "/", "v4", _FEB_2015, 1_669_593_600.0, "Provides full access to CloudWatch.",
         [_allow("autoscaling:Describe*", "cloudwatch:*", "logs:*", "sns:*", "iam:GetPolicy", "iam:GetPolicyVersion",
                 "iam:GetRole", "oam:ListSinks")]),
        ("AmazonKinesisFullAccess", "/", "v1", _FEB_2015, _FEB_2015,
         "Provides full access to all streams via the AWS Management Console.", [_allow("kinesis:*")]),
        ("AmazonEventBridgeFullAccess", "/", "v1", 1_562_889_480.0, 1_562_889_480.0,
         "Provides full access to Amazon EventBridge.",
         [_allow("events:*", "schemas:*", "scheduler:*", "pipes:*"),
          _allow("iam:PassRole", resource="arn:aws:iam::*:role/*",
                 Condition={"StringLike": {"iam:PassedToService": "events.amazonaws.com"}})]),
        ("AWSStepFunctionsFullAccess", "/", "v1", 1_484_172_600.0, 1_484_172_600.0,
         "An access policy for providing a user/role/etc access to the AWS StepFunctions API.", [_allow("states:*")]),
        ("AmazonAPIGatewayInvokeFullAccess", "/", "v1", 1_436_466_720.0, 1_436_466_720.0,
         "Provides full access to invoke APIs in Amazon API Gateway.",
         [_allow("execute-api:Invoke", "execute-api:ManageConnections", resource="arn:aws:execute-api:*:*:*")]),
        ("AmazonAPIGatewayPushToCloudWatchLogs", "/service-role/", "v1", 1_447_257_420.0, 1_447_257_420.0,
         "Allows API Gateway to push logs to user's account.",
         [_allow("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams",
                 "logs:PutLogEvents", "logs:GetLogEvents", "logs:FilterLogEvents")]),
        ("AWSXRayDaemonWriteAccess", "/", "v2", 1_535_485_500.0, 1_582_070_400.0,
         "Allow the AWS X-Ray Daemon to relay raw trace segments data to the service's API and retrieve sampling data "
         "(rules, targets, etc.) to be used by the X-Ray SDK.",
         [_allow("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules",
                 "xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries", resource=["*"])]),
        ("AWSXrayWriteOnlyAccess", "/", "v2", 1_480_617_180.0, 1_582_070_400.0, "AWS X-Ray write only managed policy",
         [_allow("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules",
                 "xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries", resource=["*"])]),
        ("SecretsManagerReadWrite", "/", "v5", 1_522_858_140.0, 1_708_560_000.0,
         "Provides read/write access to AWS Secrets Manager via the AWS Management Console.",
         [_allow("secretsmanager:*", "kms:DescribeKey", "kms:ListAliases", "kms:ListKeys", "lambda:ListFunctions",
                 "tag:GetResources")]),
        ("AmazonSSMReadOnlyAccess", "/", "v1", 1_432_921_560.0, 1_432_921_560.0,
         "Provides read only access to Amazon SSM.", [_allow("ssm:Describe*", "ssm:Get*", "ssm:List*")]),
        ("IAMFullAccess", "/", "v2", _FEB_2015, 1_561_148_340.0, "Provides full access to IAM via the AWS Management "
         "Console.", [_allow("iam:*", "organizations:DescribeAccount", "organizations:DescribeOrganization")]),
        ("IAMReadOnlyAccess", "/", "v4", _FEB_2015, 1_516_904_340.0,
         "Provides read only access to IAM via the AWS Management Console.",
         [_allow("iam:GenerateCredentialReport", "iam:GenerateServiceLastAccessedDetails", "iam:Get*", "iam:List*",
                 "iam:SimulateCustomPolicy", "iam:SimulatePrincipalPolicy")]),
    ]  # fmt: skip


@lru_cache(maxsize=1)
def all_policies() -> dict[str, AwsPolicy]:
    """ARN -> policy."""
    found = {}
    for name, path, version, created, updated, description, statements in _table():
        document = orjson.dumps({"Version": "2012-10-17", "Statement": statements}).decode()
        policy = AwsPolicy(name, path, version, created, updated, description, document)
        found[policy.arn] = policy
    return found


def find(arn: str) -> AwsPolicy | None:
    return all_policies().get(arn)
