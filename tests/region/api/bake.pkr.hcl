# The smallest bake: what Packer asks of EC2, and little else. Read by Packer 1.6 and later.

variable "endpoint" {
  type = string
}

variable "command" {
  type = string
}

source "amazon-ebs" "machine" {
  ami_name            = "baked"
  ami_description     = "made by a test"
  instance_type       = "t3.micro"
  region              = "eu-central-1"
  custom_endpoint_ec2 = var.endpoint
  ssh_username        = "admin"
  ssh_interface       = "private_ip"
  ena_support         = true
  encrypt_boot        = true

  source_ami_filter {
    filters = {
      name             = "base-*"
      root-device-type = "ebs"
    }
    most_recent = true
    owners      = ["self"]
  }

  tags          = { Name = "baked" }
  snapshot_tags = { Name = "baked" }
  run_tags      = { Name = "baking" }
}

build {
  sources = ["source.amazon-ebs.machine"]

  provisioner "shell" {
    inline = ["cloud-init status --wait", var.command]
  }
}
