locals {
  # ARNs are built from names, not taken from resources: a service may be described before its tables exist.
  arn = {
    for product in ["dynamodb", "sqs", "ssm"] :
    product => "arn:${data.aws_partition.current.partition}:${product}:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}"
  }
  table_arns = [for table in var.tables : "${local.arn.dynamodb}:table/${local.prefix}-${table}"]
  queue_arns = [for queue in var.queues : "${local.arn.sqs}:${local.prefix}-${queue}"]

  permissions = [
    {
      Sid      = "OwnParameters"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
      Resource = ["${local.arn.ssm}:parameter${local.parameter_path}", "${local.arn.ssm}:parameter${local.parameter_path}/*"]
    },
    # Scan is not among them: it would read past any restriction to leading keys.
    {
      Sid    = "OwnTables"
      Effect = "Allow"
      Action = [
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:DescribeTable",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
      ]
      Resource = concat(local.table_arns, formatlist("%s/index/*", local.table_arns))
    },
    {
      Sid    = "OwnQueues"
      Effect = "Allow"
      Action = [
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
      ]
      Resource = local.queue_arns
    },
  ]
}

resource "aws_iam_role" "this" {
  name        = local.name
  description = "Instances of ${var.service} in ${var.environment}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "service"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for permission in local.permissions : permission if length(permission.Resource) > 0]
  })
}

resource "aws_iam_instance_profile" "this" {
  name = local.name
  role = aws_iam_role.this.name
}
