# Makes a machine out of namespaces, and becomes its systemd. Run by `machine.rs` as the first
# process of new pid, mount, cgroup, network, uts and ipc namespaces, with these arguments:
#
#   $1  an empty directory, to put everything below; nothing of it is seen outside
#   $2  the workspace's folder, seen as /srv/scgid
#   $3  the folder of the programs under test, seen as /srv/programs
#
# Nothing here changes the machine it runs on: its root is a lower layer that is not written to,
# kernel variables are read-only, and mounts, processes and network go with the namespaces.
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
  : >"dev/$node"
  mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir -p srv/scgid srv/programs
mount --bind "$2" srv/scgid
mount --bind "$3" srv/programs
mount -o remount,bind,ro srv/scgid
mount -o remount,bind,ro srv/programs
ip link set lo up

# The journal and what every unit hangs on; of what else the machine outside has, nothing is started.
units=run/machine/units
mkdir -p "$units"
for unit in basic.target multi-user.target network.target nss-user-lookup.target rescue.target \
  shutdown.target sockets.target sysinit.target umount.target \
  systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
  cp "/usr/lib/systemd/system/$unit" "$units" || cp "/lib/systemd/system/$unit" "$units"
done
cat >"$units/machine.target" <<UNIT
[Unit]
Requires=basic.target systemd-journald.service
After=basic.target systemd-journald.service
UNIT

mkdir run/outside
pivot_root . run/outside
umount -l run/outside
for systemd in /usr/lib/systemd/systemd /lib/systemd/systemd; do
  [ -x "$systemd" ] || continue
  exec env -i container=scgid PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/machine/units SYSTEMD_GENERATOR_PATH=/nowhere \
    "$systemd" --system --unit=machine.target --log-target=journal --show-status=no
done
echo "systemd is not installed; \`tests/install\` does that" >&2
exit 1
