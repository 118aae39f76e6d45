resource "aws_security_group" "this" {
  name_prefix = "${local.name}-"
  description = "Instances of ${var.service} in ${var.environment}"
  vpc_id      = var.vpc_id

  tags = { Name = local.name }

  # A group in use cannot be deleted: make the new one first.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "from_balancer" {
  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = var.balancer_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port

  tags = { Name = "from-balancer" }
}

# For Ansible, from where operators sit: a VPN, a bastion. Without ranges nobody gets in.
resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each = toset(var.ssh_cidrs)

  security_group_id = aws_security_group.this.id
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22

  tags = { Name = "ssh" }
}

# The AWS API; name resolution, time and metadata do not pass security groups.
resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = { Name = "to-aws-api" }
}

resource "aws_vpc_security_group_egress_rule" "balancer_to_service" {
  security_group_id            = var.balancer_security_group_id
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port

  tags = { Name = "to-${var.service}" }
}
