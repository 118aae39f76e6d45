locals {
  # The image owns the unit that starts the service; user-data only says which service this machine is. Every name
  # here can be read by anyone on the machine: no secret stands here.
  settings = merge(
    {
      HOMEPORT_ENVIRONMENT = var.environment
      HOMEPORT_PORT        = tostring(var.port)
      HOMEPORT_SERVICE     = var.service
    },
    { for table in var.tables : "HOMEPORT_TABLE_${upper(replace(table, "-", "_"))}" => "${local.prefix}-${table}" },
    { for queue in var.queues : "HOMEPORT_QUEUE_${upper(replace(queue, "-", "_"))}" => "${local.prefix}-${queue}" },
  )

  user_data = join("\n", ["#cloud-config", yamlencode({
    write_files = [{
      path        = "/etc/homeport/service.env"
      owner       = "root:root"
      permissions = "0644"
      content     = join("", [for name, value in local.settings : "${name}=${value}\n"])
    }]
  })])
}

# Every change makes a new numbered version. The group does not follow it by itself: see group.tf.
resource "aws_launch_template" "this" {
  name          = local.name
  description   = "Instances of ${var.service} in ${var.environment}"
  image_id      = var.image_id
  instance_type = var.instance_type
  key_name      = var.key_name
  user_data     = base64encode(local.user_data)

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  metadata_options {
    http_endpoint          = "enabled"
    http_tokens            = "required"
    instance_metadata_tags = "enabled"

    # The service's container shares the machine's network: nothing further away has any business there.
    http_put_response_hop_limit = 1
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = var.public_address
    delete_on_termination       = true
    security_groups             = [aws_security_group.this.id]
  }

  block_device_mappings {
    device_name = var.root_device_name

    ebs {
      volume_type           = "gp3"
      volume_size           = var.root_volume_gib
      encrypted             = true
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "network-interface", "volume"])

    content {
      resource_type = tag_specifications.value
      tags          = local.tags
    }
  }
}
