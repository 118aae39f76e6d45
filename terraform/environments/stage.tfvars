# As prod, except that one NAT gateway serves all zones and a destroy needs no second step.
environment = "stage"
vpc_cidr    = "10.30.0.0/16"
nat         = "single"

flow_log_retention_days = 14

force_destroy       = true
deletion_protection = false
