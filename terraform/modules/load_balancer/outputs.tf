output "arn_suffix" {
  description = "The balancer's part of CloudWatch dimensions and scaling labels."
  value       = aws_lb.this.arn_suffix
}

output "dns_name" {
  description = "DNS name of the balancer."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "Hosted zone of the DNS name, for an alias record."
  value       = aws_lb.this.zone_id
}

output "listener_arn" {
  description = "ARN of the listener that serves requests."
  value       = aws_lb_listener.this[local.serving].arn
}

output "security_group_id" {
  description = "Id of the balancer's security group."
  value       = aws_security_group.this.id
}

output "scheme" {
  description = "http or https."
  value       = local.serving
}

output "port" {
  description = "Port of the listener that serves requests."
  value       = local.listeners[local.serving].port
}
