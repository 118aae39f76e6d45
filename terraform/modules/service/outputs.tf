output "autoscaling_group_name" {
  description = "Name of the group."
  value       = aws_autoscaling_group.this.name
}

output "capacity" {
  description = "Least and greatest number of instances in force."
  value       = var.capacity
}

output "target_group_arn" {
  description = "ARN of the target group."
  value       = aws_lb_target_group.this.arn
}

output "launch_template_id" {
  description = "Id of the launch template."
  value       = aws_launch_template.this.id
}

output "launch_template_version" {
  description = "Newest version of the launch template; the group runs it once a deploy has put it there."
  value       = aws_launch_template.this.latest_version
}

output "security_group_id" {
  description = "Id of the instances' security group."
  value       = aws_security_group.this.id
}

output "role_name" {
  description = "Name of the instances' role."
  value       = aws_iam_role.this.name
}

output "alarm_names" {
  description = "Names of the alarms, for a deploy to watch."
  value = [
    aws_cloudwatch_metric_alarm.capacity.alarm_name,
    aws_cloudwatch_metric_alarm.error_rate.alarm_name,
    aws_cloudwatch_metric_alarm.unhealthy_hosts.alarm_name,
  ]
}
