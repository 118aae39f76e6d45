"""What tests make in an account, each with the fewest settings that AWS takes."""

import io
import json
import random
import zipfile

import pytest
from asking import refused

from tests.polling import eventually

REGION = "eu-central-1"

EC2_LISTS = (
    "describe_addresses",
    "describe_customer_gateways",
    "describe_dhcp_options",
    "describe_images",
    "describe_instances",
    "describe_internet_gateways",
    "describe_nat_gateways",
    "describe_network_acls",
    "describe_network_interfaces",
    "describe_route_tables",
    "describe_security_groups",
    "describe_snapshots",
    "describe_subnets",
    "describe_transit_gateway_route_tables",
    "describe_transit_gateways",
    "describe_volumes",
    "describe_vpc_endpoints",
    "describe_vpcs",
    "describe_vpn_gateways",
)
ELB_LISTS = ("describe_load_balancers", "describe_target_groups")


def in_use_cases():
    """Return a table of things in use, and the decorator that adds a row to it.

    A row makes a thing that another one uses, and returns how to delete it and how to set it free; the
    decorator takes AWS's code for the refusal.
    """
    cases = []

    def used(code):
        def add(case):
            cases.append(pytest.param(case, code, id=case.__name__))
            return case

        return add

    return cases, used


def kept_until_free(make, case, code):
    """Refuse to delete what a row of the table made, without any change, and delete it once it is free."""
    delete, release = case(make)
    before = make.everything()
    refused(code, delete)
    assert make.everything() == before, "a refused delete changes nothing"
    release()
    delete()


class Maker:
    """Makes things in one account; each method returns an id or an ARN."""

    def __init__(self, account, image):
        self.account, self.image = account, image
        self.ec2, self.elbv2 = account.ec2, account.client("elbv2")
        self.acm, self.iam = account.client("acm"), account.client("iam")
        self.prefix = f"127.{random.randint(100, 250)}"
        self.count = 0

    def name(self):
        self.count += 1
        return f"name-{self.count}"

    def vpc(self, prefix=None):
        return self.ec2.create_vpc(CidrBlock=f"{prefix or self.prefix}.0.0/16")["Vpc"]["VpcId"]

    def subnet(self, vpc, number=0):
        made = self.ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"{self.prefix}.{16 * number}.0/20", AvailabilityZone=f"{REGION}{'abc'[number]}"
        )
        return made["Subnet"]["SubnetId"]

    def group(self, vpc):
        made = self.ec2.create_security_group(GroupName=self.name(), Description="one", VpcId=vpc)
        return made["GroupId"]

    def allow(self, group, source, direction="ingress"):
        """Let a rule of ``group`` name ``source``, and return how to take it back."""
        rules = {
            "GroupId": group,
            "IpPermissions": [
                {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": source}]}
            ],
        }
        getattr(self.ec2, f"authorize_security_group_{direction}")(**rules)
        return lambda: getattr(self.ec2, f"revoke_security_group_{direction}")(**rules)

    def instance(self, subnet, **fields):
        instance = self.account.run(self.image, SubnetId=subnet, **fields)
        eventually(lambda: self.state(instance) == "running")
        return instance

    def state(self, instance):
        return self.account.instance(instance)["State"]["Name"]

    def stop(self, instance):
        self.ec2.stop_instances(InstanceIds=[instance])
        eventually(lambda: self.state(instance) == "stopped")

    def terminate(self, instance):
        self.ec2.terminate_instances(InstanceIds=[instance])
        eventually(lambda: self.state(instance) == "terminated")

    def interface(self, subnet, **fields):
        made = self.ec2.create_network_interface(SubnetId=subnet, **fields)
        return made["NetworkInterface"]["NetworkInterfaceId"]

    def attach(self, interface, instance):
        made = self.ec2.attach_network_interface(NetworkInterfaceId=interface, InstanceId=instance, DeviceIndex=1)
        return made["AttachmentId"]

    def address(self):
        return self.ec2.allocate_address(Domain="vpc")["AllocationId"]

    def gateway(self, vpc):
        made = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=vpc)
        return made

    def nat_gateway(self, subnet, address):
        made = self.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)
        return made["NatGateway"]["NatGatewayId"]

    def endpoint(self, vpc, **fields):
        made = self.ec2.create_vpc_endpoint(
            VpcId=vpc, **({"ServiceName": f"com.amazonaws.{REGION}.ssm", "VpcEndpointType": "Interface"} | fields)
        )
        return made["VpcEndpoint"]["VpcEndpointId"]

    def balancer(self, subnets, groups=(), **fields):
        made = self.elbv2.create_load_balancer(
            Name=self.name(), Subnets=list(subnets), SecurityGroups=list(groups), **fields
        )
        return made["LoadBalancers"][0]["LoadBalancerArn"]

    def target_group(self, vpc):
        made = self.elbv2.create_target_group(Name=self.name(), Protocol="HTTP", Port=8080, VpcId=vpc)
        return made["TargetGroups"][0]["TargetGroupArn"]

    def listener(self, balancer, port, actions=(), **fields):
        fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
        settings = {"Protocol": "HTTP", "DefaultActions": list(actions) or [fixed]} | fields
        made = self.elbv2.create_listener(LoadBalancerArn=balancer, Port=port, **settings)
        return made["Listeners"][0]["ListenerArn"]

    def certificate(self):
        return self.acm.request_certificate(DomainName=f"{self.name()}.example.org")["CertificateArn"]

    def server_certificate(self):
        """Make a certificate of IAM's, and return its name and ARN."""
        body = self.acm.get_certificate(CertificateArn=self.certificate())["Certificate"]
        name = self.name()
        made = self.iam.upload_server_certificate(
            ServerCertificateName=name, CertificateBody=body, PrivateKey="its private key"
        )
        return name, made["ServerCertificateMetadata"]["Arn"]

    def transit_gateway(self):
        return self.ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]

    def transit_attachment(self, gateway, vpc, subnet):
        made = self.ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=vpc, SubnetIds=[subnet])
        return made["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"]

    def interfaces_of(self, instance):
        return [one["NetworkInterfaceId"] for one in self.account.instance(instance)["NetworkInterfaces"]]

    def association(self, address):
        (found,) = self.ec2.describe_addresses(AllocationIds=[address])["Addresses"]
        return found["AssociationId"]

    def default_group(self, vpc):
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
        (found,) = self.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        return found["GroupId"]

    def route_table(self, vpc):
        return self.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]

    def main_route_table(self, vpc):
        """Return the id of a VPC's main route table, and of the association that makes it so."""
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]
        (found,) = self.ec2.describe_route_tables(Filters=filters)["RouteTables"]
        (main,) = [one for one in found["Associations"] if one["Main"]]
        return found["RouteTableId"], main["RouteTableAssociationId"]

    def network_acl_of(self, subnet):
        """Return the id of a subnet's network ACL, and of their association."""
        filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
        (found,) = self.ec2.describe_network_acls(Filters=filters)["NetworkAcls"]
        (mine,) = [one for one in found["Associations"] if one["SubnetId"] == subnet]
        return found["NetworkAclId"], mine["NetworkAclAssociationId"]

    def dhcp_options(self):
        made = self.ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["example.org"]}])
        return made["DhcpOptions"]["DhcpOptionsId"]

    def customer_gateway(self):
        made = self.ec2.create_customer_gateway(Type="ipsec.1", PublicIp="203.0.113.9", BgpAsn=65000)
        return made["CustomerGateway"]["CustomerGatewayId"]

    def vpn_gateway(self):
        return self.ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]

    def vpn_connection(self, customer_gateway, vpn_gateway):
        made = self.ec2.create_vpn_connection(
            Type="ipsec.1", CustomerGatewayId=customer_gateway, VpnGatewayId=vpn_gateway
        )
        return made["VpnConnection"]["VpnConnectionId"]

    def peering(self, vpc, peer):
        made = self.ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=peer)["VpcPeeringConnection"]
        self.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=made["VpcPeeringConnectionId"])
        return made["VpcPeeringConnectionId"]

    def volume(self):
        return self.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]

    def mount_target(self, subnet, **fields):
        efs = self.account.client("efs")
        system = efs.create_file_system(CreationToken=self.name())["FileSystemId"]
        return efs.create_mount_target(FileSystemId=system, SubnetId=subnet, **fields)["MountTargetId"]

    def database(self, engine="postgres", **fields):
        """Make a database, and return how to delete it."""
        rds = self.account.client("rds")
        rds.create_db_instance(
            DBInstanceIdentifier="one", DBInstanceClass="db.t3.micro", Engine=engine, AllocatedStorage=20,
            MasterUsername="one", MasterUserPassword="secret-secret", AvailabilityZone=f"{REGION}a", **fields,
        )  # fmt: skip
        return lambda: rds.delete_db_instance(DBInstanceIdentifier="one", SkipFinalSnapshot=True)

    def role(self, service="ec2.amazonaws.com", **fields):
        """Make a role, and return its name and ARN."""
        name = self.name()
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made = self.account.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document, **fields)
        return name, made["Role"]["Arn"]

    def function(self, **network):
        """Make a Lambda function in a VPC, and return how to delete it."""
        functions, (_, role) = self.account.client("lambda"), self.role("lambda.amazonaws.com")
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as code:
            code.writestr("one.py", "")
        functions.create_function(
            FunctionName="one", Runtime="python3.11", Role=role, Handler="one.handler", VpcConfig=network,
            Code={"ZipFile": archive.getvalue()},
        )  # fmt: skip
        return lambda: functions.delete_function(FunctionName="one")

    def everything(self):
        """Return all that EC2 and Elastic Load Balancing tell of what was made."""
        calls = dict.fromkeys(EC2_LISTS, self.ec2) | dict.fromkeys(ELB_LISTS, self.elbv2)
        told = {operation: getattr(client, operation)() for operation, client in calls.items()}
        for answer in told.values():
            del answer["ResponseMetadata"]
        return told
