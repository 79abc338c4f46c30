"""The manifest of S3's control plane (`s3control`): access points, batch jobs, the account's public access
block, tags by ARN."""

from __future__ import annotations

from collections.abc import Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Permissions, Request, Service, reading, writing
from pileus.services.s3 import batch, batch_running, directories
from pileus.services.s3.operations import accesspoints, control, jobs


def _on_point(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        account = request.get("AccountId") or ctx.account
        arn = f"arn:aws:s3:{ctx.region}:{account}:accesspoint/{request['Name']}"
        return (Permission(f"s3:{action}", arn),)

    return needed


def _on_all(action: str) -> Permissions:
    return lambda ctx, request: (Permission(f"s3:{action}", "*"),)


def _on_tagged(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        arn = request["ResourceArn"]
        service = "s3express" if arn.startswith(directories.ARN) else "s3"
        return (Permission(f"{service}:{action}", arn),)

    return needed


def _on_job(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        account = request.get("AccountId") or ctx.account
        return (Permission(f"s3:{action}", f"arn:aws:s3:{ctx.region}:{account}:job/{request['JobId']}"),)

    return needed


def _create_job(ctx: Context, request: Request) -> Sequence[Permission]:
    """The role is handed over to S3."""
    passed = {"iam:PassedToService": "batchoperations.s3.amazonaws.com"}
    return (Permission("s3:CreateJob", "*"), Permission("iam:PassRole", request["RoleArn"], passed))


CONTROL = Service(
    name="s3control",
    operations={
        "CreateAccessPoint": writing(accesspoints.create_access_point, _on_point("CreateAccessPoint")),
        "GetAccessPoint": reading(accesspoints.get_access_point, _on_point("GetAccessPoint")),
        "ListAccessPoints": reading(accesspoints.list_access_points, _on_all("ListAccessPoints")),
        "DeleteAccessPoint": writing(accesspoints.delete_access_point, _on_point("DeleteAccessPoint")),
        "PutAccessPointPolicy": writing(accesspoints.put_access_point_policy, _on_point("PutAccessPointPolicy")),
        "GetAccessPointPolicy": reading(accesspoints.get_access_point_policy, _on_point("GetAccessPointPolicy")),
        "GetAccessPointPolicyStatus": reading(
            accesspoints.get_access_point_policy_status, _on_point("GetAccessPointPolicyStatus")
        ),
        "DeleteAccessPointPolicy": writing(
            accesspoints.delete_access_point_policy, _on_point("DeleteAccessPointPolicy")
        ),
        "GetPublicAccessBlock": reading(control.get_public_access_block, _on_all("GetAccountPublicAccessBlock")),
        "PutPublicAccessBlock": writing(control.put_public_access_block, _on_all("PutAccountPublicAccessBlock")),
        "DeletePublicAccessBlock": writing(control.delete_public_access_block, _on_all("PutAccountPublicAccessBlock")),
        "CreateJob": writing(jobs.create_job, _create_job),
        "DescribeJob": reading(jobs.describe_job, _on_job("DescribeJob")),
        "ListJobs": reading(jobs.list_jobs, _on_all("ListJobs")),
        "UpdateJobPriority": writing(jobs.update_job_priority, _on_job("UpdateJobPriority")),
        "UpdateJobStatus": writing(jobs.update_job_status, _on_job("UpdateJobStatus")),
        "TagResource": writing(control.tag_resource, _on_tagged("TagResource")),
        "UntagResource": writing(control.untag_resource, _on_tagged("UntagResource")),
        "ListTagsForResource": reading(control.list_tags_for_resource, _on_tagged("ListTagsForResource")),
    },
    targets={batch.TARGET: batch_running.deliver},
)
