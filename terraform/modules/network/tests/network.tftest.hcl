# Offline: what would be planned and made, against a mocked provider.
mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  # Unsorted and more than needed, as the API may answer.
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1c", "eu-central-1a", "eu-central-1d", "eu-central-1b"] }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:111122223333:log-group:flow" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/flow" }
  }
}

variables {
  name = "homeport-test"
  cidr = "10.20.0.0/16"
}

run "subnets_of_three_zones" {
  assert {
    condition     = output.zones == tolist(["eu-central-1a", "eu-central-1b", "eu-central-1c"])
    error_message = "The first three zones of the alphabet belong in use."
  }

  assert {
    condition = { for zone, subnet in aws_subnet.public : zone => subnet.cidr_block } == {
      "eu-central-1a" = "10.20.0.0/20", "eu-central-1b" = "10.20.16.0/20", "eu-central-1c" = "10.20.32.0/20"
    }
    error_message = "Public subnets take the first /20 blocks."
  }

  assert {
    condition = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == {
      "eu-central-1a" = "10.20.128.0/20", "eu-central-1b" = "10.20.144.0/20", "eu-central-1c" = "10.20.160.0/20"
    }
    error_message = "Private subnets take the /20 blocks of the upper half."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.map_public_ip_on_launch != true])
    error_message = "No subnet gives public addresses by itself."
  }

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "The default security group has no rules."
  }
}

run "endpoints_reach_every_route_table" {
  assert {
    condition     = { for name, endpoint in aws_vpc_endpoint.gateway : name => endpoint.service_name } == { dynamodb = "com.amazonaws.eu-central-1.dynamodb", s3 = "com.amazonaws.eu-central-1.s3" }
    error_message = "S3 and DynamoDB have gateway endpoints."
  }

  assert {
    condition = alltrue([
      for endpoint in aws_vpc_endpoint.gateway :
      endpoint.vpc_endpoint_type == "Gateway" && length(endpoint.route_table_ids) == 4
    ])
    error_message = "The endpoints stand in the public and the three private route tables."
  }
}

run "one_nat_gateway_serves_all_zones" {
  assert {
    condition     = keys(aws_nat_gateway.this) == ["eu-central-1a"] && length(aws_eip.nat) == 1
    error_message = "The single gateway stands in the first zone."
  }

  assert {
    condition     = toset([for route in aws_route.private_internet : route.nat_gateway_id]) == toset([aws_nat_gateway.this["eu-central-1a"].id])
    error_message = "All private route tables lead to the one gateway."
  }

  assert {
    condition     = toset(output.instance_subnet_ids) == toset(values(output.private_subnet_ids)) && !output.instances_have_public_address
    error_message = "With NAT, instances belong in private subnets without public addresses."
  }
}

run "nat_in_every_zone" {
  variables {
    nat = "per_zone"
  }

  assert {
    condition     = alltrue([for zone, route in aws_route.private_internet : route.nat_gateway_id == aws_nat_gateway.this[zone].id])
    error_message = "Each zone leaves through its own gateway."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "There is a gateway in each zone."
  }
}

run "without_nat_instances_are_public" {
  variables {
    nat = "none"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_eip.nat) == 0 && length(aws_route.private_internet) == 0
    error_message = "Nothing of NAT is left."
  }

  assert {
    condition     = toset(output.instance_subnet_ids) == toset(values(output.public_subnet_ids)) && output.instances_have_public_address
    error_message = "Without NAT, instances belong in public subnets with public addresses."
  }
}

run "no_flow_logs_unless_asked" {
  assert {
    condition     = length(aws_flow_log.this) + length(aws_cloudwatch_log_group.flow_logs) + length(aws_iam_role.flow_logs) == 0
    error_message = "Flow logs cost money: they are made only when asked for."
  }
}

run "flow_logs" {
  variables {
    flow_log_retention_days = 14
  }

  assert {
    condition     = aws_flow_log.this["this"].traffic_type == "ALL" && aws_cloudwatch_log_group.flow_logs["this"].retention_in_days == 14
    error_message = "All traffic is logged and kept for the days given."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.flow_logs["this"].policy).Statement[0].Resource == "arn:aws:logs:eu-central-1:111122223333:log-group:flow:*"
    error_message = "The writer may write to its own log group alone."
  }
}

run "loopback_range_is_only_data" {
  variables {
    cidr = "127.91.0.0/16"
  }

  assert {
    condition     = aws_subnet.public["eu-central-1a"].cidr_block == "127.91.0.0/20"
    error_message = "Which /16 it is does not matter to the module."
  }
}

run "two_zones" {
  variables {
    zone_count = 2
  }

  assert {
    condition     = length(aws_subnet.public) == 2 && length(aws_subnet.private) == 2
    error_message = "Two zones have two subnets of each kind."
  }
}

run "refuses_one_zone" {
  command = plan

  variables {
    zone_count = 1
  }

  expect_failures = [var.zone_count]
}

run "refuses_another_size" {
  command = plan

  variables {
    cidr = "10.20.0.0/20"
  }

  expect_failures = [var.cidr]
}

run "refuses_host_bits" {
  command = plan

  variables {
    cidr = "10.20.1.0/16"
  }

  expect_failures = [var.cidr]
}

run "refuses_unknown_nat" {
  command = plan

  variables {
    nat = "instance"
  }

  expect_failures = [var.nat]
}

run "refuses_odd_retention" {
  command = plan

  variables {
    flow_log_retention_days = 10
  }

  expect_failures = [var.flow_log_retention_days]
}

run "refuses_bad_name" {
  command = plan

  variables {
    name = "Homeport_Test"
  }

  expect_failures = [var.name]
}
