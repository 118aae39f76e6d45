# The image as a container: what a test or a laptop bakes where there is no EC2 API.
source "docker" "machine" {
  image  = var.docker_base
  pull   = false
  commit = true

  # Where Packer shares a folder: in the machine's /run, which is not part of the image.
  container_dir = "/run/packer"

  # systemd and the machine's own container engine need these; a fully privileged container does not have to be. The
  # engine's overlay cannot lie on Docker's: its storage is a volume, which is no part of the image either.
  run_command = [
    "--detach", "--rm", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE",
    "--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined",
    "--security-opt", "apparmor=unconfined", "--env", "container=docker", "--cgroupns", "private",
    "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp", "--volume", "/var/lib/containers",
    "--stop-signal", "SIGRTMIN+3", "--label", "homeport.role=image-builder", "--entrypoint", "/bin/sh", "{{.Image}}", "-c",
    "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,bind,rw \"$d\"; done; mount --make-rshared /; for d in abi debug dev fs kernel user vm; do [ ! -d /proc/sys/$d ] || { mount --bind /proc/sys/$d /proc/sys/$d; mount -o remount,bind,ro /proc/sys/$d; }; done; exec /lib/systemd/systemd ci.ds=None",
  ]

  # The commit would keep what is started above.
  changes = [
    "ENTRYPOINT [\"/lib/systemd/systemd\"]",
    "LABEL homeport.digest=${var.digest} homeport.role=machine",
  ]
}
