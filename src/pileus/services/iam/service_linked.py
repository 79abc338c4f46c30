"""The roles that AWS's services make for themselves, by the service they are for.

Source: "AWS services that work with IAM" (IAM User Guide) and the "Using service-linked roles" page of each service.
"""

from __future__ import annotations

from typing import NamedTuple


class Template(NamedTuple):
    role: str
    # The AWS managed policy that it has, below `aws-service-role/`.
    policy: str
    description: str | None = None
    # Whether one account may have several, told apart by a suffix.
    suffix: bool = False


TEMPLATES: dict[str, Template] = {
    "accountdiscovery.ssm.amazonaws.com": Template(
        "AWSServiceRoleForAmazonSSM_AccountDiscovery", "AWSSystemsManagerAccountDiscoveryServicePolicy"
    ),
    "acm.amazonaws.com": Template("AWSServiceRoleForCertificateManager", "CertificateManagerServiceRolePolicy"),
    "apidestinations.events.amazonaws.com": Template(
        "AWSServiceRoleForAmazonEventBridgeApiDestinations", "AmazonEventBridgeApiDestinationsServiceRolePolicy"
    ),
    "appmesh.amazonaws.com": Template("AWSServiceRoleForAppMesh", "AWSAppMeshServiceRolePolicy"),
    "autoscaling-plans.amazonaws.com": Template(
        "AWSServiceRoleForAutoScalingPlans_EC2AutoScaling", "AWSAutoScalingPlansEC2AutoScalingPolicy"
    ),
    "autoscaling.amazonaws.com": Template("AWSServiceRoleForAutoScaling", "AutoScalingServiceRolePolicy", suffix=True),
    "backup.amazonaws.com": Template("AWSServiceRoleForBackup", "AWSBackupServiceLinkedRolePolicyForBackup"),
    "batch.amazonaws.com": Template("AWSServiceRoleForBatch", "BatchServiceRolePolicy"),
    "cassandra.application-autoscaling.amazonaws.com": Template(
        "AWSServiceRoleForApplicationAutoScaling_CassandraTable", "AWSApplicationAutoscalingCassandraTablePolicy"
    ),
    "cks.kms.amazonaws.com": Template(
        "AWSServiceRoleForKeyManagementServiceCustomKeyStores",
        "AWSKeyManagementServiceCustomKeyStoresServiceRolePolicy",
    ),
    "cloudtrail.amazonaws.com": Template("AWSServiceRoleForCloudTrail", "CloudTrailServiceRolePolicy"),
    "codestar-notifications.amazonaws.com": Template(
        "AWSServiceRoleForCodeStarNotifications", "AWSCodeStarNotificationsServiceRolePolicy"
    ),
    "config.amazonaws.com": Template("AWSServiceRoleForConfig", "AWSConfigServiceRolePolicy"),
    "connect.amazonaws.com": Template(
        "AWSServiceRoleForAmazonConnect", "AmazonConnectServiceLinkedRolePolicy", suffix=True
    ),
    "dms-fleet-advisor.amazonaws.com": Template(
        "AWSServiceRoleForDMSFleetAdvisor", "AWSDMSFleetAdvisorServiceRolePolicy"
    ),
    "dms.amazonaws.com": Template("AWSServiceRoleForDMSServerless", "AWSDMSServerlessServiceRolePolicy"),
    "docdb-elastic.amazonaws.com": Template("AWSServiceRoleForDocDB-Elastic", "AmazonDocDB-ElasticServiceRolePolicy"),
    "dynamodb.application-autoscaling.amazonaws.com": Template(
        "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable", "AWSApplicationAutoscalingDynamoDBTablePolicy"
    ),
    "ec2-instance-connect.amazonaws.com": Template("AWSServiceRoleForEc2InstanceConnect", "Ec2InstanceConnectEndpoint"),
    "ec2.application-autoscaling.amazonaws.com": Template(
        "AWSServiceRoleForApplicationAutoScaling_EC2SpotFleetRequest",
        "AWSApplicationAutoscalingEC2SpotFleetRequestPolicy",
    ),
    "ecr.amazonaws.com": Template("AWSServiceRoleForECRTemplate", "ECRTemplateServiceRolePolicy"),
    "ecs.amazonaws.com": Template("AWSServiceRoleForECS", "AmazonECSServiceRolePolicy"),
    "eks-connector.amazonaws.com": Template(
        "AWSServiceRoleForAmazonEKSConnector", "AmazonEKSConnectorServiceRolePolicy"
    ),
    "eks-fargate.amazonaws.com": Template(
        "AWSServiceRoleForAmazonEKSForFargate", "AmazonEKSForFargateServiceRolePolicy"
    ),
    "eks-nodegroup.amazonaws.com": Template(
        "AWSServiceRoleForAmazonEKSNodegroup", "AWSServiceRoleForAmazonEKSNodegroup"
    ),
    "eks.amazonaws.com": Template("AWSServiceRoleForAmazonEKS", "AmazonEKSServiceRolePolicy"),
    "elasticache.amazonaws.com": Template("AWSServiceRoleForElastiCache", "ElastiCacheServiceRolePolicy"),
    "elasticbeanstalk.amazonaws.com": Template(
        "AWSServiceRoleForElasticBeanstalk", "AWSElasticBeanstalkServiceRolePolicy"
    ),
    "elasticfilesystem.amazonaws.com": Template(
        "AWSServiceRoleForAmazonElasticFileSystem", "AmazonElasticFileSystemServiceRolePolicy"
    ),
    "elasticloadbalancing.amazonaws.com": Template(
        "AWSServiceRoleForElasticLoadBalancing", "AWSElasticLoadBalancingServiceRolePolicy"
    ),
    "email.cognito-idp.amazonaws.com": Template(
        "AWSServiceRoleForAmazonCognitoIdpEmailService", "AmazonCognitoIdpEmailServiceRolePolicy"
    ),
    "emr-containers.amazonaws.com": Template(
        "AWSServiceRoleForAmazonEMRContainers", "AmazonEMRContainersServiceRolePolicy"
    ),
    "emrwal.amazonaws.com": Template("AWSServiceRoleForEMRWAL", "EMRDescribeClusterPolicyForEMRWAL"),
    "events.amazonaws.com": Template("AWSServiceRoleForCloudWatchEvents", "CloudWatchEventsServiceRolePolicy"),
    "fis.amazonaws.com": Template("AWSServiceRoleForFIS", "AmazonFISServiceRolePolicy"),
    "grafana.amazonaws.com": Template("AWSServiceRoleForAmazonGrafana", "AmazonGrafanaServiceLinkedRolePolicy"),
    "imagebuilder.amazonaws.com": Template("AWSServiceRoleForImageBuilder", "AWSServiceRoleForImageBuilder"),
    "iotmanagedintegrations.amazonaws.com": Template(
        "AWSServiceRoleForIoTManagedIntegrations", "AWSIoTManagedIntegrationsRolePolicy"
    ),
    "kafka.amazonaws.com": Template("AWSServiceRoleForKafka", "KafkaServiceRolePolicy"),
    "kafkaconnect.amazonaws.com": Template("AWSServiceRoleForKafkaConnect", "KafkaConnectServiceRolePolicy"),
    "lakeformation.amazonaws.com": Template(
        "AWSServiceRoleForLakeFormationDataAccess", "LakeFormationDataAccessServiceRolePolicy"
    ),
    "lambda.application-autoscaling.amazonaws.com": Template(
        "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency", "AWSApplicationAutoscalingLambdaConcurrencyPolicy"
    ),
    "lex.amazonaws.com": Template("AWSServiceRoleForLexBots", "AmazonLexBotPolicy"),
    "lexv2.amazonaws.com": Template("AWSServiceRoleForLexV2Bots", "AmazonLexV2BotPolicy", suffix=True),
    "lightsail.amazonaws.com": Template("AWSServiceRoleForLightsail", "LightsailExportAccess"),
    "logger.cloudfront.amazonaws.com": Template("AWSServiceRoleForCloudFrontLogger", "AWSCloudFrontLogger"),
    "m2.amazonaws.com": Template("AWSServiceRoleForAWSM2", "AWSM2ServicePolicy"),
    "memorydb.amazonaws.com": Template("AWSServiceRoleForMemoryDB", "MemoryDBServiceRolePolicy"),
    "mq.amazonaws.com": Template("AWSServiceRoleForAmazonMQ", "AmazonMQServiceRolePolicy"),
    "mrk.kms.amazonaws.com": Template(
        "AWSServiceRoleForKeyManagementServiceMultiRegionKeys",
        "AWSKeyManagementServiceMultiRegionKeysServiceRolePolicy",
    ),
    "notifications.amazonaws.com": Template(
        "AWSServiceRoleForAwsUserNotifications", "AWSUserNotificationsServiceLinkedRolePolicy"
    ),
    "observability.aoss.amazonaws.com": Template(
        "AWSServiceRoleForAmazonOpenSearchServerless", "AmazonOpenSearchServerlessServiceRolePolicy"
    ),
    "opensearchservice.amazonaws.com": Template(
        "AWSServiceRoleForAmazonOpenSearchService", "AmazonOpenSearchServiceRolePolicy"
    ),
    "ops.apigateway.amazonaws.com": Template("AWSServiceRoleForAPIGateway", "APIGatewayServiceRolePolicy"),
    "ops.emr-serverless.amazonaws.com": Template(
        "AWSServiceRoleForAmazonEMRServerless", "AmazonEMRServerlessServiceRolePolicy"
    ),
    "opsdatasync.ssm.amazonaws.com": Template(
        "AWSServiceRoleForSystemsManagerOpsDataSync", "AWSSystemsManagerOpsDataSyncServiceRolePolicy"
    ),
    "opsinsights.ssm.amazonaws.com": Template(
        "AWSServiceRoleForAmazonSSM_OpsInsights", "AWSSSMOpsInsightsServiceRolePolicy"
    ),
    "organizations.amazonaws.com": Template("AWSServiceRoleForOrganizations", "AWSOrganizationsServiceTrustPolicy"),
    "pullthroughcache.ecr.amazonaws.com": Template(
        "AWSServiceRoleForECRPullThroughCache", "AWSECRPullThroughCache_ServiceRolePolicy"
    ),
    "ram.amazonaws.com": Template(
        "AWSServiceRoleForResourceAccessManager", "AWSResourceAccessManagerServiceRolePolicy"
    ),
    "rds.amazonaws.com": Template(
        "AWSServiceRoleForRDS", "AmazonRDSServiceRolePolicy", "Allows Amazon RDS to manage AWS resources on your behalf"
    ),
    "redshift.amazonaws.com": Template("AWSServiceRoleForRedshift", "AmazonRedshiftServiceLinkedRolePolicy"),
    "replication.cassandra.amazonaws.com": Template(
        "AWSServiceRoleForKeyspacesReplication", "KeyspacesReplicationServiceRolePolicy"
    ),
    "replication.dynamodb.amazonaws.com": Template(
        "AWSServiceRoleForDynamoDBReplication", "DynamoDBReplicationServiceRolePolicy"
    ),
    "replication.ecr.amazonaws.com": Template("AWSServiceRoleForECRReplication", "ECRReplicationServiceRolePolicy"),
    "replicator.lambda.amazonaws.com": Template("AWSServiceRoleForLambdaReplicator", "AWSLambdaReplicator"),
    "repository.sync.codeconnections.amazonaws.com": Template(
        "AWSServiceRoleForGitSync", "AWSGitSyncServiceRolePolicy"
    ),
    "resource-explorer-2.amazonaws.com": Template(
        "AWSServiceRoleForResourceExplorer", "AWSResourceExplorerServiceRolePolicy"
    ),
    "rolesanywhere.amazonaws.com": Template("AWSServiceRoleForRolesAnywhere", "AWSRolesAnywhereServicePolicy"),
    "s3-outposts.amazonaws.com": Template("AWSServiceRoleForS3OnOutposts", "AWSS3OnOutpostsServiceRolePolicy"),
    "ses.amazonaws.com": Template("AWSServiceRoleForAmazonSES", "AmazonSESServiceRolePolicy"),
    "shield.amazonaws.com": Template("AWSServiceRoleForAWSShield", "AWSShieldServiceRolePolicy"),
    "ssm-incidents.amazonaws.com": Template("AWSServiceRoleForIncidentManager", "AWSIncidentManagerServiceRolePolicy"),
    "ssm-quicksetup.amazonaws.com": Template("AWSServiceRoleForSSMQuickSetup", "SSMQuickSetupRolePolicy"),
    "ssm.amazonaws.com": Template(
        "AWSServiceRoleForAmazonSSM",
        "AmazonSSMServiceRolePolicy",
        "Provides access to AWS Resources managed or used by Amazon SSM.",
    ),
    "sso.amazonaws.com": Template(
        "AWSServiceRoleForSSO",
        "AWSSSOServiceRolePolicy",
        "Service-linked role used by AWS SSO to manage AWS resources, including IAM roles, policies and SAML IdP "
        "on your behalf.",
    ),
    "support.amazonaws.com": Template("AWSServiceRoleForSupport", "AWSSupportServiceRolePolicy"),
    "trustedadvisor.amazonaws.com": Template("AWSServiceRoleForTrustedAdvisor", "AWSTrustedAdvisorServiceRolePolicy"),
    "vpcorigin.cloudfront.amazonaws.com": Template(
        "AWSServiceRoleForCloudFrontVPCOrigin", "AWSCloudFrontVPCOriginServiceRolePolicy"
    ),
    "waf.amazonaws.com": Template("AWSServiceRoleForWAFLogging", "WAFLoggingServiceRolePolicy"),
    "wafv2.amazonaws.com": Template("AWSServiceRoleForWAFV2Logging", "WAFV2LoggingServiceRolePolicy"),
}
