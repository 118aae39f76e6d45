variable "name" {
  description = "Prefix of the names of everything made here, such as homeport-dev."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "The name must be 2 to 25 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "cidr" {
  description = "The VPC's IPv4 range, a /16; it is cut into /20 subnets, public ones first."
  type        = string

  # Only the shape is checked: which range may be used is for the API to say.
  validation {
    condition     = can(cidrnetmask(var.cidr)) && endswith(var.cidr, "/16") && try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "The range must be the first address of an IPv4 /16, such as 10.20.0.0/16."
  }
}

variable "zone_count" {
  description = "How many availability zones to use, the first in the alphabet."
  type        = number
  default     = 3

  validation {
    condition     = var.zone_count >= 2 && var.zone_count <= 6 && floor(var.zone_count) == var.zone_count
    error_message = "A load balancer needs at least two zones, and the subnet plan has room for six."
  }
}

variable "nat" {
  description = "How instances reach the internet: none (public subnets and an address each), single (one NAT gateway) or per_zone (one in each zone)."
  type        = string
  default     = "single"

  validation {
    condition     = contains(["none", "single", "per_zone"], var.nat)
    error_message = "NAT must be none, single or per_zone."
  }
}

variable "flow_log_retention_days" {
  description = "Days to keep the VPC's flow logs in CloudWatch; null writes none."
  type        = number
  default     = null

  validation {
    condition     = var.flow_log_retention_days == null || contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], coalesce(var.flow_log_retention_days, 1))
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731 days."
  }
}
