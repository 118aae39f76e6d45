# A zone may fail without taking the others' way out along; nothing is destroyed by mistake.
# Give the certificate (certificate_arn, host_name) and the alarms' topics (alarm_topic_arns) on the first apply.
environment = "prod"
vpc_cidr    = "10.40.0.0/16"
nat         = "per_zone"

flow_log_retention_days = 90
