variable "service" {
  description = "Name of the service in the catalogue."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.service))
    error_message = "A service's name must be 2 to 32 lower-case letters, digits and inner hyphens."
  }
}

variable "environment" {
  description = "Environment that the service runs in, such as dev; names here begin with homeport-<environment>."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "The environment must be 2 to 12 lower-case letters and digits."
  }
}

variable "tags" {
  description = "Tags of instances, volumes and network interfaces: the provider's default tags do not reach what a group launches."
  type        = map(string)
  default     = {}
}

# Where it runs

variable "vpc_id" {
  description = "VPC of the instances."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the instances, one a zone."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "A group needs at least one subnet."
  }
}

variable "public_address" {
  description = "Whether instances get a public address, as they need in public subnets."
  type        = bool
  default     = false
}

variable "image_id" {
  description = "Id of the machine image; a literal, so that a rollback can return to it."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "The image must be an id such as ami-0123456789abcdef0, not an alias."
  }
}

variable "instance_type" {
  description = "Instance type; its architecture must be the image's."
  type        = string
  default     = "t3.micro"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9-]+$", var.instance_type))
    error_message = "The instance type must look like t3.micro."
  }
}

variable "root_device_name" {
  description = "Device name of the image's root volume."
  type        = string
  default     = "/dev/xvda"

  validation {
    condition     = startswith(var.root_device_name, "/dev/")
    error_message = "The device name must begin with /dev/."
  }
}

variable "root_volume_gib" {
  description = "Size of the root volume in GiB, at least that of the image."
  type        = number
  default     = 10

  validation {
    condition     = var.root_volume_gib >= 1 && var.root_volume_gib <= 16384
    error_message = "A gp3 volume has 1 to 16384 GiB."
  }
}

# Who may log in

variable "key_name" {
  description = "EC2 key pair whose holder may log in as the image's user; null lets nobody in."
  type        = string
  default     = null
}

variable "ssh_cidrs" {
  description = "IPv4 ranges that may connect to the instances' ssh, such as a VPN's."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.ssh_cidrs : can(cidrnetmask(cidr)) && !endswith(cidr, "/0")])
    error_message = "Each range must be an IPv4 CIDR block, and not the whole internet."
  }
}

# What it is

variable "port" {
  description = "Port that the service listens on."
  type        = number

  validation {
    condition     = var.port >= 1024 && var.port <= 65535 && floor(var.port) == var.port
    error_message = "The port must be a whole number from 1024 to 65535."
  }
}

variable "paths" {
  description = "Path patterns that the balancer sends to the service."
  type        = list(string)

  validation {
    condition     = length(var.paths) >= 1 && length(var.paths) <= 25
    error_message = "A service has 1 to 25 path patterns."
  }

  validation {
    condition     = alltrue([for path in var.paths : can(regex("^/[A-Za-z0-9_.$/~\"'@:+&*?-]{0,127}$", path))])
    error_message = "A path pattern begins with / and has at most 128 of the characters that a listener rule allows."
  }
}

variable "tables" {
  description = "DynamoDB tables that the service may use, by their names in the catalogue."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for table in var.tables : can(regex("^[a-z][a-z0-9-]{1,62}$", table))])
    error_message = "A table's name must be lower-case letters, digits and hyphens."
  }
}

variable "queues" {
  description = "SQS queues that the service may use, by their names in the catalogue."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for queue in var.queues : can(regex("^[a-z][a-z0-9-]{1,50}$", queue))])
    error_message = "A queue's name must be lower-case letters, digits and hyphens."
  }
}

# How many

variable "capacity" {
  description = "Least and greatest number of instances; how many run between them is for scaling to say."
  type        = object({ min = number, max = number })

  validation {
    condition     = var.capacity.min >= 0 && var.capacity.max >= var.capacity.min && var.capacity.max >= 1
    error_message = "The capacity must have 0 <= min <= max and max >= 1."
  }

  validation {
    condition     = floor(var.capacity.min) == var.capacity.min && floor(var.capacity.max) == var.capacity.max
    error_message = "The capacity counts whole instances."
  }
}

variable "requests_per_target" {
  description = "Requests a minute for each instance that target tracking holds; null scales on nothing."
  type        = number
  default     = null

  validation {
    condition     = coalesce(var.requests_per_target, 1) > 0
    error_message = "The target must be above 0."
  }
}

variable "instance_warmup" {
  description = "Seconds until a new instance's load counts for scaling."
  type        = number
  default     = 60

  validation {
    condition     = var.instance_warmup >= 0
    error_message = "The warm-up must not be negative."
  }
}

variable "lifecycle_hooks" {
  description = "Hooks that exist before the first instance does, by name; set when the group is made."
  type = map(object({
    transition        = string
    default_result    = optional(string, "ABANDON")
    heartbeat_timeout = optional(number, 300)
  }))
  default = {}

  validation {
    condition = alltrue([
      for hook in values(var.lifecycle_hooks) :
      contains(["autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"], hook.transition)
      && contains(["ABANDON", "CONTINUE"], hook.default_result)
      && hook.heartbeat_timeout >= 30 && hook.heartbeat_timeout <= 7200
    ])
    error_message = "A hook's transition is autoscaling:EC2_INSTANCE_LAUNCHING or _TERMINATING, its result ABANDON or CONTINUE, its timeout 30 to 7200 seconds."
  }
}

variable "force_delete" {
  description = "Whether deleting the group may skip draining and terminating its instances one by one."
  type        = bool
  default     = false
}

# The balancer

variable "balancer_security_group_id" {
  description = "Security group of the balancer, the only one let in."
  type        = string
}

variable "balancer_arn_suffix" {
  description = "The balancer's part of CloudWatch dimensions and scaling labels."
  type        = string
}

variable "listener_arn" {
  description = "Listener that gets the service's rules."
  type        = string
}

variable "listener_rule_priority" {
  description = "Priority of the first rule; five paths make a rule, and the service owns five numbers from here."
  type        = number

  validation {
    condition     = var.listener_rule_priority >= 1 && var.listener_rule_priority <= 49996 && floor(var.listener_rule_priority) == var.listener_rule_priority
    error_message = "The priority must be a whole number from 1 to 49996."
  }
}

variable "health_check" {
  description = "How the balancer asks for /healthz: seconds between checks and until one has failed, and how many in a row decide."
  type = object({
    interval            = optional(number, 15)
    timeout             = optional(number, 5)
    healthy_threshold   = optional(number, 2)
    unhealthy_threshold = optional(number, 2)
  })
  default = {}

  validation {
    condition     = var.health_check.interval >= 5 && var.health_check.interval <= 300 && var.health_check.timeout >= 2 && var.health_check.timeout < var.health_check.interval
    error_message = "The interval must be from 5 to 300 seconds, the timeout from 2 seconds to below the interval."
  }

  validation {
    condition = alltrue([
      for threshold in [var.health_check.healthy_threshold, var.health_check.unhealthy_threshold] : threshold >= 2 && threshold <= 10
    ])
    error_message = "The thresholds must be from 2 to 10."
  }
}

variable "health_check_grace_period" {
  description = "Seconds after launch in which the balancer's verdict does not count."
  type        = number
  default     = 120

  validation {
    condition     = var.health_check_grace_period >= 0
    error_message = "The grace period must not be negative."
  }
}

variable "deregistration_delay" {
  description = "Seconds that requests in flight have to finish when an instance leaves."
  type        = number
  default     = 30

  validation {
    condition     = var.deregistration_delay >= 0 && var.deregistration_delay <= 3600
    error_message = "The delay must be from 0 to 3600 seconds."
  }
}

# Alarms

variable "error_rate_percent" {
  description = "Share of answers with a 5xx status above which the alarm goes off."
  type        = number
  default     = 5

  validation {
    condition     = var.error_rate_percent > 0 && var.error_rate_percent < 100
    error_message = "The share must be above 0 and below 100 percent."
  }
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear of alarms and of their end."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for topic in var.alarm_topic_arns : can(regex("^arn:[a-z-]+:sns:", topic))])
    error_message = "Each topic must be the ARN of an SNS topic."
  }
}
