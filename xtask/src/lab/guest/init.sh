#!/bin/sh
# The whole guest: a busybox shell as process 1. What it prints begins with LAB- and goes to the serial console:
#
#   LAB-BOOT kernel=.. uptime=.. marker=[..] boots=N        once; marker and count are those of the boot disk, vda
#   LAB-DISK vdb sectors=.. serial=.. marker=[..] last=[..] for each virtio disk, also when one is plugged in later
#   LAB-NET eth0 ip=.. router=..                            when a lease is got or changed
#   LAB-BEAT seq=.. t=..                                    every 5 s
#   LAB-GONE vdb                                            a disk was unplugged
#   LAB-IOERR vdb                                           a write to a disk failed
#   LAB-OFF                                                 the power button was pressed; the guest goes off
#
# Once a second it writes `boot=N seq=N t=SECONDS` to each disk and waits until the disk has it. On TCP port 7 it takes
# one line per connection: `MARK text` writes text to the marker of every disk and answers `OK text`; `SHOW` answers
# with the LAB-DISK lines.
#
# The same file serves under other names: dhcp (udhcpc's script), serve (one connection), 00000080 (acpid's word for the
# power button).
# Offsets are sectors of 512 bytes, put in by the builder: @MARKER@, @BOOTS@, @BEAT@.
export PATH=/bin
set -f

# first line of a sector, trimmed
sector() {
    set -- $(dd if=/dev/$1 bs=512 skip=$2 count=1 2>/dev/null | tr -cd ' -~\n' | head -n 1)
    echo "$*"
}

# writes a line as a sector, and waits until the disk has it
put() {
    printf '%-511.511s\n' "$3" | dd of=/dev/$1 bs=512 seek=$2 count=1 conv=notrunc,fsync 2>/dev/null || echo "LAB-IOERR $1"
}

disks() {
    for name in $(ls /sys/block); do
        case $name in vd*) [ "$(cat /sys/block/$name/size 2>/dev/null || echo 0)" -gt @BEAT@ ] && echo $name ;; esac
    done
}

show() {
    echo "LAB-DISK $1 sectors=$(cat /sys/block/$1/size) serial=$(cat /sys/block/$1/serial)" \
        "marker=[$(sector $1 @MARKER@)] last=[$(sector $1 @BEAT@)]"
}

case ${0##*/} in
dhcp)
    case $1 in bound | renew) ;; *) exit 0 ;; esac
    ip address flush dev $interface
    ip address add $ip/${mask:-24} dev $interface
    [ -n "$mtu" ] && ip link set $interface mtu $mtu
    set -- $router
    [ -n "$1" ] && ip route replace default via $1 dev $interface
    echo "LAB-NET $interface ip=$ip router=$1" >/dev/console
    exit 0
    ;;
serve)
    read -r -t 10 word rest || exit 0
    rest=$(printf %s "$rest" | tr -cd ' -~')
    case $word in
    MARK) for disk in $(disks); do put $disk @MARKER@ "$rest"; done && echo "OK $rest" ;;
    SHOW*) for disk in $(disks); do show $disk; done ;;
    *) echo "what?" ;;
    esac
    exit 0
    ;;
00000080)
    echo LAB-OFF >/dev/console
    sync
    poweroff -f
    ;;
esac
[ $$ = 1 ] || exit 1

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in @MODULES@; do insmod /lib/$module.ko || echo "LAB-FAULT insmod $module"; done
# the bus answers on its own time; without a disk there is nothing to wait for longer than this
for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -b /dev/vda ] && break; usleep 100000; done

boots=$(sector vda @BOOTS@)
boots=$((${boots:-0} + 1))
put vda @BOOTS@ $boots
read -r uptime rest </proc/uptime
echo "LAB-BOOT kernel=$(uname -r) uptime=$uptime marker=[$(sector vda @MARKER@)] boots=$boots"

ip link set lo up
acpid -f -l /dev/null &
nc -ll -p 7 -e /bin/serve &

seq=0 known= nets=
while :; do
    present=$(echo $(disks))
    for disk in $present; do
        case " $known " in *" $disk "*) ;; *) show $disk ;; esac
    done
    for disk in $known; do
        case " $present " in *" $disk "*) ;; *) echo "LAB-GONE $disk" ;; esac
    done
    known=$present
    for net in $(ls /sys/class/net); do
        case " lo $nets " in
        *" $net "*) ;;
        *)
            nets="$nets $net"
            ip link set $net up
            udhcpc -f -i $net -s /bin/dhcp -O mtu -T 1 -t 5 -A 2 >/dev/null 2>&1 &
            ;;
        esac
    done
    seq=$((seq + 1))
    for disk in $present; do put $disk @BEAT@ "boot=$boots seq=$seq t=$EPOCHSECONDS"; done
    [ $((seq % 5)) = 1 ] && echo "LAB-BEAT seq=$seq t=$EPOCHSECONDS"
    sleep 1
done
