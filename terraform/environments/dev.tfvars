# Cheap: no NAT gateways, the smallest fleet, gone in one command.
environment = "dev"
vpc_cidr    = "10.20.0.0/16"
nat         = "none"

force_destroy       = true
deletion_protection = false
