"""What is in use of services that the region only keeps: it is refused there as well."""

import json

import pytest
from asking import refused
from making import in_use_cases

CASES, used = in_use_cases()


@pytest.mark.parametrize(("case", "code"), CASES)
def test_what_is_in_use_is_kept_until_it_is_free(make, case, code):
    delete, release = case(make)
    refused(code, delete)
    refused(code, delete)  # a refused delete changes nothing
    release()
    delete()


# Storage


def bucket(make):
    made = {"Bucket": make.name()}
    make.account.client("s3").create_bucket(**made, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return make.account.client("s3"), made


@used("BucketNotEmpty")
def bucket_with_an_object(make):
    s3, made = bucket(make)
    s3.put_object(**made, Key="one", Body=b"one")
    return lambda: s3.delete_bucket(**made), lambda: s3.delete_object(**made, Key="one")


@used("BucketNotEmpty")
def bucket_with_a_version_and_a_delete_marker(make):
    s3, made = bucket(make)
    s3.put_bucket_versioning(**made, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(**made, Key="one", Body=b"one")
    s3.delete_object(**made, Key="one")

    def release():
        listed = s3.list_object_versions(**made)
        for one in (*listed["Versions"], *listed["DeleteMarkers"]):
            refused("BucketNotEmpty", s3.delete_bucket, **made)
            s3.delete_object(**made, Key="one", VersionId=one["VersionId"])

    return lambda: s3.delete_bucket(**made), release


@used("ValidationException")
def table_that_is_protected(make):
    dynamodb = make.account.client("dynamodb")
    dynamodb.create_table(
        TableName="one", BillingMode="PAY_PER_REQUEST", DeletionProtectionEnabled=True,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )  # fmt: skip
    return (
        lambda: dynamodb.delete_table(TableName="one"),
        lambda: dynamodb.update_table(TableName="one", DeletionProtectionEnabled=False),
    )


@used("FileSystemInUse")
def file_system_with_a_mount_target(make):
    efs = make.account.client("efs")
    target = make.mount_target(make.subnet(make.vpc()))
    (system,) = efs.describe_file_systems()["FileSystems"]
    return (
        lambda: efs.delete_file_system(FileSystemId=system["FileSystemId"]),
        lambda: efs.delete_mount_target(MountTargetId=target),
    )


@used("RepositoryNotEmptyException")
def repository_with_an_image(make):
    ecr = make.account.client("ecr")
    ecr.create_repository(repositoryName="one")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": "sha256:1", "size": 1},
        "layers": [],
    }
    image = ecr.put_image(repositoryName="one", imageTag="one", imageManifest=json.dumps(manifest))["image"]
    return (
        lambda: ecr.delete_repository(repositoryName="one"),
        lambda: ecr.batch_delete_image(repositoryName="one", imageIds=[image["imageId"]]),
    )


# Databases


@used("InvalidDBSubnetGroupStateFault")
def subnet_group_of_a_database(make):
    vpc, rds = make.vpc(), make.account.client("rds")
    rds.create_db_subnet_group(
        DBSubnetGroupName="one", DBSubnetGroupDescription="one", SubnetIds=[make.subnet(vpc), make.subnet(vpc, 1)]
    )
    return lambda: rds.delete_db_subnet_group(DBSubnetGroupName="one"), make.database(DBSubnetGroupName="one")


@used("InvalidDBParameterGroupState")
def parameter_group_of_a_database(make):
    rds = make.account.client("rds")
    rds.create_db_parameter_group(DBParameterGroupName="one", DBParameterGroupFamily="postgres16", Description="one")
    return (
        lambda: rds.delete_db_parameter_group(DBParameterGroupName="one"),
        make.database(DBParameterGroupName="one"),
    )


@used("InvalidOptionGroupStateFault")
def option_group_of_a_database(make):
    rds = make.account.client("rds")
    rds.create_option_group(
        OptionGroupName="one", EngineName="mysql", MajorEngineVersion="5.6", OptionGroupDescription="one"
    )
    return lambda: rds.delete_option_group(OptionGroupName="one"), make.database("mysql", OptionGroupName="one")


def cluster(make, **fields):
    """Make a database cluster, and return how to delete it."""
    rds = make.account.client("rds")
    rds.create_db_cluster(
        DBClusterIdentifier="cluster", Engine="aurora-postgresql", MasterUsername="one",
        MasterUserPassword="secret-secret", **fields,
    )  # fmt: skip
    return lambda: rds.delete_db_cluster(DBClusterIdentifier="cluster", SkipFinalSnapshot=True)


@used("InvalidDBParameterGroupState")
def parameter_group_of_a_cluster(make):
    rds = make.account.client("rds")
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="one", DBParameterGroupFamily="aurora-postgresql16", Description="one"
    )
    return (
        lambda: rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName="one"),
        cluster(make, DBClusterParameterGroupName="one"),
    )


@used("InvalidDBSubnetGroupStateFault")
def subnet_group_of_a_cluster(make):
    vpc, rds = make.vpc(), make.account.client("rds")
    rds.create_db_subnet_group(
        DBSubnetGroupName="one", DBSubnetGroupDescription="one", SubnetIds=[make.subnet(vpc), make.subnet(vpc, 1)]
    )
    return lambda: rds.delete_db_subnet_group(DBSubnetGroupName="one"), cluster(make, DBSubnetGroupName="one")


@used("InvalidDBClusterStateFault")
def cluster_with_a_database(make):
    delete = cluster(make)
    rds = make.account.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="one", DBInstanceClass="db.t3.medium", Engine="aurora-postgresql",
        DBClusterIdentifier="cluster",
    )  # fmt: skip
    return delete, lambda: rds.delete_db_instance(DBInstanceIdentifier="one", SkipFinalSnapshot=True)


# Containers


def ecs_cluster(make):
    ecs = make.account.client("ecs")
    ecs.create_cluster(clusterName="one")
    ecs.register_task_definition(family="one", containerDefinitions=[{"name": "one", "image": "one", "memory": 64}])
    return ecs, lambda: ecs.delete_cluster(cluster="one")


@used("ClusterContainsServicesException")
def cluster_with_a_service(make):
    ecs, delete = ecs_cluster(make)
    ecs.create_service(cluster="one", serviceName="one", taskDefinition="one", desiredCount=0)
    return delete, lambda: ecs.delete_service(cluster="one", service="one")


@used("ClusterContainsTasksException")
def cluster_with_a_task(make):
    ecs, delete = ecs_cluster(make)
    vpc = make.vpc()
    make.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    ecs.register_task_definition(
        family="one", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        containerDefinitions=[{"name": "one", "image": "one", "cpu": 256, "memory": 512}],
    )  # fmt: skip
    network = {"subnets": [make.subnet(vpc)], "securityGroups": [make.group(vpc)]}
    (task,) = ecs.run_task(
        cluster="one", taskDefinition="one", launchType="FARGATE", networkConfiguration={"awsvpcConfiguration": network}
    )["tasks"]
    refused("DependencyViolation", make.ec2.delete_subnet, SubnetId=network["subnets"][0])

    def release():
        ecs.stop_task(cluster="one", task=task["taskArn"])
        make.ec2.delete_subnet(SubnetId=network["subnets"][0])
        make.ec2.delete_security_group(GroupId=network["securityGroups"][0])

    return delete, release


@used("ClusterContainsContainerInstancesException")
def cluster_with_a_container_instance(make):
    ecs, delete = ecs_cluster(make)
    instance = make.instance(make.subnet(make.vpc()))
    document = json.dumps({"instanceId": instance})
    ecs.register_container_instance(cluster="one", instanceIdentityDocument=document)
    return delete, lambda: make.terminate(instance)


# Names


def zone(make, **fields):
    route53 = make.account.client("route53")
    made = route53.create_hosted_zone(Name="example.org", CallerReference=make.name(), **fields)
    return route53, made["HostedZone"]["Id"]


def record(route53, zone_id, action, **fields):
    change = {"Action": action, "ResourceRecordSet": {"TTL": 60, **fields}}
    route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": [change]})


@used("HostedZoneNotEmpty")
def zone_with_a_record(make):
    route53, found = zone(make)
    one = {"Name": "one.example.org", "Type": "A", "ResourceRecords": [{"Value": "192.0.2.1"}]}
    record(route53, found, "CREATE", **one)
    return lambda: route53.delete_hosted_zone(Id=found), lambda: record(route53, found, "DELETE", **one)


@used("HostedZoneNotEmpty")
def zone_with_a_delegation(make):
    route53, found = zone(make)
    one = {"Name": "one.example.org", "Type": "NS", "ResourceRecords": [{"Value": "ns.example.com"}]}
    record(route53, found, "CREATE", **one)
    return lambda: route53.delete_hosted_zone(Id=found), lambda: record(route53, found, "DELETE", **one)


@used("HostedZoneNotEmpty")
def zone_with_a_record_at_its_top(make):
    route53, found = zone(make)
    one = {"Name": "example.org", "Type": "TXT", "ResourceRecords": [{"Value": '"one"'}]}
    record(route53, found, "CREATE", **one)
    return lambda: route53.delete_hosted_zone(Id=found), lambda: record(route53, found, "DELETE", **one)


@used("DelegationSetInUse")
def delegation_set_of_a_zone(make):
    route53 = make.account.client("route53")
    made = route53.create_reusable_delegation_set(CallerReference="one")["DelegationSet"]["Id"]
    _, found = zone(make, DelegationSetId=made)
    return (
        lambda: route53.delete_reusable_delegation_set(Id=made),
        lambda: route53.delete_hosted_zone(Id=found),
    )


def discovery(make):
    """Make a namespace and a service in it, and return both ids."""
    cloud_map = make.account.client("servicediscovery")
    cloud_map.create_http_namespace(Name="one")
    (namespace,) = cloud_map.list_namespaces()["Namespaces"]
    service = cloud_map.create_service(Name="one", NamespaceId=namespace["Id"])["Service"]["Id"]
    return cloud_map, namespace["Id"], service


@used("ResourceInUse")
def namespace_with_a_service(make):
    cloud_map, namespace, service = discovery(make)
    return lambda: cloud_map.delete_namespace(Id=namespace), lambda: cloud_map.delete_service(Id=service)


@used("ResourceInUse")
def service_with_an_instance(make):
    cloud_map, _, service = discovery(make)
    instance = {"ServiceId": service, "InstanceId": "one"}
    cloud_map.register_instance(**instance, Attributes={"AWS_INSTANCE_IPV4": "192.0.2.1"})
    return lambda: cloud_map.delete_service(Id=service), lambda: cloud_map.deregister_instance(**instance)


# The rest


@used("ValidationException")
def rule_with_a_target(make):
    events = make.account.client("events")
    events.put_rule(Name="one", ScheduleExpression="rate(5 minutes)")
    events.put_targets(Rule="one", Targets=[{"Id": "1", "Arn": "arn:aws:sqs:eu-central-1:123456789012:one"}])
    return lambda: events.delete_rule(Name="one"), lambda: events.remove_targets(Rule="one", Ids=["1"])


@used("InvalidParameterException")
def secret_with_a_replica(make):
    secrets = make.account.client("secretsmanager")
    secrets.create_secret(Name="one", SecretString="one", AddReplicaRegions=[{"Region": "eu-west-1"}])
    return (
        lambda: secrets.delete_secret(SecretId="one"),
        lambda: secrets.remove_regions_from_replication(SecretId="one", RemoveReplicaRegions=["eu-west-1"]),
    )


VISIBLE = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "one"}


def web_acl(make, *rules):
    made = make.account.client("wafv2").create_web_acl(
        Name=make.name(), Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=VISIBLE, Rules=list(rules)
    )["Summary"]
    return made["ARN"], {key: made[key] for key in ("Name", "Id", "LockToken")} | {"Scope": "REGIONAL"}


@used("WAFAssociatedItemException")
def ip_set_of_a_web_acl(make):
    waf = make.account.client("wafv2")
    made = waf.create_ip_set(Name="one", Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=[])["Summary"]
    rule = {
        "Name": "one", "Priority": 1, "Statement": {"IPSetReferenceStatement": {"ARN": made["ARN"]}},
        "Action": {"Block": {}}, "VisibilityConfig": VISIBLE,
    }  # fmt: skip
    _, acl = web_acl(make, rule)
    return (
        lambda: waf.delete_ip_set(Name="one", Scope="REGIONAL", Id=made["Id"], LockToken=made["LockToken"]),
        lambda: waf.delete_web_acl(**acl),
    )


@used("WAFAssociatedItemException")
def web_acl_of_a_load_balancer(make):
    waf, vpc = make.account.client("wafv2"), make.vpc()
    balancer = make.balancer([make.subnet(vpc), make.subnet(vpc, 1)])
    arn, acl = web_acl(make)
    waf.associate_web_acl(WebACLArn=arn, ResourceArn=balancer)
    return lambda: waf.delete_web_acl(**acl), lambda: waf.disassociate_web_acl(ResourceArn=balancer)


@used("WAFAssociatedItemException")
def web_acl_of_a_load_balancer_that_is_deleted(make):
    waf, vpc = make.account.client("wafv2"), make.vpc()
    balancer = make.balancer([make.subnet(vpc), make.subnet(vpc, 1)])
    arn, acl = web_acl(make)
    waf.associate_web_acl(WebACLArn=arn, ResourceArn=balancer)
    return lambda: waf.delete_web_acl(**acl), lambda: make.elbv2.delete_load_balancer(LoadBalancerArn=balancer)


def test_a_key_in_use_is_scheduled_for_its_deletion_and_a_topic_goes_with_its_subscriptions(make):
    """AWS refuses neither."""
    kms, sns, sqs = (make.account.client(one) for one in ("kms", "sns", "sqs"))
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/one", TargetKeyId=key)
    assert kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)["DeletionDate"]
    topic = sns.create_topic(Name="one")["TopicArn"]
    queue = sqs.create_queue(QueueName="one")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-central-1:123456789012:one")
    sqs.delete_queue(QueueUrl=queue)
    sns.delete_topic(TopicArn=topic)
    assert sns.list_subscriptions()["Subscriptions"] == []
