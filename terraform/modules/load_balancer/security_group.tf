# What the balancer may connect to is added by each service, next to the rule that lets the balancer in there.
resource "aws_security_group" "this" {
  name_prefix = "${var.name}-balancer-"
  description = "Clients of the load balancer ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-balancer" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = {
    for pair in setproduct(keys(local.listeners), var.ingress_cidrs) : join(" ", pair) => {
      port  = local.listeners[pair[0]].port
      range = pair[1]
    }
  }

  security_group_id = aws_security_group.this.id
  cidr_ipv4         = each.value.range
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port

  tags = { Name = "from-clients" }
}
