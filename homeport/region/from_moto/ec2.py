"""What the region takes from moto's ec2."""

from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidLaunchTemplateVersionNotFound,
    InvalidParameterCombination,
    InvalidParameterValueErrorUnknownAttribute,
    InvalidRouteTableIdError,
    InvalidSecurityGroupNotFoundError,
    InvalidTransitGatewayID,
    LastEniDetachError,
    OperationDisableApiStopNotPermitted,
    OperationNotPermitted4,
)
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance, StateReason
from moto.ec2.models.key_pairs import KeyPair
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpcs import VPC
from moto.ec2.responses import EC2Response
from moto.ec2.utils import convert_tag_spec, filter_iam_instance_profiles, parse_user_data, random_ami_id

__all__ = [
    "INSTANCE_TYPES",
    "VPC",
    "Ami",
    "EC2ClientError",
    "EC2Response",
    "Instance",
    "InvalidLaunchTemplateVersionNotFound",
    "InvalidParameterCombination",
    "InvalidParameterValueErrorUnknownAttribute",
    "InvalidRouteTableIdError",
    "InvalidSecurityGroupNotFoundError",
    "InvalidTransitGatewayID",
    "KeyPair",
    "LastEniDetachError",
    "NetworkInterface",
    "OperationDisableApiStopNotPermitted",
    "OperationNotPermitted4",
    "SecurityGroup",
    "StateReason",
    "Subnet",
    "convert_tag_spec",
    "ec2_backends",
    "filter_iam_instance_profiles",
    "parse_user_data",
    "random_ami_id",
]
