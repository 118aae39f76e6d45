mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::111122223333:instance-profile/homeport-test" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }

  mock_resource "aws_lb" {
    defaults = {
      arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/homeport-test/0123456789abcdef"
      arn_suffix = "app/homeport-test/0123456789abcdef"
      dns_name   = "homeport-test-1.eu-central-1.elb.amazonaws.com"
    }
  }

  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener/app/homeport-test/0123456789abcdef/0123456789abcdef" }
  }

  mock_resource "aws_lb_target_group" {
    defaults = {
      arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/test-1/0123456789abcdef"
      arn_suffix = "targetgroup/test-1/0123456789abcdef"
    }
  }
}

variables {
  environment = "test"
  vpc_cidr    = "10.20.0.0/16"
  catalogue   = "tests/services.yaml"
}

run "every_service_of_the_catalogue" {
  assert {
    condition     = keys(output.services) == ["gateway", "processor"]
    error_message = "Each entry of the catalogue is a service."
  }

  assert {
    condition     = output.services["gateway"].autoscaling_group_name == "homeport-test-gateway" && output.services["gateway"].launch_template_version == 1
    error_message = "The output names group and template."
  }

  assert {
    condition = alltrue([
      for name in ["url", "autoscaling_group_name", "target_group_arn", "launch_template_id", "launch_template_version"] :
      contains(keys(output.services["processor"]), name)
    ])
    error_message = "Deploy and status read these."
  }

  assert {
    condition     = output.image_id == "ami-0123456789abcdef0"
    error_message = "The image is the one that the pointer names."
  }
}

run "addresses" {
  assert {
    condition     = output.url == "http://homeport-test-1.eu-central-1.elb.amazonaws.com"
    error_message = "Port 80 is left out of an http address."
  }

  assert {
    condition     = keys(module.load_balancer) == ["internal", "public"]
    error_message = "Internal services have a balancer inside the VPC."
  }
}

run "another_port" {
  variables {
    listener_port = 8080
  }

  assert {
    condition     = output.url == "http://homeport-test-1.eu-central-1.elb.amazonaws.com:8080" && output.load_balancer_dns_name == "homeport-test-1.eu-central-1.elb.amazonaws.com"
    error_message = "Any other port is part of the address."
  }
}

run "https_under_a_name" {
  variables {
    certificate_arn = "arn:aws:acm:eu-central-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef"
    host_name       = "api.homeport.example"
    listener_port   = 8080
  }

  assert {
    condition     = output.url == "https://api.homeport.example" && output.services["gateway"].url == "https://api.homeport.example"
    error_message = "Public services answer under the certificate's name."
  }

  assert {
    condition     = output.services["processor"].url == "http://homeport-test-1.eu-central-1.elb.amazonaws.com:8080"
    error_message = "Inside the VPC it stays plain HTTP on the port given."
  }
}

run "real_catalogue" {
  variables {
    catalogue = "../../app/services.yaml"
  }

  assert {
    condition     = output.services["balance"].autoscaling_group_name == "homeport-test-balance"
    error_message = "The repository's own catalogue fits."
  }
}

run "capacity_of_one_service" {
  variables {
    capacity = { processor = { min = 5, max = 6 } }
  }

  assert {
    condition     = output.services["processor"].capacity == { min = 5, max = 6 } && output.services["gateway"].capacity == { min = 3, max = 6 }
    error_message = "The environment's capacity stands before the catalogue's, for the services that it names."
  }
}

run "refuses_capacity_of_an_unknown_service" {
  command = plan

  variables {
    capacity = { getaway = { min = 1, max = 2 } }
  }

  expect_failures = [var.capacity]
}

run "refuses_a_missing_catalogue" {
  command = plan

  variables {
    catalogue = "tests/no_such.yaml"
  }

  expect_failures = [var.catalogue]
}

run "refuses_two_services_on_a_port" {
  command = plan

  variables {
    catalogue = "tests/same_port.yaml"
  }

  expect_failures = [var.catalogue]
}

run "refuses_an_unknown_exposure" {
  command = plan

  variables {
    catalogue = "tests/unknown_exposure.yaml"
  }

  expect_failures = [var.catalogue]
}

run "refuses_an_environment_with_a_dash" {
  command = plan

  variables {
    environment = "eu-prod"
  }

  expect_failures = [var.environment]
}

run "refuses_own_tags" {
  command = plan

  variables {
    tags = { Environment = "prod" }
  }

  expect_failures = [var.tags]
}

run "refuses_a_zone_as_region" {
  command = plan

  variables {
    region = "eu-central-1a"
  }

  expect_failures = [var.region]
}

run "refuses_a_host_name_with_scheme" {
  command = plan

  variables {
    host_name = "https://api.homeport.example"
  }

  expect_failures = [var.host_name]
}

run "refuses_a_parameter_without_slash" {
  command = plan

  variables {
    image_parameter = "image"
  }

  expect_failures = [var.image_parameter]
}
