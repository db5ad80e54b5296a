#!/bin/busybox sh
# Finds the disk and goes on there.
b=/bin/busybox
$b mkdir -p /proc /dev /disk
$b mount -t devtmpfs none /dev
for module in /*.ko; do $b insmod $module; done
while [ ! -b /dev/vda ]; do $b sleep 0.1; done
$b mount -t ext4 /dev/vda /disk
$b umount /dev
exec $b switch_root /disk /sbin/init
