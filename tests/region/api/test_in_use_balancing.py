"""What Elastic Load Balancing uses is kept, by whichever service it belongs to."""

import pytest
from asking import refused
from making import in_use_cases, kept_until_free

CASES, used = in_use_cases()


@pytest.mark.parametrize(("case", "code"), CASES)
def test_what_a_listener_uses_is_kept_until_it_is_free(make, case, code):
    kept_until_free(make, case, code)


def in_vpc(make):
    """Return a VPC and a load balancer in it."""
    vpc = make.vpc()
    return vpc, make.balancer([make.subnet(vpc), make.subnet(vpc, 1)])


def forward(*groups):
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": one} for one in groups]}}]


def rule(make, listener, actions):
    made = make.elbv2.create_rule(
        ListenerArn=listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/one"]}],
        Actions=actions,
    )
    return made["Rules"][0]["RuleArn"]


@used("ResourceInUse")
def target_group_of_a_listener(make):
    vpc, balancer = in_vpc(make)
    group = make.target_group(vpc)
    listener = make.listener(balancer, 8080, [{"Type": "forward", "TargetGroupArn": group}])
    return (
        lambda: make.elbv2.delete_target_group(TargetGroupArn=group),
        lambda: make.elbv2.delete_listener(ListenerArn=listener),
    )


@used("ResourceInUse")
def target_group_of_a_load_balancer_that_is_deleted(make):
    vpc, balancer = in_vpc(make)
    group = make.target_group(vpc)
    make.listener(balancer, 8080, forward(make.target_group(vpc), group))
    return (
        lambda: make.elbv2.delete_target_group(TargetGroupArn=group),
        lambda: make.elbv2.delete_load_balancer(LoadBalancerArn=balancer),
    )


@used("ResourceInUse")
def target_group_that_a_listener_exchanges(make):
    vpc, balancer = in_vpc(make)
    group, other = make.target_group(vpc), make.target_group(vpc)
    listener = make.listener(balancer, 8080, forward(other))
    make.elbv2.modify_listener(ListenerArn=listener, DefaultActions=forward(group))
    return (
        lambda: make.elbv2.delete_target_group(TargetGroupArn=group),
        lambda: make.elbv2.modify_listener(ListenerArn=listener, DefaultActions=forward(other)),
    )


@used("ResourceInUse")
def target_group_of_a_rule(make):
    vpc, balancer = in_vpc(make)
    group = make.target_group(vpc)
    made = rule(make, make.listener(balancer, 8080), forward(group))
    return (
        lambda: make.elbv2.delete_target_group(TargetGroupArn=group),
        lambda: make.elbv2.delete_rule(RuleArn=made),
    )


@used("ResourceInUse")
def target_group_that_a_rule_exchanges(make):
    vpc, balancer = in_vpc(make)
    group, other = make.target_group(vpc), make.target_group(vpc)
    made = rule(make, make.listener(balancer, 8080), forward(other))
    make.elbv2.modify_rule(RuleArn=made, Actions=forward(group))
    return (
        lambda: make.elbv2.delete_target_group(TargetGroupArn=group),
        lambda: make.elbv2.modify_rule(RuleArn=made, Actions=forward(other)),
    )


def secure(make, balancer, certificate):
    return make.listener(balancer, 8443, Protocol="HTTPS", Certificates=[{"CertificateArn": certificate}])


@used("ResourceInUseException")
def certificate_of_a_listener(make):
    _, balancer = in_vpc(make)
    certificate = make.certificate()
    listener = secure(make, balancer, certificate)
    return (
        lambda: make.acm.delete_certificate(CertificateArn=certificate),
        lambda: make.elbv2.delete_listener(ListenerArn=listener),
    )


@used("ResourceInUseException")
def certificate_of_a_load_balancer_that_is_deleted(make):
    _, balancer = in_vpc(make)
    certificate = make.certificate()
    secure(make, balancer, certificate)
    return (
        lambda: make.acm.delete_certificate(CertificateArn=certificate),
        lambda: make.elbv2.delete_load_balancer(LoadBalancerArn=balancer),
    )


@used("ResourceInUseException")
def certificate_that_a_listener_exchanges(make):
    _, balancer = in_vpc(make)
    certificate, other = make.certificate(), make.certificate()
    listener = secure(make, balancer, certificate)
    return (
        lambda: make.acm.delete_certificate(CertificateArn=certificate),
        lambda: make.elbv2.modify_listener(ListenerArn=listener, Certificates=[{"CertificateArn": other}]),
    )


@used("ResourceInUseException")
def certificate_that_a_listener_was_given_later(make):
    _, balancer = in_vpc(make)
    certificate, other = make.certificate(), make.certificate()
    listener = secure(make, balancer, other)
    more = {"ListenerArn": listener, "Certificates": [{"CertificateArn": certificate}]}
    make.elbv2.add_listener_certificates(**more)
    return (
        lambda: make.acm.delete_certificate(CertificateArn=certificate),
        lambda: make.elbv2.remove_listener_certificates(**more),
    )


@used("DeleteConflict")
def server_certificate_of_a_listener(make):
    _, balancer = in_vpc(make)
    name, certificate = make.server_certificate()
    listener = secure(make, balancer, certificate)
    return (
        lambda: make.iam.delete_server_certificate(ServerCertificateName=name),
        lambda: make.elbv2.delete_listener(ListenerArn=listener),
    )


@used("OperationNotPermitted")
def load_balancer_that_is_protected(make):
    _, balancer = in_vpc(make)
    key = "deletion_protection.enabled"
    make.elbv2.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=[{"Key": key, "Value": "true"}])
    return (
        lambda: make.elbv2.delete_load_balancer(LoadBalancerArn=balancer),
        lambda: make.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=balancer, Attributes=[{"Key": key, "Value": "false"}]
        ),
    )


def test_a_listener_keeps_its_default_rule_and_certificate(make):
    _, balancer = in_vpc(make)
    certificate, more = make.certificate(), make.certificate()
    listener = secure(make, balancer, certificate)
    make.elbv2.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": more}])
    (default,) = make.elbv2.describe_rules(ListenerArn=listener)["Rules"]
    refused("OperationNotPermitted", make.elbv2.delete_rule, RuleArn=default["RuleArn"])
    both = [{"CertificateArn": one} for one in (more, certificate)]
    refused("OperationNotPermitted", make.elbv2.remove_listener_certificates, ListenerArn=listener, Certificates=both)
    shown = make.elbv2.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    assert {one["CertificateArn"] for one in shown} == {certificate, more}
    assert make.elbv2.describe_rules(ListenerArn=listener)["Rules"] == [default]


def test_a_certificate_tells_which_load_balancers_use_it(make):
    vpc = make.vpc()
    one, two, three = (make.subnet(vpc, number) for number in range(3))
    balancer, other = make.balancer([one, two]), make.balancer([two, three])
    certificate, unused = make.certificate(), make.certificate()

    def told(arn):
        listed = {one["CertificateArn"]: one["InUse"] for one in make.acm.list_certificates()["CertificateSummaryList"]}
        users = make.acm.describe_certificate(CertificateArn=arn)["Certificate"]["InUseBy"]
        return listed[arn], set(users)

    assert told(certificate) == (False, set())
    secure(make, balancer, certificate)
    listener = secure(make, other, certificate)
    make.listener(balancer, 8444, Protocol="HTTPS", Certificates=[{"CertificateArn": certificate}])
    assert told(certificate) == (True, {balancer, other})
    make.elbv2.delete_listener(ListenerArn=listener)
    assert told(certificate) == (True, {balancer})
    make.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    assert told(certificate) == (False, set())
    assert told(unused) == (False, set())


def test_target_groups_outlive_their_load_balancer(make):
    vpc, balancer = in_vpc(make)
    group = make.target_group(vpc)
    make.listener(balancer, 8080, forward(group))
    make.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    (left,) = make.elbv2.describe_target_groups()["TargetGroups"]
    assert (left["TargetGroupArn"], left["LoadBalancerArns"]) == (group, [])
