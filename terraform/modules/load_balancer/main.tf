locals {
  # One entry for each port that is open: what happens with a request that no service claims.
  listeners = var.certificate_arn == null ? {
    http = { port = var.listener_port, protocol = "HTTP", certificate_arn = null, tls_policy = null, default = "not_found" }
    } : {
    https    = { port = 443, protocol = "HTTPS", certificate_arn = var.certificate_arn, tls_policy = var.tls_policy, default = "not_found" }
    redirect = { port = 80, protocol = "HTTP", certificate_arn = null, tls_policy = null, default = "redirect" }
  }

  serving = var.certificate_arn == null ? "http" : "https"
}

resource "aws_lb" "this" {
  name               = var.name
  load_balancer_type = "application"
  internal           = var.internal
  subnets            = var.subnet_ids
  security_groups    = [aws_security_group.this.id]

  idle_timeout               = var.idle_timeout
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection

  dynamic "access_logs" {
    for_each = var.access_logs[*]

    content {
      enabled = true
      bucket  = access_logs.value.bucket
      prefix  = access_logs.value.prefix
    }
  }
}

resource "aws_lb_listener" "this" {
  for_each = local.listeners

  load_balancer_arn = aws_lb.this.arn
  port              = each.value.port
  protocol          = each.value.protocol
  certificate_arn   = each.value.certificate_arn
  ssl_policy        = each.value.tls_policy

  dynamic "default_action" {
    for_each = each.value.default == "redirect" ? ["this"] : []

    content {
      type = "redirect"

      redirect {
        protocol    = "HTTPS"
        port        = "443"
        status_code = "HTTP_301"
      }
    }
  }

  dynamic "default_action" {
    for_each = each.value.default == "not_found" ? ["this"] : []

    content {
      type = "fixed-response"

      # The body is RFC 9457's; its media type is not among the five that a fixed response may have.
      fixed_response {
        status_code  = "404"
        content_type = "application/json"
        message_body = jsonencode({ type = "about:blank", title = "Not Found", status = 404, detail = "No service answers this path." })
      }
    }
  }
}
