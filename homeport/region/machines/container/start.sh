#!/bin/sh
# First program of a machine that is a container: makes it look like an instance of EC2, then becomes systemd.
# Nothing that it writes lies in the machine's file system (/run is its memory), so an image made of the machine
# holds nothing of the region.
# usage: start.sh UUID INSTANCE-ID NAME=VALUE...
set -eu
# The signal to shut down (SIGRTMIN+3) may come before systemd takes signals: the kernel would drop it for process 1.
# By number: dash has this name too, other shells spell it differently.
# shellcheck disable=SC2172
trap 'exit 0' 37
uuid=$1
instance=$2
shift 2

# systemd keeps its services in control groups of its own.
while read -r _ target _; do
  case $target in
    /sys/fs/cgroup*) mount -o remount,bind,rw "$target" ;;
  esac
done </proc/self/mounts
mount --make-rshared /

mkdir -p /run/machine /run/systemd/system.conf.d /run/systemd/journald.conf.d /run/systemd/system/cloud-.service.d

# Where the machine finds AWS. An instance of EC2 needs no such setting, so neither does the image.
{
  echo '[Manager]'
  echo 'ShowStatus=no'
  for setting in "$@"; do
    echo "DefaultEnvironment=\"$setting\""
  done
} >/run/systemd/system.conf.d/region.conf

# The console tells what went wrong: all of the journal goes there, cloud-init's lines once.
printf '%s\n' '[Journal]' 'ForwardToConsole=yes' 'MaxLevelConsole=info' >/run/systemd/journald.conf.d/region.conf
printf '%s\n' '[Service]' 'StandardOutput=journal' >/run/systemd/system/cloud-.service.d/region.conf
# Nobody logs in there. And the first stage of cloud-init waits for a DHCP server that a container does not have; the
# second one does all of its work.
for unit in console-getty.service cloud-init-local.service; do
  ln -sf /dev/null "/run/systemd/system/$unit"
done

# What the first stage would have noticed: an image that was made of another instance brings what cloud-init knew
# of that one, its key among it.
known=/var/lib/cloud/instance
if [ -L "$known" ] && [ "$(basename "$(readlink "$known")")" != "$instance" ]; then
  rm "$known"
fi

# cloud-init asks for a token only where the firmware says that it is EC2, and takes no container's word for it.
# Python must take the changed source, and must not leave what it compiles from it.
module=/usr/lib/python3/dist-packages/cloudinit/dmi.py
if [ -e "$module" ]; then
  {
    cat "$module"
    cat <<END


def read_dmi_data(key):
    facts = {
        "baseboard-asset-tag": "$instance",
        "chassis-asset-tag": "Amazon EC2",
        "system-manufacturer": "Amazon EC2",
        "system-serial-number": "$uuid",
        "system-uuid": "$uuid",
    }
    return facts.get(key)
END
  } >/run/machine/dmi.py
  mount --bind /run/machine/dmi.py "$module"
  for compiled in "${module%/*}"/__pycache__/dmi.*.pyc; do
    if [ -e "$compiled" ]; then
      mount --bind /dev/null "$compiled"
    fi
  done
fi

# As systemd expects it of whoever starts it in a container; no colours on the console.
export container=docker TERM=dumb

# A container's command line takes the place of the kernel's: the network is set up already, and there is one
# address to ask (the others would be looked up first).
exec /lib/systemd/systemd network-config=disabled \
  'cc:{datasource: {Ec2: {metadata_urls: [http://169.254.169.254], max_wait: 30, timeout: 5}}} end_cc'
