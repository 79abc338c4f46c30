"""DAX's errors."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def cluster_not_found() -> AWSError:
    return AWSError("ClusterNotFoundFault", "Cluster not found.")


def cluster_exists(name: str) -> AWSError:
    return AWSError("ClusterAlreadyExistsFault", f"Cluster already exists: {name}.")


def parameter_group_not_found(name: str) -> AWSError:
    return AWSError("ParameterGroupNotFoundFault", f"ParameterGroup {name} not found.")


def parameter_group_exists(name: str) -> AWSError:
    return AWSError("ParameterGroupAlreadyExistsFault", f"ParameterGroup {name} already exists.")


def parameter_group_in_use(name: str) -> AWSError:
    return AWSError("InvalidParameterGroupStateFault", f"ParameterGroup {name} is in use.")


def subnet_group_not_found(name: str) -> AWSError:
    return AWSError("SubnetGroupNotFoundFault", f"SubnetGroup {name} not found.")


def subnet_group_exists(name: str) -> AWSError:
    return AWSError("SubnetGroupAlreadyExistsFault", f"SubnetGroup {name} already exists.")


def subnet_group_in_use(name: str) -> AWSError:
    return AWSError("SubnetGroupInUseFault", f"SubnetGroup {name} is in use.")


def node_not_found(id: str) -> AWSError:
    return AWSError("NodeNotFoundFault", f"Node {id} not found.")


def too_many_nodes() -> AWSError:
    return AWSError("NodeQuotaForClusterExceededFault", "A cluster has at most 11 nodes.")


def too_many_nodes_in_all(most: int) -> AWSError:
    return AWSError("NodeQuotaForCustomerExceededFault", f"An account has at most {most} nodes in a region.")


def too_many_parameter_groups(most: int) -> AWSError:
    return AWSError("ParameterGroupQuotaExceededFault", f"An account has at most {most} parameter groups in a region.")


def too_many_subnet_groups(most: int) -> AWSError:
    return AWSError("SubnetGroupQuotaExceededFault", f"An account has at most {most} subnet groups in a region.")


def too_many_subnets(most: int) -> AWSError:
    return AWSError("SubnetQuotaExceededFault", f"A subnet group has at most {most} subnets.")


def bad_arn(arn: str) -> AWSError:
    return AWSError("InvalidARNFault", f"The ARN {arn} is not valid.")


def tag_not_found(key: str) -> AWSError:
    return AWSError("TagNotFoundFault", f"Tag {key} not found.")


def too_many_tags() -> AWSError:
    return AWSError("TagQuotaPerResourceExceeded", "A resource has at most 50 tags.")


def invalid_value(message: str) -> AWSError:
    return AWSError("InvalidParameterValueException", message)


def invalid_combination(message: str) -> AWSError:
    return AWSError("InvalidParameterCombinationException", message)


def no_port() -> AWSError:
    return AWSError("InsufficientClusterCapacityFault", "There is no port left for another cluster.")
