data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  prefix = "homeport-${var.environment}"
  name   = "${local.prefix}-${var.service}"

  parameter_path = "/homeport/${var.environment}/${var.service}"

  tags = merge(var.tags, {
    Name        = local.name
    Environment = var.environment
    Service     = var.service
  })
}
