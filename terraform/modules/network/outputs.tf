output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "zones" {
  description = "Names of the zones in use."
  value       = local.zones
}

output "public_subnet_ids" {
  description = "Ids of the public subnets, by zone."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }

  # The API refuses a public balancer in a VPC that has no internet gateway yet.
  depends_on = [aws_route.public_internet, aws_route_table_association.public]
}

output "private_subnet_ids" {
  description = "Ids of the private subnets, by zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "instance_subnet_ids" {
  description = "Ids of the subnets that instances belong in: the private ones, or the public ones where there is no NAT."
  value       = [for zone in local.zones : var.nat == "none" ? aws_subnet.public[zone].id : aws_subnet.private[zone].id]

  # A machine that boots before it can reach the API fails: whoever uses this waits for the way out.
  depends_on = [
    aws_route.private_internet,
    aws_route.public_internet,
    aws_route_table_association.private,
    aws_route_table_association.public,
  ]
}

output "instances_have_public_address" {
  description = "Whether instances need a public address to reach the internet, as they do where there is no NAT."
  value       = var.nat == "none"
}
