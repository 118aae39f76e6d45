resource "aws_autoscaling_policy" "requests" {
  for_each = toset(var.requests_per_target == null ? [] : ["this"])

  name                   = "${local.name}-requests"
  autoscaling_group_name = aws_autoscaling_group.this.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.requests_per_target

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${var.balancer_arn_suffix}/${aws_lb_target_group.this.arn_suffix}"
    }
  }

  # The API refuses a label whose target group no balancer uses yet.
  depends_on = [aws_lb_listener_rule.this]
}
