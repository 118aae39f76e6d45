# Debian's own Packer: its plugins are built in.
packer {
  required_version = "~> 1.6.6"
}

locals {
  repository = abspath("${path.root}/../..")
}
