variable "name" {
  description = "Name of the balancer and prefix of what belongs to it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.name)) && !startswith(var.name, "internal-")
    error_message = "The name must be 2 to 32 lower-case letters, digits and inner hyphens, and must not begin with internal-."
  }
}

variable "vpc_id" {
  description = "VPC of the balancer."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the balancer, one a zone, at least two."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "A load balancer needs subnets in at least two zones."
  }
}

variable "internal" {
  description = "Whether the balancer is reached from inside the VPC only."
  type        = bool
  default     = false
}

variable "ingress_cidrs" {
  description = "IPv4 ranges that may connect to the balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.ingress_cidrs) > 0 && alltrue([for range in var.ingress_cidrs : can(cidrnetmask(range))])
    error_message = "Give at least one IPv4 range in CIDR notation."
  }
}

variable "certificate_arn" {
  description = "ACM certificate for HTTPS on port 443, with a redirect from port 80; null serves plain HTTP on listener_port."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:[a-z-]+:(acm|iam):", var.certificate_arn))
    error_message = "The certificate must be the ARN of an ACM or IAM certificate."
  }
}

variable "tls_policy" {
  description = "Security policy of the HTTPS listener."
  type        = string
  default     = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"

  validation {
    condition     = can(regex("^ELBSecurityPolicy-TLS13-1-[23]-", var.tls_policy))
    error_message = "The policy must be one of the ELBSecurityPolicy-TLS13-1-2 or -1-3 family: nothing older than TLS 1.2."
  }
}

variable "listener_port" {
  description = "Port of the plain HTTP listener; with a certificate it is not used."
  type        = number
  default     = 80

  validation {
    condition     = var.listener_port >= 1 && var.listener_port <= 65535 && floor(var.listener_port) == var.listener_port
    error_message = "The port must be a whole number from 1 to 65535."
  }
}

variable "idle_timeout" {
  description = "Seconds without traffic after which the balancer closes a connection."
  type        = number
  default     = 60

  validation {
    condition     = var.idle_timeout >= 1 && var.idle_timeout <= 4000
    error_message = "The idle timeout must be from 1 to 4000 seconds."
  }
}

variable "deletion_protection" {
  description = "Whether the API refuses to delete the balancer."
  type        = bool
  default     = true
}

variable "access_logs" {
  description = "Bucket, and prefix in it, for the access logs; null writes none. The bucket's policy must let Elastic Load Balancing write."
  type = object({
    bucket = string
    prefix = optional(string)
  })
  default = null
}
