"""The manifest of S3's control plane (`s3control`): access points of one region and of several, batch jobs, Access
Grants, Storage Lens, the account's public access block, tags by ARN."""

from __future__ import annotations

from collections.abc import Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Permissions, Request, Service, free, reading, writing
from pileus.services.s3 import batch, batch_running, directories, grants, keys, lens, multiregion, object_lambda
from pileus.services.s3.operations import accesspoints, control, jobs
from pileus.services.s3.operations import grants as of_grants
from pileus.services.s3.operations import lens as of_lens
from pileus.services.s3.operations import multiregion as mrap
from pileus.services.s3.operations import object_lambda as lambdas
from pileus.services.s3.records import DIRECTORY_POINT_END
from pileus.store.contract import Reader


def _on_point(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        account = request.get("AccountId") or ctx.account
        service = "s3express" if request["Name"].endswith(DIRECTORY_POINT_END) else "s3"
        arn = f"arn:aws:{service}:{ctx.region}:{account}:accesspoint/{request['Name']}"
        return (Permission(f"{service}:{action}", arn),)

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


def _multi_region(action: str) -> Permissions:
    """On a multi-Region access point; policies know it by its alias, which `_by_alias` puts in the name's place."""

    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        name = request["Name"] if "Name" in request else request["Details"]["Name"]
        return (Permission(f"s3:{action}", f"arn:aws:s3::{ctx.account}:accesspoint/{name}"),)

    return needed


async def _by_alias(ctx: Context, tx: Reader, request: Request, needed: Sequence[Permission]) -> Sequence[Permission]:
    name = needed[0].resource.rpartition("/")[2]
    data = await tx.get(keys.multi_region_point(ctx.account, name))
    return needed if data is None else [Permission(needed[0].action, multiregion.decode_point(data).arn)]


def _routes(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        given = request["Mrap"]
        arn = given if given.startswith("arn:") else f"arn:aws:s3::{ctx.account}:accesspoint/{given}"
        return (Permission(f"s3:{action}", arn),)

    return needed


def _on_request(ctx: Context, request: Request) -> Sequence[Permission]:
    return (Permission("s3:DescribeMultiRegionAccessPointOperation", request["RequestTokenARN"]),)


def _on_grants(action: str, within: str = "", member: str = "") -> Permissions:
    """On an Access Grants instance, or on the grant or location that a member names."""

    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        arn = grants.instance_arn(ctx.region, request["AccountId"]) + (f"/{within}/{request[member]}" if within else "")
        found = [Permission(f"s3:{action}", arn)]
        if request.get("Tags"):
            found.append(Permission("s3:TagResource", arn))
        if request.get("IAMRoleArn"):
            # The role is handed over to S3.
            passed = {"iam:PassedToService": f"{grants.SERVICE}.amazonaws.com"}
            found.append(Permission("iam:PassRole", request["IAMRoleArn"], passed))
        return found

    return needed


def _on_grant(action: str) -> Permissions:
    return _on_grants(action, "grant", "AccessGrantId")


def _on_location(action: str) -> Permissions:
    return _on_grants(action, "location", "AccessGrantsLocationId")


def _prefix_asked_later(ctx: Context, request: Request) -> Sequence[Permission]:
    """On the caller's own instance; the operation asks the owner of the prefix."""
    return (Permission("s3:GetAccessGrantsInstanceForPrefix", grants.instance_arn(ctx.region, ctx.account)),)


def _on_lens(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        arn = lens.configuration_arn(ctx.region, request["AccountId"], request["ConfigId"])
        found = [Permission(f"s3:{action}", arn)]
        if request.get("Tags") and action == "PutStorageLensConfiguration":
            found.append(Permission("s3:PutStorageLensConfigurationTagging", arn))
        return found

    return needed


def _on_lens_group(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        name = request["Name"] if "Name" in request else request["StorageLensGroup"]["Name"]
        arn = lens.group_arn(ctx.region, request["AccountId"], name)
        found = [Permission(f"s3:{action}", arn)]
        if request.get("Tags"):
            found.append(Permission("s3:TagResource", arn))
        return found

    return needed


def _on_object_lambda(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        arn = object_lambda.point_arn(ctx.region, request["AccountId"], request["Name"])
        return (Permission(f"s3:{action}", arn),)

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
        "ListAccessPointsForDirectoryBuckets": reading(
            accesspoints.list_access_points_for_directory_buckets,
            lambda ctx, request: (Permission("s3express:ListAccessPointsForDirectoryBuckets", "*"),),
        ),
        "PutAccessPointScope": writing(accesspoints.put_access_point_scope, _on_point("PutAccessPointScope")),
        "GetAccessPointScope": reading(accesspoints.get_access_point_scope, _on_point("GetAccessPointScope")),
        "DeleteAccessPointScope": writing(accesspoints.delete_access_point_scope, _on_point("DeleteAccessPointScope")),
        "GetPublicAccessBlock": reading(control.get_public_access_block, _on_all("GetAccountPublicAccessBlock")),
        "PutPublicAccessBlock": writing(control.put_public_access_block, _on_all("PutAccountPublicAccessBlock")),
        "DeletePublicAccessBlock": writing(control.delete_public_access_block, _on_all("PutAccountPublicAccessBlock")),
        "CreateJob": writing(jobs.create_job, _create_job),
        "DescribeJob": reading(jobs.describe_job, _on_job("DescribeJob")),
        "ListJobs": reading(jobs.list_jobs, _on_all("ListJobs")),
        "UpdateJobPriority": writing(jobs.update_job_priority, _on_job("UpdateJobPriority")),
        "UpdateJobStatus": writing(jobs.update_job_status, _on_job("UpdateJobStatus")),
        "CreateMultiRegionAccessPoint": writing(
            mrap.create_multi_region_access_point, _multi_region("CreateMultiRegionAccessPoint"), refine=_by_alias
        ),
        "DeleteMultiRegionAccessPoint": writing(
            mrap.delete_multi_region_access_point, _multi_region("DeleteMultiRegionAccessPoint"), refine=_by_alias
        ),
        "DescribeMultiRegionAccessPointOperation": reading(
            mrap.describe_multi_region_access_point_operation, _on_request
        ),
        "GetMultiRegionAccessPoint": reading(
            mrap.get_multi_region_access_point, _multi_region("GetMultiRegionAccessPoint"), refine=_by_alias
        ),
        "ListMultiRegionAccessPoints": reading(
            mrap.list_multi_region_access_points, _on_all("ListMultiRegionAccessPoints")
        ),
        "PutMultiRegionAccessPointPolicy": writing(
            mrap.put_multi_region_access_point_policy,
            _multi_region("PutMultiRegionAccessPointPolicy"),
            refine=_by_alias,
        ),
        "GetMultiRegionAccessPointPolicy": reading(
            mrap.get_multi_region_access_point_policy,
            _multi_region("GetMultiRegionAccessPointPolicy"),
            refine=_by_alias,
        ),
        "GetMultiRegionAccessPointPolicyStatus": reading(
            mrap.get_multi_region_access_point_policy_status,
            _multi_region("GetMultiRegionAccessPointPolicyStatus"),
            refine=_by_alias,
        ),
        "GetMultiRegionAccessPointRoutes": reading(
            mrap.get_multi_region_access_point_routes, _routes("GetMultiRegionAccessPointRoutes")
        ),
        "SubmitMultiRegionAccessPointRoutes": writing(
            mrap.submit_multi_region_access_point_routes, _routes("SubmitMultiRegionAccessPointRoutes")
        ),
        "CreateAccessGrantsInstance": writing(
            of_grants.create_access_grants_instance, _on_grants("CreateAccessGrantsInstance")
        ),
        "GetAccessGrantsInstance": reading(of_grants.get_access_grants_instance, _on_grants("GetAccessGrantsInstance")),
        "ListAccessGrantsInstances": reading(
            of_grants.list_access_grants_instances, _on_all("ListAccessGrantsInstances")
        ),
        "GetAccessGrantsInstanceForPrefix": reading(
            of_grants.get_access_grants_instance_for_prefix, _prefix_asked_later, of_grants.guard
        ),
        "DeleteAccessGrantsInstance": writing(
            of_grants.delete_access_grants_instance, _on_grants("DeleteAccessGrantsInstance")
        ),
        "PutAccessGrantsInstanceResourcePolicy": writing(
            of_grants.put_access_grants_instance_resource_policy, _on_grants("PutAccessGrantsInstanceResourcePolicy")
        ),
        "GetAccessGrantsInstanceResourcePolicy": reading(
            of_grants.get_access_grants_instance_resource_policy, _on_grants("GetAccessGrantsInstanceResourcePolicy")
        ),
        "DeleteAccessGrantsInstanceResourcePolicy": writing(
            of_grants.delete_access_grants_instance_resource_policy,
            _on_grants("DeleteAccessGrantsInstanceResourcePolicy"),
        ),
        "CreateAccessGrantsLocation": writing(
            of_grants.create_access_grants_location, _on_grants("CreateAccessGrantsLocation")
        ),
        "GetAccessGrantsLocation": reading(
            of_grants.get_access_grants_location, _on_location("GetAccessGrantsLocation")
        ),
        "ListAccessGrantsLocations": reading(
            of_grants.list_access_grants_locations, _on_grants("ListAccessGrantsLocations"), of_grants.guard
        ),
        "UpdateAccessGrantsLocation": writing(
            of_grants.update_access_grants_location, _on_location("UpdateAccessGrantsLocation")
        ),
        "DeleteAccessGrantsLocation": writing(
            of_grants.delete_access_grants_location, _on_location("DeleteAccessGrantsLocation")
        ),
        "CreateAccessGrant": writing(of_grants.create_access_grant, _on_location("CreateAccessGrant")),
        "GetAccessGrant": reading(of_grants.get_access_grant, _on_grant("GetAccessGrant")),
        "DeleteAccessGrant": writing(of_grants.delete_access_grant, _on_grant("DeleteAccessGrant")),
        "ListAccessGrants": reading(of_grants.list_access_grants, _on_grants("ListAccessGrants"), of_grants.guard),
        "ListCallerAccessGrants": reading(
            of_grants.list_caller_access_grants, _on_grants("ListCallerAccessGrants"), of_grants.guard
        ),
        "GetDataAccess": free(of_grants.get_data_access, _on_grants("GetDataAccess"), of_grants.guard),
        "PutStorageLensConfiguration": writing(
            of_lens.put_storage_lens_configuration, _on_lens("PutStorageLensConfiguration")
        ),
        "GetStorageLensConfiguration": reading(
            of_lens.get_storage_lens_configuration, _on_lens("GetStorageLensConfiguration")
        ),
        "ListStorageLensConfigurations": reading(
            of_lens.list_storage_lens_configurations, _on_all("ListStorageLensConfigurations")
        ),
        "DeleteStorageLensConfiguration": writing(
            of_lens.delete_storage_lens_configuration, _on_lens("DeleteStorageLensConfiguration")
        ),
        "PutStorageLensConfigurationTagging": writing(
            of_lens.put_storage_lens_configuration_tagging, _on_lens("PutStorageLensConfigurationTagging")
        ),
        "GetStorageLensConfigurationTagging": reading(
            of_lens.get_storage_lens_configuration_tagging, _on_lens("GetStorageLensConfigurationTagging")
        ),
        "DeleteStorageLensConfigurationTagging": writing(
            of_lens.delete_storage_lens_configuration_tagging, _on_lens("DeleteStorageLensConfigurationTagging")
        ),
        "CreateStorageLensGroup": writing(of_lens.create_storage_lens_group, _on_lens_group("CreateStorageLensGroup")),
        "GetStorageLensGroup": reading(of_lens.get_storage_lens_group, _on_lens_group("GetStorageLensGroup")),
        "ListStorageLensGroups": reading(of_lens.list_storage_lens_groups, _on_all("ListStorageLensGroups")),
        "UpdateStorageLensGroup": writing(of_lens.update_storage_lens_group, _on_lens_group("UpdateStorageLensGroup")),
        "DeleteStorageLensGroup": writing(of_lens.delete_storage_lens_group, _on_lens_group("DeleteStorageLensGroup")),
        "PutJobTagging": writing(jobs.put_job_tagging, _on_job("PutJobTagging")),
        "GetJobTagging": reading(jobs.get_job_tagging, _on_job("GetJobTagging")),
        "DeleteJobTagging": writing(jobs.delete_job_tagging, _on_job("DeleteJobTagging")),
        "CreateAccessPointForObjectLambda": writing(
            lambdas.create_access_point_for_object_lambda, _on_object_lambda("CreateAccessPointForObjectLambda")
        ),
        "GetAccessPointForObjectLambda": reading(
            lambdas.get_access_point_for_object_lambda, _on_object_lambda("GetAccessPointForObjectLambda")
        ),
        "ListAccessPointsForObjectLambda": reading(
            lambdas.list_access_points_for_object_lambda, _on_all("ListAccessPointsForObjectLambda")
        ),
        "DeleteAccessPointForObjectLambda": writing(
            lambdas.delete_access_point_for_object_lambda, _on_object_lambda("DeleteAccessPointForObjectLambda")
        ),
        "GetAccessPointConfigurationForObjectLambda": reading(
            lambdas.get_access_point_configuration_for_object_lambda,
            _on_object_lambda("GetAccessPointConfigurationForObjectLambda"),
        ),
        "PutAccessPointConfigurationForObjectLambda": writing(
            lambdas.put_access_point_configuration_for_object_lambda,
            _on_object_lambda("PutAccessPointConfigurationForObjectLambda"),
        ),
        "PutAccessPointPolicyForObjectLambda": writing(
            lambdas.put_access_point_policy_for_object_lambda, _on_object_lambda("PutAccessPointPolicyForObjectLambda")
        ),
        "GetAccessPointPolicyForObjectLambda": reading(
            lambdas.get_access_point_policy_for_object_lambda, _on_object_lambda("GetAccessPointPolicyForObjectLambda")
        ),
        "GetAccessPointPolicyStatusForObjectLambda": reading(
            lambdas.get_access_point_policy_status_for_object_lambda,
            _on_object_lambda("GetAccessPointPolicyStatusForObjectLambda"),
        ),
        "DeleteAccessPointPolicyForObjectLambda": writing(
            lambdas.delete_access_point_policy_for_object_lambda,
            _on_object_lambda("DeleteAccessPointPolicyForObjectLambda"),
        ),
        "TagResource": writing(control.tag_resource, _on_tagged("TagResource")),
        "UntagResource": writing(control.untag_resource, _on_tagged("UntagResource")),
        "ListTagsForResource": reading(control.list_tags_for_resource, _on_tagged("ListTagsForResource")),
    },
    targets={batch.TARGET: batch_running.deliver, multiregion.TARGET: mrap.deliver},
)
