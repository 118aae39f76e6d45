locals {
  flow_logs = var.flow_log_retention_days == null ? [] : ["this"]
}

resource "aws_cloudwatch_log_group" "flow_logs" {
  for_each = toset(local.flow_logs)

  name              = "/${replace(var.name, "-", "/")}/flow-logs"
  retention_in_days = var.flow_log_retention_days
}

resource "aws_iam_role" "flow_logs" {
  for_each = toset(local.flow_logs)

  name_prefix = "${var.name}-flow-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "flow_logs" {
  for_each = toset(local.flow_logs)

  name = "write"
  role = aws_iam_role.flow_logs[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.flow_logs[each.key].arn}:*"
    }]
  })
}

resource "aws_flow_log" "this" {
  for_each = toset(local.flow_logs)

  vpc_id          = aws_vpc.this.id
  traffic_type    = "ALL"
  log_destination = aws_cloudwatch_log_group.flow_logs[each.key].arn
  iam_role_arn    = aws_iam_role.flow_logs[each.key].arn

  tags = { Name = var.name }

  # Without its permission the first minutes of a flow log are lost.
  depends_on = [aws_iam_role_policy.flow_logs]
}
