# The group does not wait for the balancer, which takes a minute to make: it needs the target group alone.
resource "aws_autoscaling_group" "this" {
  name                = local.name
  vpc_zone_identifier = var.subnet_ids
  target_group_arns   = [aws_lb_target_group.this.arn]

  # desired_capacity is left out: it belongs to scaling, and an apply must not undo a scale-out.
  min_size = var.capacity.min
  max_size = var.capacity.max

  health_check_type         = "ELB"
  health_check_grace_period = var.health_check_grace_period
  default_instance_warmup   = var.instance_warmup
  force_delete              = var.force_delete

  # The provider waits for the desired capacity of its last read. After a lower max_size that number
  # can never be reached, and the apply would stand for ten minutes and fail.
  wait_for_capacity_timeout = "0"

  # The capacity alarm reads these; they cost nothing.
  metrics_granularity = "1Minute"
  enabled_metrics = [
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupMaxSize",
    "GroupMinSize",
    "GroupPendingInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
  ]

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  dynamic "initial_lifecycle_hook" {
    for_each = var.lifecycle_hooks

    content {
      name                 = initial_lifecycle_hook.key
      lifecycle_transition = initial_lifecycle_hook.value.transition
      default_result       = initial_lifecycle_hook.value.default_result
      heartbeat_timeout    = initial_lifecycle_hook.value.heartbeat_timeout
    }
  }

  dynamic "tag" {
    for_each = local.tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  # The first boot already reads parameters: the permission and the way to the API come before it.
  depends_on = [aws_iam_role_policy.this, aws_vpc_security_group_egress_rule.https]

  lifecycle {
    # Which version runs is a deploy's business: Terraform's own refresh moves the group first and cannot roll back.
    ignore_changes = [launch_template[0].version]
  }
}
