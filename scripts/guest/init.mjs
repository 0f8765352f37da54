/** What the little guest does when it starts. */
export const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /dev/virtio-ports
mount -t devpts pts /dev/pts
for module in @MODULES@; do insmod /lib/modules/$module 2>/dev/null; done
for port in /sys/class/virtio-ports/*; do
  [ -e "$port/name" ] && ln -sf "/dev/\${port##*/}" "/dev/virtio-ports/$(cat $port/name)"
done
# busybox has no applet of that name.
printf '#!/bin/sh\\nexec /bin/sh "$@"\\n' >/bin/bash && chmod 755 /bin/bash
ln -sf bin /sbin
mount -t ext4 /dev/vda2 /data 2>/dev/null
if [ -e /dev/vda3 ]; then
  for at in $(dd if=/dev/vda3 bs=4096 count=1 2>/dev/null | tr -d '\\0'); do
    dd if=/dev/vda3 of=/dev/null bs=65536 count=1 skip=$at 2>/dev/null
  done
fi
hostname guest
ifconfig lo 127.0.0.1 up
for try in 1 2 3 4 5 6 7 8 9 10; do [ -e /sys/class/net/eth0 ] && break; sleep 0.1; done
ifconfig eth0 up
acpid -l /dev/null -p /run/acpid.pid
[ -e /dev/virtio-ports/org.qemu.guest_agent.0 ] && qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -t /run -l /var/log/qemu-ga.log
mkdir -p /etc/dropbear
# How long that takes is chance: not where starts are compared.
[ -e /dev/vda3 ] || dropbearkey -t rsa -s 2048 -f /etc/dropbear/rsa >/dev/null 2>&1
dropbearkey -t ecdsa -f /etc/dropbear/ecdsa >/dev/null 2>&1
udhcpc -i eth0 -s /usr/share/udhcpc/default.script -b -q -t 20 -T 1 >/dev/null 2>&1
uevent /bin/on-uevent >/dev/null 2>&1 &
keys="-r /etc/dropbear/ecdsa"
[ -e /etc/dropbear/rsa ] && keys="-r /etc/dropbear/rsa $keys"
dropbear $keys
echo "guest: ready" >/dev/console
while :; do setsid sh -c 'exec sh </dev/@CONSOLE@ >/dev/@CONSOLE@ 2>&1'; sleep 1; done
`;

/** Connects a network card that comes while the guest runs, as every distribution does. */
export const ON_UEVENT = `#!/bin/sh
[ "$ACTION $SUBSYSTEM $INTERFACE" = "add net eth0" ] || exit 0
ifconfig eth0 up
udhcpc -i eth0 -s /usr/share/udhcpc/default.script -b -q -t 20 -T 1
`;

/** Takes the address that DHCP gave. */
export const UDHCPC = `#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ifconfig $interface $ip netmask $subnet
for one in $router; do route add default gw $one; done
for one in $dns; do echo nameserver $one >>/etc/resolv.conf; done
`;
