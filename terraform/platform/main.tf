locals {
  name = "homeport-${var.environment}"

  tags = merge(var.tags, {
    Project     = "homeport"
    Environment = var.environment
    ManagedBy   = "terraform"
  })

  services = yamldecode(file("${path.module}/${var.catalogue}")).services

  # One balancer for the internet, and one inside the VPC once a service is internal.
  exposures = toset(concat(["public"], values(local.services)[*].exposure))
}

# Read now and written into the launch template as a literal: an alias there would make a rollback impossible.
data "aws_ssm_parameter" "image" {
  name = coalesce(var.image_parameter, "/homeport/${var.environment}/image")
}

module "network" {
  source = "../modules/network"

  name                    = local.name
  cidr                    = var.vpc_cidr
  zone_count              = var.zone_count
  nat                     = var.nat
  flow_log_retention_days = var.flow_log_retention_days
}

module "load_balancer" {
  source   = "../modules/load_balancer"
  for_each = local.exposures

  name                = each.key == "public" ? local.name : "${local.name}-${each.key}"
  internal            = each.key == "internal"
  vpc_id              = module.network.vpc_id
  subnet_ids          = values(each.key == "public" ? module.network.public_subnet_ids : module.network.private_subnet_ids)
  ingress_cidrs       = each.key == "public" ? var.ingress_cidrs : [var.vpc_cidr]
  certificate_arn     = each.key == "public" ? var.certificate_arn : null
  listener_port       = var.listener_port
  deletion_protection = var.deletion_protection
  access_logs         = var.access_logs
}

module "service" {
  source   = "../modules/service"
  for_each = local.services

  service     = each.key
  environment = var.environment
  tags        = local.tags

  vpc_id           = module.network.vpc_id
  subnet_ids       = module.network.instance_subnet_ids
  public_address   = module.network.instances_have_public_address
  image_id         = data.aws_ssm_parameter.image.insecure_value
  instance_type    = var.instance_type
  root_device_name = var.root_device_name
  root_volume_gib  = var.root_volume_gib
  key_name         = var.key_name
  ssh_cidrs        = var.ssh_cidrs

  port                = each.value.port
  paths               = try(each.value.paths, [])
  tables              = try(each.value.tables, [])
  queues              = try(each.value.queues, [])
  capacity            = lookup(var.capacity, each.key, each.value.capacity)
  requests_per_target = try(each.value.scaling.requests_per_target, null)
  instance_warmup     = var.instance_warmup
  force_delete        = var.force_destroy

  balancer_security_group_id = module.load_balancer[each.value.exposure].security_group_id
  balancer_arn_suffix        = module.load_balancer[each.value.exposure].arn_suffix
  listener_arn               = module.load_balancer[each.value.exposure].listener_arn
  listener_rule_priority     = (each.value.port - 8000) * 10

  health_check              = var.health_check
  health_check_grace_period = var.health_check_grace_period
  deregistration_delay      = var.deregistration_delay
  alarm_topic_arns          = var.alarm_topic_arns
}
