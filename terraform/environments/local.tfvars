# One machine. The range (vpc_cidr) is given on the command line, so that several may run side by side.
environment   = "local"
nat           = "none"
listener_port = 8080

# As quick as the API allows: somebody is watching.
health_check = {
  interval            = 5
  timeout             = 2
  healthy_threshold   = 2
  unhealthy_threshold = 2
}
health_check_grace_period = 30
instance_warmup           = 10
deregistration_delay      = 10

force_destroy       = true
deletion_protection = false
