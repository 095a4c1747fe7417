#!/bin/sh
# Boots the Debian tree $1 in namespaces of its own (processes, mounts, network): systemd as its
# first process. It ends with the process that started this script.
set -e
tree=$1
mount --make-rprivate /
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount -t sysfs -o ro sysfs "$tree/sys"
mount -t tmpfs tmpfs "$tree/sys/fs/cgroup"
umount "$tree/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$tree/sys/fs/cgroup"
for folder in run tmp dev; do
    mount -t tmpfs tmpfs "$tree/$folder"
done
for device in null zero full random urandom tty; do
    touch "$tree/dev/$device"
    mount --bind "/dev/$device" "$tree/dev/$device"
done
mkdir "$tree/dev/pts" "$tree/dev/shm" "$tree/run/outside"
ln -s /proc/self/fd "$tree/dev/fd"
ln -s pts/ptmx "$tree/dev/ptmx"
ip link set lo up
# A root of its own, not a folder of another: else systemd could give services no namespaces.
cd "$tree"
pivot_root . run/outside
umount -l run/outside
rmdir run/outside
# As at a start of a real machine: credentials reach services by it.
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=other TERM=dumb \
    /lib/systemd/systemd --log-target=console --show-status=no
