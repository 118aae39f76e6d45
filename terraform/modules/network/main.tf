data "aws_region" "current" {}

data "aws_availability_zones" "available" {
  state = "available"

  # Local and wavelength zones must be opted into and hold no load balancers.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  zones = slice(sort(data.aws_availability_zones.available.names), 0, var.zone_count)

  # The plan leaves room for eight zones in either half, so that adding one moves no subnet.
  public_ranges  = { for index, zone in local.zones : zone => cidrsubnet(var.cidr, 4, index) }
  private_ranges = { for index, zone in local.zones : zone => cidrsubnet(var.cidr, 4, 8 + index) }
}

# Names of instances come from their ids, so enable_dns_hostnames stays off: nothing uses it, and the provider waits
# ten seconds for it while everything else waits for the VPC.
resource "aws_vpc" "this" {
  cidr_block = var.cidr

  tags = { Name = var.name }
}

# The default group cannot be deleted; without rules nothing can come or go by forgetting to name a group.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-default-unused" }
}
