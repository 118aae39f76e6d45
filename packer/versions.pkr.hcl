packer {
  required_version = ">= 1.11.0"

  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.4, < 2.0.0"
    }

    ansible = {
      source  = "github.com/hashicorp/ansible"
      version = ">= 1.0.3, < 2.0.0"
    }

    docker = {
      source  = "github.com/hashicorp/docker"
      version = ">= 1.0.8, < 2.0.0"
    }
  }
}

locals {
  repository = abspath("${path.root}/..")
}
