# packer/1.6/amazon.pkr.hcl is this without what Packer 1.6 cannot read; tests/packer holds the two together.
source "amazon-ebs" "machine" {
  region              = var.region
  custom_endpoint_ec2 = var.ec2_endpoint

  source_ami_filter {
    owners      = var.source_ami_owners
    most_recent = true

    filters = {
      name                = var.source_ami_name
      architecture        = "x86_64"
      virtualization-type = "hvm"
    }
  }

  instance_type               = var.instance_type
  subnet_id                   = var.subnet_id
  associate_public_ip_address = var.public_address

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  # Encrypted from the start: a copy that encrypts would leave a plain snapshot behind, and take its time.
  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.root_volume_gib
    iops                  = 3000
    throughput            = 125
    encrypted             = true
    delete_on_termination = true
  }

  ssh_username  = var.ssh_username
  ssh_interface = var.ssh_interface

  temporary_key_pair_type = "ed25519"

  # A killed Packer cleans nothing up: these tags tell whose the machine is.
  run_tags        = merge(local.tags, { Name = "${local.name}-builder", "homeport:role" = "image-builder" })
  run_volume_tags = merge(local.tags, { Name = "${local.name}-builder", "homeport:role" = "image-builder" })

  ami_name        = local.name
  ami_description = "Homeport's services on Debian 12"
  imds_support    = "v2.0"
  deprecate_at    = timeadd(timestamp(), "${24 * var.deprecate_after_days}h")
  tags            = local.tags
  snapshot_tags   = local.tags
}
