locals {
  tag = substr(var.digest, 0, 12)
  # The time, because the same content may be baked again for the distribution's newer packages.
  name = "homeport-machine-${local.tag}-${formatdate("YYYYMMDDhhmmss", timestamp())}"

  tags = {
    Name              = local.name
    Project           = "homeport"
    Environment       = var.environment
    ManagedBy         = "packer"
    "homeport:digest" = var.digest
  }
}

build {
  sources = ["source.amazon-ebs.machine", "source.docker.machine"]

  # Docker copies no file into a container's /tmp, which is a file system of its own there.
  provisioner "shell" {
    script        = "${local.repository}/packer/steps/wait"
    remote_folder = "/var/tmp"
  }

  provisioner "ansible" {
    playbook_file    = "${local.repository}/ansible/image.yml"
    user             = var.ssh_username
    use_proxy        = false
    ansible_env_vars = ["ANSIBLE_CONFIG=${local.repository}/ansible/ansible.cfg"]

    extra_arguments = [
      "--extra-vars", jsonencode({ service_image_archive = abspath(var.service_image_archive) }),
      # Into a container Ansible goes through Docker, to a machine as Packer does.
      "--extra-vars", source.type == "docker" ? jsonencode({
        ansible_connection = "community.docker.docker"
        ansible_host       = build.ID
        ansible_user       = "root"
      }) : "{}",
    ]
  }

  # The key goes in by standard input: arguments and variables can be read by everyone on this machine.
  provisioner "shell-local" {
    inline = [
      "${local.repository}/packer/steps/verify suite ${build.PackerRunUUID} ${build.ConnType} '${build.ID}' '${build.User}' '${build.Host}' '${build.Port}' <<'KEY'\n${build.SSHPrivateKey}\nKEY",
    ]
  }

  provisioner "shell" {
    script          = "${local.repository}/packer/steps/clean-up"
    remote_folder   = "/var/tmp"
    execute_command = "sudo -n sh {{ .Path }}"
  }

  provisioner "shell-local" {
    inline = [
      "${local.repository}/packer/steps/verify hygiene ${build.PackerRunUUID} ${build.ConnType} '${build.ID}' '${build.User}' '${build.Host}' '${build.Port}'",
    ]
  }

  post-processor "docker-tag" {
    only       = ["docker.machine"]
    repository = var.docker_repository
    tags       = [local.tag]
  }

  post-processor "manifest" {
    output     = var.manifest
    strip_path = true

    custom_data = {
      digest = var.digest
      name   = local.name
    }
  }
}
