"""IAM's manifest."""

from __future__ import annotations

from pileus.cloud.manifest import Loop, Service, reading, writing
from pileus.services.iam import loops
from pileus.services.iam.operations import (
    access_keys,
    account,
    groups,
    instance_profiles,
    policies,
    roles,
    service_credentials,
    service_linked_roles,
    simulation,
    users,
)
from pileus.services.iam.permissions import everywhere, on, on_policy, on_source

_USER = on("user", "UserName")
_USERS = on("user", "")
_GROUP = on("group", "GroupName")
_GROUPS = on("group", "")
_ROLE = on("role", "RoleName")
_ROLES = on("role", "")
_PROFILE = on("instance-profile", "InstanceProfileName")
_PROFILES = on("instance-profile", "")
_NEW_POLICY = on("policy", "PolicyName")
_POLICIES = on("policy", "")

SERVICE = Service(
    name="iam",
    operations={
        "CreateRole": writing(roles.create_role, _ROLE),
        "GetRole": reading(roles.get_role, _ROLE),
        "ListRoles": reading(roles.list_roles, _ROLES),
        "UpdateRole": writing(roles.update_role, _ROLE),
        "UpdateRoleDescription": writing(roles.update_role_description, _ROLE),
        "UpdateAssumeRolePolicy": writing(roles.update_assume_role_policy, _ROLE),
        "DeleteRole": writing(roles.delete_role, _ROLE),
        "PutRolePermissionsBoundary": writing(roles.put_role_permissions_boundary, _ROLE),
        "DeleteRolePermissionsBoundary": writing(roles.delete_role_permissions_boundary, _ROLE),
        "TagRole": writing(roles.tag_role, _ROLE),
        "UntagRole": writing(roles.untag_role, _ROLE),
        "ListRoleTags": reading(roles.list_role_tags, _ROLE),
        "AttachRolePolicy": writing(roles.attach_role_policy, _ROLE),
        "DetachRolePolicy": writing(roles.detach_role_policy, _ROLE),
        "ListAttachedRolePolicies": reading(roles.list_attached_role_policies, _ROLE),
        "PutRolePolicy": writing(roles.put_role_policy, _ROLE),
        "GetRolePolicy": reading(roles.get_role_policy, _ROLE),
        "DeleteRolePolicy": writing(roles.delete_role_policy, _ROLE),
        "ListRolePolicies": reading(roles.list_role_policies, _ROLE),
        "CreateServiceLinkedRole": writing(service_linked_roles.create_service_linked_role, _ROLES),
        "DeleteServiceLinkedRole": writing(service_linked_roles.delete_service_linked_role, _ROLE),
        "GetServiceLinkedRoleDeletionStatus": reading(
            service_linked_roles.get_service_linked_role_deletion_status, _ROLES
        ),
        "CreateUser": writing(users.create_user, _USER),
        "GetUser": reading(users.get_user, _USER),
        "ListUsers": reading(users.list_users, _USERS),
        "UpdateUser": writing(users.update_user, _USER),
        "DeleteUser": writing(users.delete_user, _USER),
        "PutUserPermissionsBoundary": writing(users.put_user_permissions_boundary, _USER),
        "DeleteUserPermissionsBoundary": writing(users.delete_user_permissions_boundary, _USER),
        "TagUser": writing(users.tag_user, _USER),
        "UntagUser": writing(users.untag_user, _USER),
        "ListUserTags": reading(users.list_user_tags, _USER),
        "AttachUserPolicy": writing(users.attach_user_policy, _USER),
        "DetachUserPolicy": writing(users.detach_user_policy, _USER),
        "ListAttachedUserPolicies": reading(users.list_attached_user_policies, _USER),
        "PutUserPolicy": writing(users.put_user_policy, _USER),
        "GetUserPolicy": reading(users.get_user_policy, _USER),
        "DeleteUserPolicy": writing(users.delete_user_policy, _USER),
        "ListUserPolicies": reading(users.list_user_policies, _USER),
        "CreateAccessKey": writing(access_keys.create_access_key, _USER),
        "ListAccessKeys": reading(access_keys.list_access_keys, _USER),
        "UpdateAccessKey": writing(access_keys.update_access_key, _USER),
        "DeleteAccessKey": writing(access_keys.delete_access_key, _USER),
        "GetAccessKeyLastUsed": reading(access_keys.get_access_key_last_used, _USERS),
        "CreateServiceSpecificCredential": writing(service_credentials.create_service_specific_credential, _USER),
        "ListServiceSpecificCredentials": reading(service_credentials.list_service_specific_credentials, _USER),
        "UpdateServiceSpecificCredential": writing(service_credentials.update_service_specific_credential, _USER),
        "ResetServiceSpecificCredential": writing(service_credentials.reset_service_specific_credential, _USER),
        "DeleteServiceSpecificCredential": writing(service_credentials.delete_service_specific_credential, _USER),
        "CreateGroup": writing(groups.create_group, _GROUP),
        "GetGroup": reading(groups.get_group, _GROUP),
        "ListGroups": reading(groups.list_groups, _GROUPS),
        "ListGroupsForUser": reading(groups.list_groups_for_user, _USER),
        "UpdateGroup": writing(groups.update_group, _GROUP),
        "DeleteGroup": writing(groups.delete_group, _GROUP),
        "AddUserToGroup": writing(groups.add_user_to_group, _GROUP),
        "RemoveUserFromGroup": writing(groups.remove_user_from_group, _GROUP),
        "AttachGroupPolicy": writing(groups.attach_group_policy, _GROUP),
        "DetachGroupPolicy": writing(groups.detach_group_policy, _GROUP),
        "ListAttachedGroupPolicies": reading(groups.list_attached_group_policies, _GROUP),
        "PutGroupPolicy": writing(groups.put_group_policy, _GROUP),
        "GetGroupPolicy": reading(groups.get_group_policy, _GROUP),
        "DeleteGroupPolicy": writing(groups.delete_group_policy, _GROUP),
        "ListGroupPolicies": reading(groups.list_group_policies, _GROUP),
        "CreatePolicy": writing(policies.create_policy, _NEW_POLICY),
        "GetPolicy": reading(policies.get_policy, on_policy),
        "ListPolicies": reading(policies.list_policies, _POLICIES),
        "ListEntitiesForPolicy": reading(policies.list_entities_for_policy, on_policy),
        "DeletePolicy": writing(policies.delete_policy, on_policy),
        "CreatePolicyVersion": writing(policies.create_policy_version, on_policy),
        "GetPolicyVersion": reading(policies.get_policy_version, on_policy),
        "ListPolicyVersions": reading(policies.list_policy_versions, on_policy),
        "SetDefaultPolicyVersion": writing(policies.set_default_policy_version, on_policy),
        "DeletePolicyVersion": writing(policies.delete_policy_version, on_policy),
        "TagPolicy": writing(policies.tag_policy, on_policy),
        "UntagPolicy": writing(policies.untag_policy, on_policy),
        "ListPolicyTags": reading(policies.list_policy_tags, on_policy),
        "CreateInstanceProfile": writing(instance_profiles.create_instance_profile, _PROFILE),
        "GetInstanceProfile": reading(instance_profiles.get_instance_profile, _PROFILE),
        "ListInstanceProfiles": reading(instance_profiles.list_instance_profiles, _PROFILES),
        "ListInstanceProfilesForRole": reading(instance_profiles.list_instance_profiles_for_role, _ROLE),
        "DeleteInstanceProfile": writing(instance_profiles.delete_instance_profile, _PROFILE),
        "AddRoleToInstanceProfile": writing(instance_profiles.add_role_to_instance_profile, _PROFILE),
        "RemoveRoleFromInstanceProfile": writing(instance_profiles.remove_role_from_instance_profile, _PROFILE),
        "TagInstanceProfile": writing(instance_profiles.tag_instance_profile, _PROFILE),
        "UntagInstanceProfile": writing(instance_profiles.untag_instance_profile, _PROFILE),
        "ListInstanceProfileTags": reading(instance_profiles.list_instance_profile_tags, _PROFILE),
        "CreateAccountAlias": writing(account.create_account_alias, everywhere),
        "DeleteAccountAlias": writing(account.delete_account_alias, everywhere),
        "ListAccountAliases": reading(account.list_account_aliases, everywhere),
        "GetAccountSummary": reading(account.get_account_summary, everywhere),
        "GetAccountAuthorizationDetails": reading(account.get_account_authorization_details, everywhere),
        "SimulatePrincipalPolicy": reading(simulation.simulate_principal_policy, on_source),
        "SimulateCustomPolicy": reading(simulation.simulate_custom_policy, everywhere),
    },
    loops=(Loop("iam.key_uses", loops.write_key_uses, period_s=60),),
)
