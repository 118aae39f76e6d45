mock_provider "aws" {
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/homeport-test/0123456789abcdef" }
  }

  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener/app/homeport-test/0123456789abcdef/0123456789abcdef" }
  }
}

variables {
  name       = "homeport-test"
  vpc_id     = "vpc-0123456789abcdef0"
  subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
}

run "plain_http" {
  variables {
    listener_port = 8080
  }

  assert {
    condition     = { for name, listener in aws_lb_listener.this : name => "${listener.protocol}:${listener.port}" } == { http = "HTTP:8080" }
    error_message = "Without a certificate there is one listener, plain HTTP on the port given."
  }

  assert {
    condition     = output.scheme == "http" && output.port == 8080
    error_message = "The outputs name the listener's scheme and port."
  }

  assert {
    condition     = one(values(aws_vpc_security_group_ingress_rule.clients)).from_port == 8080
    error_message = "The listener's port is open."
  }
}

run "unclaimed_paths_get_a_problem" {
  assert {
    condition     = aws_lb_listener.this["http"].default_action[0].type == "fixed-response"
    error_message = "No service is the default."
  }

  assert {
    condition     = jsondecode(aws_lb_listener.this["http"].default_action[0].fixed_response[0].message_body).status == 404
    error_message = "The answer is a problem document."
  }

  assert {
    condition     = contains(["text/plain", "text/css", "text/html", "application/javascript", "application/json"], aws_lb_listener.this["http"].default_action[0].fixed_response[0].content_type)
    error_message = "The API takes five media types for a fixed response."
  }
}

run "safe_by_default" {
  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection && !aws_lb.this.internal
    error_message = "Malformed headers are dropped and the balancer cannot be deleted by mistake."
  }

  assert {
    condition     = length(aws_lb.this.access_logs) == 0
    error_message = "Access logs are written only when asked for."
  }
}

run "https_with_a_redirect" {
  variables {
    certificate_arn = "arn:aws:acm:eu-central-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef"
    listener_port   = 8080
  }

  assert {
    condition     = { for name, listener in aws_lb_listener.this : name => "${listener.protocol}:${listener.port}" } == { https = "HTTPS:443", redirect = "HTTP:80" }
    error_message = "A certificate gives HTTPS on 443 and a redirect on 80, and the plain port is closed."
  }

  assert {
    condition     = aws_lb_listener.this["https"].ssl_policy == "ELBSecurityPolicy-TLS13-1-2-Res-2021-06" && aws_lb_listener.this["https"].certificate_arn == var.certificate_arn
    error_message = "TLS 1.2 and 1.3 with forward secrecy, and the certificate given."
  }

  assert {
    condition     = aws_lb_listener.this["redirect"].default_action[0].redirect[0].status_code == "HTTP_301" && aws_lb_listener.this["redirect"].default_action[0].redirect[0].protocol == "HTTPS"
    error_message = "Plain requests are sent to HTTPS."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.clients : rule.from_port]) == toset([80, 443])
    error_message = "Both ports are open, and no other."
  }

  assert {
    condition     = output.scheme == "https" && output.port == 443 && output.listener_arn == aws_lb_listener.this["https"].arn
    error_message = "Services join the HTTPS listener."
  }
}

run "internal_from_two_ranges" {
  variables {
    internal      = true
    ingress_cidrs = ["10.20.0.0/16", "10.30.0.0/16"]
  }

  assert {
    condition     = aws_lb.this.internal && length(aws_vpc_security_group_ingress_rule.clients) == 2
    error_message = "There is a rule for each range."
  }
}

run "access_logs" {
  variables {
    access_logs = { bucket = "homeport-logs", prefix = "test" }
  }

  assert {
    condition     = aws_lb.this.access_logs[0].enabled && aws_lb.this.access_logs[0].bucket == "homeport-logs" && aws_lb.this.access_logs[0].prefix == "test"
    error_message = "The logs go where they were asked to."
  }
}

run "refuses_one_subnet" {
  command = plan

  variables {
    subnet_ids = ["subnet-0123456789abcdef0"]
  }

  expect_failures = [var.subnet_ids]
}

run "refuses_old_tls" {
  command = plan

  variables {
    tls_policy = "ELBSecurityPolicy-2016-08"
  }

  expect_failures = [var.tls_policy]
}

run "refuses_a_reserved_name" {
  command = plan

  variables {
    name = "internal-test"
  }

  expect_failures = [var.name]
}

run "refuses_no_port" {
  command = plan

  variables {
    listener_port = 0
  }

  expect_failures = [var.listener_port]
}

run "refuses_a_bad_range" {
  command = plan

  variables {
    ingress_cidrs = ["10.20.0.0"]
  }

  expect_failures = [var.ingress_cidrs]
}

run "refuses_what_is_no_certificate" {
  command = plan

  variables {
    certificate_arn = "homeport.example"
  }

  expect_failures = [var.certificate_arn]
}

run "refuses_an_endless_idle_timeout" {
  command = plan

  variables {
    idle_timeout = 5000
  }

  expect_failures = [var.idle_timeout]
}
