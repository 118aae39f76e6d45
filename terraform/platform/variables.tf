variable "environment" {
  description = "Name of the environment: local, dev, stage, prod or one of your own."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "The environment must be 2 to 12 lower-case letters and digits."
  }
}

variable "region" {
  description = "AWS region of everything here."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must look like eu-central-1."
  }
}

variable "tags" {
  description = "Tags of everything here, beside Project, Environment and ManagedBy."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.tags), ["Project", "Environment", "ManagedBy", "Name", "Service"])) == 0
    error_message = "Project, Environment, ManagedBy, Name and Service are set by the platform."
  }
}

variable "catalogue" {
  description = "The catalogue of services, relative to this folder."
  type        = string
  default     = "../../app/services.yaml"

  validation {
    condition     = can(keys(yamldecode(file("${path.module}/${var.catalogue}")).services))
    error_message = "The catalogue must be a YAML file with a mapping called services."
  }

  # A port also orders the listener's rules, so two services cannot share one.
  validation {
    condition = try(
      length(distinct([for service in values(yamldecode(file("${path.module}/${var.catalogue}")).services) : service.port]))
      == length(yamldecode(file("${path.module}/${var.catalogue}")).services),
      false
    )
    error_message = "Every service in the catalogue needs a port of its own."
  }

  validation {
    condition = try(alltrue([
      for service in values(yamldecode(file("${path.module}/${var.catalogue}")).services) :
      contains(["public", "internal"], service.exposure) && service.port >= 8001 && service.port <= 8999
    ]), false)
    error_message = "Every service in the catalogue needs an exposure (public or internal) and a port from 8001 to 8999."
  }
}

# Network

variable "vpc_cidr" {
  description = "The VPC's IPv4 range, a /16."
  type        = string
}

variable "zone_count" {
  description = "How many availability zones to use."
  type        = number
  default     = 3
}

variable "nat" {
  description = "How instances reach the internet: none (public subnets and an address each), single or per_zone."
  type        = string
  default     = "single"
}

variable "flow_log_retention_days" {
  description = "Days to keep the VPC's flow logs; null writes none."
  type        = number
  default     = null
}

# Load balancer

variable "certificate_arn" {
  description = "ACM certificate for HTTPS; null serves plain HTTP on listener_port."
  type        = string
  default     = null
}

variable "host_name" {
  description = "Name that clients use, with a DNS record that points to the balancer; null uses the balancer's own."
  type        = string
  default     = null

  validation {
    condition     = var.host_name == null || can(regex("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", var.host_name))
    error_message = "The host name must be a DNS name without scheme or port."
  }
}

variable "listener_port" {
  description = "Port of the plain HTTP listener; with a certificate it is not used for public services."
  type        = number
  default     = 80
}

variable "ingress_cidrs" {
  description = "IPv4 ranges that may connect to the public balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "access_logs" {
  description = "Bucket, and prefix in it, for the balancer's access logs; null writes none."
  type = object({
    bucket = string
    prefix = optional(string)
  })
  default = null
}

variable "deletion_protection" {
  description = "Whether the API refuses to delete the balancer."
  type        = bool
  default     = true
}

# Services

variable "image_parameter" {
  description = "SSM parameter that names the machine image; null means /homeport/<environment>/image."
  type        = string
  default     = null

  validation {
    condition     = var.image_parameter == null || startswith(coalesce(var.image_parameter, "/"), "/")
    error_message = "The parameter's name must begin with /."
  }
}

variable "instance_type" {
  description = "Instance type of all services; its architecture must be the image's."
  type        = string
  default     = "t3.micro"
}

variable "root_device_name" {
  description = "Device name of the image's root volume."
  type        = string
  default     = "/dev/xvda"
}

variable "root_volume_gib" {
  description = "Size of the root volume in GiB, at least that of the image."
  type        = number
  default     = 10
}

variable "key_name" {
  description = "EC2 key pair whose holder may log in to the instances; null lets nobody in."
  type        = string
  default     = null
}

variable "ssh_cidrs" {
  description = "IPv4 ranges that may connect to the instances' ssh, such as a VPN's."
  type        = list(string)
  default     = []
}

variable "capacity" {
  description = "Least and greatest number of instances by service, where they differ from the catalogue's."
  type        = map(object({ min = number, max = number }))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.capacity), keys(local.services))) == 0
    error_message = "Capacity names a service that is not in the catalogue; it holds: ${join(", ", keys(local.services))}."
  }
}

variable "health_check" {
  description = "Seconds between the balancer's checks and until one has failed, and how many in a row decide."
  type = object({
    interval            = optional(number, 15)
    timeout             = optional(number, 5)
    healthy_threshold   = optional(number, 2)
    unhealthy_threshold = optional(number, 2)
  })
  default = {}
}

variable "health_check_grace_period" {
  description = "Seconds after launch in which the balancer's verdict does not count."
  type        = number
  default     = 120
}

variable "instance_warmup" {
  description = "Seconds until a new instance's load counts for scaling."
  type        = number
  default     = 60
}

variable "deregistration_delay" {
  description = "Seconds that requests in flight have to finish when an instance leaves."
  type        = number
  default     = 30
}

variable "force_destroy" {
  description = "Whether a destroy may delete groups without terminating their instances one by one first."
  type        = bool
  default     = false
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear of alarms and of their end."
  type        = list(string)
  default     = []
}
