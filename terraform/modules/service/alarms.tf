locals {
  target_dimensions = {
    LoadBalancer = var.balancer_arn_suffix
    TargetGroup  = aws_lb_target_group.this.arn_suffix
  }
  group_dimensions = { AutoScalingGroupName = aws_autoscaling_group.this.name }
}

# No traffic is no error: without requests there is no data, and that does not breach.
resource "aws_cloudwatch_metric_alarm" "error_rate" {
  alarm_name          = "${local.name}-error-rate"
  alarm_description   = "More than ${var.error_rate_percent} % of ${var.service}'s answers had a 5xx status in 3 of the last 5 minutes."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.error_rate_percent
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns

  metric_query {
    id          = "rate"
    label       = "5xx answers in percent"
    expression  = "100 * FILL(errors, 0) / requests"
    return_data = true
  }

  metric_query {
    id = "errors"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "HTTPCode_Target_5XX_Count"
      dimensions  = local.target_dimensions
      stat        = "Sum"
      period      = 60
    }
  }

  metric_query {
    id = "requests"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "RequestCount"
      dimensions  = local.target_dimensions
      stat        = "Sum"
      period      = 60
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "unhealthy_hosts" {
  alarm_name          = "${local.name}-unhealthy-hosts"
  alarm_description   = "The balancer has held at least one instance of ${var.service} unhealthy for 3 minutes."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "UnHealthyHostCount"
  dimensions          = local.target_dimensions
  statistic           = "Maximum"
  period              = 60
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

# Host metrics cannot see that the group fails to launch: compare what it wants with what serves.
resource "aws_cloudwatch_metric_alarm" "capacity" {
  alarm_name          = "${local.name}-capacity"
  alarm_description   = "${var.service} has had fewer instances in service than desired for 10 minutes."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 10
  treat_missing_data  = "missing"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns

  metric_query {
    id          = "missing"
    label       = "Instances missing"
    expression  = "desired - serving"
    return_data = true
  }

  metric_query {
    id = "desired"

    metric {
      namespace   = "AWS/AutoScaling"
      metric_name = "GroupDesiredCapacity"
      dimensions  = local.group_dimensions
      stat        = "Minimum"
      period      = 60
    }
  }

  metric_query {
    id = "serving"

    metric {
      namespace   = "AWS/AutoScaling"
      metric_name = "GroupInServiceInstances"
      dimensions  = local.group_dimensions
      stat        = "Maximum"
      period      = 60
    }
  }
}
