mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::111122223333:instance-profile/homeport-test-balance" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 7 }
  }

  mock_resource "aws_lb_target_group" {
    defaults = {
      arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/balan-1/0123456789abcdef"
      arn_suffix = "targetgroup/balan-1/0123456789abcdef"
    }
  }
}

variables {
  service     = "balance"
  environment = "test"
  tags        = { Project = "homeport", ManagedBy = "terraform" }

  vpc_id     = "vpc-0123456789abcdef0"
  subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
  image_id   = "ami-0123456789abcdef0"

  port                = 8101
  paths               = ["/users/*"]
  capacity            = { min = 3, max = 6 }
  requests_per_target = 1000

  balancer_security_group_id = "sg-0123456789abcdef0"
  balancer_arn_suffix        = "app/homeport-test/0123456789abcdef"
  listener_arn               = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener/app/homeport-test/0123456789abcdef/0123456789abcdef"
  listener_rule_priority     = 1010
}

run "launch_template" {
  assert {
    condition     = aws_launch_template.this.image_id == "ami-0123456789abcdef0" && aws_launch_template.this.name == "homeport-test-balance"
    error_message = "The template names the image by its id."
  }

  assert {
    condition = (
      aws_launch_template.this.metadata_options[0].http_tokens == "required"
      && aws_launch_template.this.metadata_options[0].http_endpoint == "enabled"
      && aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
      && aws_launch_template.this.metadata_options[0].instance_metadata_tags == "enabled"
    )
    error_message = "Metadata needs a token (version 2) and leaves the machine by no hop."
  }

  assert {
    condition     = aws_launch_template.this.block_device_mappings[0].ebs[0].encrypted == "true" && aws_launch_template.this.block_device_mappings[0].ebs[0].volume_type == "gp3"
    error_message = "The root volume is an encrypted gp3 one."
  }

  assert {
    condition     = aws_launch_template.this.network_interfaces[0].associate_public_ip_address == "false"
    error_message = "No public address unless asked for."
  }

  assert {
    condition     = toset(aws_launch_template.this.network_interfaces[0].security_groups) == toset([aws_security_group.this.id])
    error_message = "Instances are in the service's own security group alone."
  }

  assert {
    condition     = { for specification in aws_launch_template.this.tag_specifications : specification.resource_type => specification.tags["Service"] } == { instance = "balance", "network-interface" = "balance", volume = "balance" }
    error_message = "Everything that the group launches is tagged."
  }
}

run "user_data_only_writes_the_settings" {
  assert {
    condition     = startswith(base64decode(aws_launch_template.this.user_data), "#cloud-config\n")
    error_message = "User-data is cloud-config."
  }

  assert {
    condition     = keys(yamldecode(base64decode(aws_launch_template.this.user_data))) == ["write_files"]
    error_message = "It writes a file and does nothing else: the image owns the service."
  }

  assert {
    condition     = yamldecode(base64decode(aws_launch_template.this.user_data)).write_files[0].path == "/etc/homeport/service.env"
    error_message = "The file is the service's environment."
  }

  assert {
    condition = yamldecode(base64decode(aws_launch_template.this.user_data)).write_files[0].content == join("", [
      "HOMEPORT_ENVIRONMENT=test\n",
      "HOMEPORT_PORT=8101\n",
      "HOMEPORT_SERVICE=balance\n",
    ])
    error_message = "The environment holds names, one a line, sorted."
  }
}

run "group" {
  assert {
    condition     = aws_autoscaling_group.this.min_size == 3 && aws_autoscaling_group.this.max_size == 6
    error_message = "The capacity is the one given."
  }

  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "ELB" && aws_autoscaling_group.this.target_group_arns == toset([aws_lb_target_group.this.arn])
    error_message = "The balancer's verdict counts."
  }

  assert {
    condition     = length(aws_autoscaling_group.this.vpc_zone_identifier) == 3 && aws_autoscaling_group.this.launch_template[0].version == "7"
    error_message = "The group spreads over the subnets and starts with a numbered version."
  }

  assert {
    condition     = alltrue([for tag in aws_autoscaling_group.this.tag : tag.propagate_at_launch]) && contains([for tag in aws_autoscaling_group.this.tag : "${tag.key}=${tag.value}"], "Environment=test")
    error_message = "The group's tags reach its instances."
  }

  assert {
    condition     = contains(aws_autoscaling_group.this.enabled_metrics, "GroupDesiredCapacity") && contains(aws_autoscaling_group.this.enabled_metrics, "GroupInServiceInstances")
    error_message = "The capacity alarm needs these metrics."
  }

  assert {
    condition     = !aws_autoscaling_group.this.force_delete && length(aws_autoscaling_group.this.initial_lifecycle_hook) == 0
    error_message = "No force and no hooks unless asked for."
  }
}

run "new_template_version_leaves_the_group_alone" {
  variables {
    image_id = "ami-0123456789abcdef1"
  }

  # A mocked update keeps the number that the API would raise; making it anew lets the override below be seen.
  plan_options {
    replace = [aws_launch_template.this]
  }

  override_resource {
    target = aws_launch_template.this
    values = { id = "lt-0123456789abcdef0", latest_version = 8 }
  }

  assert {
    condition     = output.launch_template_version == 8 && aws_autoscaling_group.this.launch_template[0].version == "7"
    error_message = "Only a deploy moves the group to another version."
  }
}

run "hooks_are_there_before_the_first_instance" {
  variables {
    lifecycle_hooks = { ready = { transition = "autoscaling:EC2_INSTANCE_LAUNCHING" } }
  }

  assert {
    condition = one([
      for hook in aws_autoscaling_group.this.initial_lifecycle_hook : "${hook.name} ${hook.default_result} ${hook.heartbeat_timeout}"
    ]) == "ready ABANDON 300"
    error_message = "A launch that does not report in is abandoned."
  }
}

run "balancer_alone_is_let_in" {
  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.from_balancer.referenced_security_group_id == var.balancer_security_group_id
      && aws_vpc_security_group_ingress_rule.from_balancer.cidr_ipv4 == null
      && aws_vpc_security_group_ingress_rule.from_balancer.from_port == 8101
      && aws_vpc_security_group_ingress_rule.from_balancer.to_port == 8101
    )
    error_message = "The only way in is from the balancer to the service's port."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.https.from_port == 443 && aws_vpc_security_group_egress_rule.balancer_to_service.security_group_id == var.balancer_security_group_id
    error_message = "Instances reach the AWS API, and the balancer reaches them."
  }
}

run "target_group" {
  variables {
    health_check         = { interval = 5, timeout = 2, unhealthy_threshold = 3 }
    deregistration_delay = 10
  }

  assert {
    condition = (
      aws_lb_target_group.this.health_check[0].path == "/healthz"
      && aws_lb_target_group.this.health_check[0].interval == 5
      && aws_lb_target_group.this.health_check[0].timeout == 2
      && aws_lb_target_group.this.health_check[0].healthy_threshold == 2
      && aws_lb_target_group.this.health_check[0].unhealthy_threshold == 3
    )
    error_message = "The check asks for liveness in the rhythm given."
  }

  assert {
    condition     = aws_lb_target_group.this.deregistration_delay == "10" && aws_lb_target_group.this.port == 8101
    error_message = "The delay and the port are the ones given."
  }
}

run "rules_take_five_paths_each" {
  variables {
    paths = ["/a", "/b", "/c", "/d", "/e", "/f/*"]
  }

  assert {
    condition     = { for index, rule in aws_lb_listener_rule.this : index => rule.priority } == { "0" = 1010, "1" = 1011 }
    error_message = "Six paths make two rules with priorities of their own."
  }

  assert {
    condition     = one(one(aws_lb_listener_rule.this["1"].condition).path_pattern).values == toset(["/f/*"])
    error_message = "The sixth path is in the second rule."
  }
}

run "role_without_data" {
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid] == ["OwnParameters"]
    error_message = "Without tables and queues the role reads its parameters and nothing else."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.this.policy).Statement[0].Resource == [
      "arn:aws:ssm:eu-central-1:111122223333:parameter/homeport/test/balance",
      "arn:aws:ssm:eu-central-1:111122223333:parameter/homeport/test/balance/*",
    ]
    error_message = "The parameters are the service's own, and no other service's whose name begins alike."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Principal.Service == "ec2.amazonaws.com"
    error_message = "Instances take the role."
  }
}

run "role_with_data" {
  variables {
    tables = ["orders"]
    queues = ["incoming-files"]
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid => statement.Resource if statement.Sid != "OwnParameters" } == {
      OwnTables = ["arn:aws:dynamodb:eu-central-1:111122223333:table/homeport-test-orders", "arn:aws:dynamodb:eu-central-1:111122223333:table/homeport-test-orders/index/*"]
      OwnQueues = ["arn:aws:sqs:eu-central-1:111122223333:homeport-test-incoming-files"]
    }
    error_message = "The role reaches the service's own tables and queues."
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.this.policy, "Scan") && !can(regex("\"[a-z]+:\\*\"", aws_iam_role_policy.this.policy))
    error_message = "No scans and no whole products."
  }

  assert {
    condition = strcontains(base64decode(aws_launch_template.this.user_data), "HOMEPORT_TABLE_ORDERS=homeport-test-orders") && strcontains(
    base64decode(aws_launch_template.this.user_data), "HOMEPORT_QUEUE_INCOMING_FILES=homeport-test-incoming-files")
    error_message = "The service is told its tables' and queues' names."
  }
}

run "target_tracking" {
  assert {
    condition     = aws_autoscaling_policy.requests["this"].target_tracking_configuration[0].target_value == 1000
    error_message = "The target is the catalogue's."
  }

  assert {
    condition     = aws_autoscaling_policy.requests["this"].target_tracking_configuration[0].predefined_metric_specification[0].resource_label == "app/homeport-test/0123456789abcdef/targetgroup/balan-1/0123456789abcdef"
    error_message = "The label joins the balancer's and the target group's suffixes."
  }
}

run "no_scaling_without_a_target" {
  variables {
    requests_per_target = null
  }

  assert {
    condition     = length(aws_autoscaling_policy.requests) == 0
    error_message = "Without a target nothing scales."
  }
}

run "alarms" {
  variables {
    alarm_topic_arns = ["arn:aws:sns:eu-central-1:111122223333:alarms"]
  }

  assert {
    condition     = output.alarm_names == ["homeport-test-balance-capacity", "homeport-test-balance-error-rate", "homeport-test-balance-unhealthy-hosts"]
    error_message = "A deploy can watch all three."
  }

  assert {
    condition = alltrue([
      for alarm in [aws_cloudwatch_metric_alarm.capacity, aws_cloudwatch_metric_alarm.error_rate, aws_cloudwatch_metric_alarm.unhealthy_hosts] :
      alarm.alarm_actions == toset(var.alarm_topic_arns) && alarm.ok_actions == toset(var.alarm_topic_arns)
    ])
    error_message = "The topics hear of the beginning and the end."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.error_rate.threshold == 5 && aws_cloudwatch_metric_alarm.error_rate.treat_missing_data == "notBreaching"
    error_message = "Without traffic there is no alarm."
  }
}

run "public_address" {
  variables {
    public_address = true
  }

  assert {
    condition     = aws_launch_template.this.network_interfaces[0].associate_public_ip_address == "true"
    error_message = "Instances without NAT need an address."
  }
}

run "nobody_logs_in_unless_asked" {
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.ssh) == 0 && aws_launch_template.this.key_name == null
    error_message = "Without a key and ranges there is no way in."
  }
}

run "operators_log_in_from_their_ranges" {
  variables {
    key_name  = "operators"
    ssh_cidrs = ["10.8.0.0/16"]
  }

  assert {
    condition = (
      aws_launch_template.this.key_name == "operators"
      && aws_vpc_security_group_ingress_rule.ssh["10.8.0.0/16"].from_port == 22
      && aws_vpc_security_group_ingress_rule.ssh["10.8.0.0/16"].to_port == 22
    )
    error_message = "A key's holder logs in from the named ranges."
  }
}

run "refuses_ssh_from_anywhere" {
  command = plan

  variables {
    ssh_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.ssh_cidrs]
}

run "refuses_an_image_alias" {
  command = plan

  variables {
    image_id = "resolve:ssm:/homeport/test/image"
  }

  expect_failures = [var.image_id]
}

run "refuses_min_above_max" {
  command = plan

  variables {
    capacity = { min = 7, max = 6 }
  }

  expect_failures = [var.capacity]
}

run "refuses_half_an_instance" {
  command = plan

  variables {
    capacity = { min = 1.5, max = 6 }
  }

  expect_failures = [var.capacity]
}

run "refuses_a_timeout_as_long_as_the_interval" {
  command = plan

  variables {
    health_check = { interval = 5, timeout = 5 }
  }

  expect_failures = [var.health_check]
}

run "refuses_a_threshold_of_one" {
  command = plan

  variables {
    health_check = { healthy_threshold = 1 }
  }

  expect_failures = [var.health_check]
}

run "refuses_a_bare_path" {
  command = plan

  variables {
    paths = ["users/*"]
  }

  expect_failures = [var.paths]
}

run "refuses_no_path" {
  command = plan

  variables {
    paths = []
  }

  expect_failures = [var.paths]
}

run "refuses_a_low_port" {
  command = plan

  variables {
    port = 80
  }

  expect_failures = [var.port]
}

run "refuses_a_table_by_arn" {
  command = plan

  variables {
    tables = ["arn:aws:dynamodb:eu-central-1:111122223333:table/orders"]
  }

  expect_failures = [var.tables]
}

run "refuses_an_unknown_transition" {
  command = plan

  variables {
    lifecycle_hooks = { ready = { transition = "LAUNCHING" } }
  }

  expect_failures = [var.lifecycle_hooks]
}

run "refuses_a_long_delay" {
  command = plan

  variables {
    deregistration_delay = 3601
  }

  expect_failures = [var.deregistration_delay]
}

run "refuses_a_priority_out_of_range" {
  command = plan

  variables {
    listener_rule_priority = 50000
  }

  expect_failures = [var.listener_rule_priority]
}

# Each of these alone is refused: a variable listed here that passed would fail the run.
run "refuses_bad_names_and_types" {
  command = plan

  variables {
    service          = "Balance_1"
    environment      = "eu-prod"
    subnet_ids       = []
    instance_type    = "micro"
    root_device_name = "xvda"
    queues           = ["Incoming Files"]
    alarm_topic_arns = ["ops@homeport.example"]
  }

  expect_failures = [
    var.service,
    var.environment,
    var.subnet_ids,
    var.instance_type,
    var.root_device_name,
    var.queues,
    var.alarm_topic_arns,
  ]
}

run "refuses_bad_numbers" {
  command = plan

  variables {
    root_volume_gib           = 0
    requests_per_target       = 0
    instance_warmup           = -1
    health_check_grace_period = -1
    error_rate_percent        = 100
  }

  expect_failures = [
    var.root_volume_gib,
    var.requests_per_target,
    var.instance_warmup,
    var.health_check_grace_period,
    var.error_rate_percent,
  ]
}
