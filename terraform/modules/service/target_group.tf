# A changed port needs a new target group while the old one still serves, so the name is only begun here (six
# characters are all that the API leaves for it).
resource "aws_lb_target_group" "this" {
  name_prefix          = "${trimsuffix(substr(var.service, 0, 5), "-")}-"
  vpc_id               = var.vpc_id
  protocol             = "HTTP"
  port                 = var.port
  target_type          = "instance"
  deregistration_delay = var.deregistration_delay

  # Liveness only: a check that asks the backends would let one slow database replace the whole fleet.
  health_check {
    path                = "/healthz"
    matcher             = "200"
    interval            = var.health_check.interval
    timeout             = var.health_check.timeout
    healthy_threshold   = var.health_check.healthy_threshold
    unhealthy_threshold = var.health_check.unhealthy_threshold
  }

  tags = { Name = local.name, Service = var.service }

  lifecycle {
    create_before_destroy = true
  }
}

# A rule takes five values, so a service with more paths has several rules.
resource "aws_lb_listener_rule" "this" {
  for_each = { for index, paths in chunklist(var.paths, 5) : tostring(index) => paths }

  listener_arn = var.listener_arn
  priority     = var.listener_rule_priority + tonumber(each.key)

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }

  condition {
    path_pattern {
      values = each.value
    }
  }

  tags = { Name = "${local.name}-${each.key}", Service = var.service }
}
