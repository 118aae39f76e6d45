variable "environment" {
  description = "Environment whose state the bucket holds."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "The environment must be 2 to 12 lower-case letters and digits."
  }
}

variable "region" {
  description = "AWS region of the bucket."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must look like eu-central-1."
  }
}

variable "bucket" {
  description = "Name of the bucket; null means homeport-state-<environment>-<account id>."
  type        = string
  default     = null

  validation {
    condition     = var.bucket == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket's name must be 3 to 63 lower-case letters, digits and inner hyphens."
  }
}

variable "noncurrent_version_days" {
  description = "Days to keep superseded versions of the state; the ten newest stay in any case."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_version_days >= 1
    error_message = "Keep superseded versions for at least one day."
  }
}
