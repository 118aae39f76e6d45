locals {
  # The port is left out where it is the scheme's own.
  urls = {
    for exposure, balancer in module.load_balancer : exposure => join("", [
      balancer.scheme, "://",
      exposure == "public" ? coalesce(var.host_name, balancer.dns_name) : balancer.dns_name,
      contains(["http:80", "https:443"], "${balancer.scheme}:${balancer.port}") ? "" : ":${balancer.port}",
    ])
  }
}

output "url" {
  description = "Where the public services answer."
  value       = local.urls["public"]
}

output "load_balancer_dns_name" {
  description = "DNS name of the public balancer."
  value       = module.load_balancer["public"].dns_name
}

output "load_balancer_zone_id" {
  description = "Hosted zone of that name, for an alias record."
  value       = module.load_balancer["public"].zone_id
}

output "vpc_id" {
  description = "Id of the VPC."
  value       = module.network.vpc_id
}

output "image_id" {
  description = "Machine image that the newest launch template versions name."
  value       = data.aws_ssm_parameter.image.insecure_value
}

output "services" {
  description = "By service: its address, group, target group, launch template and alarms."
  value = {
    for name, service in module.service : name => merge(service, { url = local.urls[local.services[name].exposure] })
  }
}
