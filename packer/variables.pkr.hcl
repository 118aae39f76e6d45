# What both sources need

variable "service_image_archive" {
  description = "The services' container image, as `homeport image container` saves it (docker-archive)."
  type        = string

  validation {
    condition     = fileexists(var.service_image_archive)
    error_message = "The archive must be a file; homeport image container makes it."
  }
}

variable "environment" {
  description = "Environment that the image is baked for; a promotion takes it on to others."
  type        = string
  default     = "dev"

  # regex() is newer than Packer 1.6.
  validation {
    condition     = var.environment != "" && regex_replace(var.environment, "^[a-z][a-z0-9]{1,11}$", "") == ""
    error_message = "The environment must be 2 to 12 lower-case letters and digits."
  }
}

variable "digest" {
  description = "SHA-256 of everything that goes into the image; its first twelve digits name the image."
  type        = string

  validation {
    condition     = length(var.digest) == 64 && regex_replace(var.digest, "^[0-9a-f]+$", "") == ""
    error_message = "The digest must be 64 hexadecimal digits, in lower case."
  }
}

variable "manifest" {
  description = "File that gets Packer's manifest: one entry a build, with the image id."
  type        = string
  default     = "packer-manifest.json"

  validation {
    condition     = regex_replace(var.manifest, "^.+\\.json$", "") == ""
    error_message = "The manifest must be a .json file."
  }
}

# amazon-ebs

variable "region" {
  description = "AWS region in which the image is baked."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = var.region != "" && regex_replace(var.region, "^[a-z]{2}(-[a-z]+)+-[0-9]$", "") == ""
    error_message = "The region must look like eu-central-1."
  }
}

variable "ec2_endpoint" {
  description = "EC2's address; empty means the region's usual one. Older SDKs do not read AWS_ENDPOINT_URL themselves."
  type        = string
  default     = env("AWS_ENDPOINT_URL")

  validation {
    condition     = regex_replace(var.ec2_endpoint, "^https?://.+$", "") == ""
    error_message = "The endpoint must be a URL, or empty."
  }
}

variable "source_ami_owners" {
  description = "Accounts whose images may be built upon; the default is Debian's own."
  type        = list(string)
  default     = ["136693071363"]

  validation {
    condition     = length(var.source_ami_owners) > 0
    error_message = "Without an owner anybody's image of that name would be taken."
  }
}

variable "source_ami_name" {
  description = "Name of the image to build upon, with wildcards; the newest one is taken."
  type        = string
  default     = "debian-12-amd64-*"

  validation {
    condition     = length(var.source_ami_name) > 2
    error_message = "The name must be longer: a bare wildcard matches everything."
  }
}

variable "instance_type" {
  description = "Instance type of the machine that is provisioned."
  type        = string
  default     = "t3.small"

  validation {
    condition     = var.instance_type != "" && regex_replace(var.instance_type, "^[a-z0-9-]+\\.[a-z0-9-]+$", "") == ""
    error_message = "The instance type must look like t3.small."
  }
}

variable "root_volume_gib" {
  description = "Size of the image's root volume in GiB; instances cannot have less."
  type        = number
  default     = 8

  validation {
    condition     = var.root_volume_gib >= 8 && var.root_volume_gib <= 16384
    error_message = "The root volume must have 8 (Debian's own) to 16384 GiB."
  }
}

variable "subnet_id" {
  description = "Subnet of the machine that is provisioned; empty means one of the default VPC."
  type        = string
  default     = ""

  validation {
    condition     = regex_replace(var.subnet_id, "^subnet-[0-9a-f]+$", "") == ""
    error_message = "The subnet must look like subnet-0123456789abcdef0, or be empty."
  }
}

variable "public_address" {
  description = "Whether that machine gets a public address where its subnet does not give one anyway."
  type        = bool
  default     = false
}

variable "ssh_interface" {
  description = "Which of the machine's addresses to log in at; empty means a public one where there is one."
  type        = string
  default     = ""

  validation {
    condition     = contains(["", "public_ip", "private_ip", "public_dns", "private_dns", "session_manager"], var.ssh_interface)
    error_message = "The interface must be public_ip, private_ip, public_dns, private_dns, session_manager or empty."
  }
}

variable "ssh_username" {
  description = "User of the image that is built upon, with sudo."
  type        = string
  default     = "admin"

  validation {
    condition     = var.ssh_username != "" && var.ssh_username != "root"
    error_message = "The user must be an ordinary one: the image lets root in nowhere."
  }
}

variable "deprecate_after_days" {
  description = "Days after which EC2 calls the image deprecated: it still works, but is no longer offered."
  type        = number
  default     = 180

  validation {
    condition     = var.deprecate_after_days >= 1 && var.deprecate_after_days <= 730
    error_message = "The days must be 1 to 730."
  }
}

# docker

variable "docker_base" {
  description = "Container image to build upon, as packer/debian/build makes it."
  type        = string
  default     = "homeport/debian:12"

  validation {
    condition     = var.docker_base != ""
    error_message = "The base must be named."
  }
}

variable "docker_repository" {
  description = "Name that the container image gets; its tag is the digest's first twelve digits."
  type        = string
  default     = "homeport/machine"

  validation {
    condition     = var.docker_repository != "" && regex_replace(var.docker_repository, "^[a-z0-9._/-]+$", "") == ""
    error_message = "The name must be lower-case letters, digits, dots, hyphens and slashes."
  }
}
