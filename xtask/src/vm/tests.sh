#!/bin/sh
# Runs the cases in the machine; the lines with RESULT are read outside.
export PATH=/bin:/sbin:/usr/bin HOME=/root
mount -t proc -o nosuid,nodev,noexec none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts none /dev/pts
mount -t tmpfs none /dev/shm
mount -t tmpfs none /run
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
chown -R 0:0 /bin /sbin /etc /root
chown -R 1000:1000 /home/user
chmod 1777 /tmp
for controller in memory cpu pids; do
    echo +$controller > /sys/fs/cgroup/cgroup.subtree_control
done
echo "kernel $(uname -r), cgroup v2: $(cat /sys/fs/cgroup/cgroup.controllers)"

# Whether a case was asked for; without any, all are.
wanted() {
    local cases=$(sed -n 's/.*cases=\([^ ]*\).*/\1/p' /proc/cmdline)
    case ",$cases," in ,, | *,"$1",*) return 0 ;; *) return 1 ;; esac
}

result() {
    if [ "$2" = 0 ]; then outcome=passed; else outcome=failed; fi
    echo "RESULT $1: $outcome ($(cut -d. -f1 /proc/uptime) s after the start)"
}

as_user() {
    su -s /bin/sh user -c "export TMPDIR=/home/user HOME=/home/user PATH=$PATH; $1"
}

# Runs a command as the user in a cgroup that exists.
as_user_in() {
    sh -c "echo \$\$ > $1/cgroup.procs && exec su -s /bin/sh user -c 'export TMPDIR=/home/user HOME=/home/user PATH=$PATH; $2'"
}

# Makes a cgroup as systemd's Delegate=yes does.
delegate() {
    mkdir -p $1
    chown 1000:1000 $1 $1/cgroup.procs $1/cgroup.subtree_control $1/cgroup.threads
}

# A cluster as a whole: it starts, answers, keeps limits if it is told that it
# can, and leaves nothing behind.
cat > /bin/cluster-test <<'END'
#!/bin/sh
set -e
export CORACLE_HOME=$HOME/coracle KUBECONFIG=$HOME/kubeconfig
trap 'code=$?; [ $code = 0 ] || tail -n 20 $CORACLE_HOME/clusters/coracle/logs/*.log; coracle delete --quiet; rm -rf $CORACLE_HOME; exit $code' EXIT
mkdir -p $HOME/context
cp /bin/busybox $HOME/context/
printf 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "mkdir", "/made"]\nCMD ["/bin/busybox", "sleep", "3600"]\n' > $HOME/context/Dockerfile
coracle doctor || true
coracle image build --quiet -t app:1 $HOME/context
coracle start --no-progress
mkdir -p $HOME/chart/templates
printf 'apiVersion: v2\nname: app\nversion: 0.1.0\n' > $HOME/chart/Chart.yaml
cat > $HOME/chart/templates/all.yaml <<CHART
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      securityContext: {runAsUser: ${RUN_AS:-0}}
      containers: [{name: main, image: "app:1", imagePullPolicy: IfNotPresent, resources: {limits: {memory: 32Mi}}}]
CHART
coracle install --no-progress app $HOME/chart --wait --timeout 300s
coracle status
if [ -n "$LIMITS" ]; then
    find /sys/fs/cgroup -name memory.max -exec cat {} + | grep -qx 33554432
    echo "the limit is kept"
fi
coracle delete --quiet
for wait in 1 2 3 4 5; do
    if ! find /sys/fs/cgroup -name 'coracle-*' | grep .; then exit 0; fi
    sleep 1
done
echo "cgroups are left"
exit 1
END
chmod 755 /bin/cluster-test

# A kernel without a feature is told, with what mends it, and nothing is left.
lacking() {
    module=$(find /lib/modules -name "$1.ko")
    rmmod $1 2> /dev/null
    mv $module /tmp/hidden
    coracle doctor --no-progress > /tmp/said 2>&1
    code=$?
    grep -A 1 "$2" /tmp/said
    [ $code = 4 ] && grep -q "modprobe $1" /tmp/said
    result "a kernel without $1 is diagnosed" $?
    export CORACLE_HOME=/root/lacking KUBECONFIG=/root/lacking-config
    coracle start --no-progress > /tmp/said 2>&1
    code=$?
    cat /tmp/said
    [ $code = 4 ] && grep -q "modprobe $1" /tmp/said && [ ! -e /root/lacking/clusters/coracle ]
    result "a kernel without $1 starts no cluster" $?
    coracle delete --quiet
    unset CORACLE_HOME KUBECONFIG
    mv /tmp/hidden $module
}
# Before anything else, which would use what is taken away.
if wanted features; then
    lacking nf_tables nftables
    lacking overlay overlay
fi

if wanted root; then
    suite
    result "containers, root" $?
    LIMITS=1 cluster-test
    result "cluster, root" $?
fi

if wanted user; then
    as_user suite
    result "containers, user without a cgroup" $?
    as_user cluster-test
    result "cluster, user without a cgroup" $?
fi

if wanted delegated; then
    group=/sys/fs/cgroup/delegated
    delegate $group
    as_user_in $group suite
    result "containers, user with a cgroup" $?
    # One that has had groups below it takes no process any more.
    group=/sys/fs/cgroup/delegated-too
    delegate $group
    as_user_in $group "LIMITS=1 cluster-test"
    result "cluster, user with a cgroup" $?
fi

if wanted session && [ -x /lib/systemd/systemd ]; then
    # A session with a service manager, and the cluster started beside its units.
    group=/sys/fs/cgroup/session
    delegate $group
    session="export XDG_RUNTIME_DIR=/run/user/1000"
    units=/home/user/.config/systemd/user
    mkdir -p /run/user/1000 /run/systemd/system $units
    printf '[Unit]\nDescription=nothing more\n' > $units/default.target
    chown -R 1000:1000 /run/user/1000 /home/user/.config
    echo 0123456789abcdef0123456789abcdef > /etc/machine-id
    as_user_in $group "$session; exec /lib/systemd/systemd --user" &
    for wait in $(seq 120); do
        [ -S /run/user/1000/systemd/private ] && break
        sleep 1
    done
    # As in a real session, the shell's own cgroup is not the user's.
    mkdir $group/shell
    as_user_in $group/shell "$session; LIMITS=1 cluster-test"
    result "cluster, user in a session of systemd" $?
    kill -KILL %1
    rm -r /run/user/1000
fi

if wanted range && [ -x /usr/bin/newuidmap ]; then
    chmod 4755 /usr/bin/newuidmap /usr/bin/newgidmap
    echo user:100000:65536 | tee /etc/subuid > /etc/subgid
    as_user "RUN_AS=1234 cluster-test"
    result "cluster, user with a range of ids" $?
    rm /etc/subuid /etc/subgid
fi

forbidden() {
    as_user "coracle start > /home/user/said 2>&1; echo exit code \$? >> /home/user/said"
    cat /home/user/said
    grep -q "exit code 4" /home/user/said && grep -q "user namespace" /home/user/said && grep -q "sysctl -w $1" /home/user/said && [ ! -e /home/user/.local/share/coracle/clusters/coracle ]
    result "user namespaces forbidden by $1" $?
}
if wanted forbidden; then
    echo 0 > /proc/sys/user/max_user_namespaces
    forbidden user.max_user_namespaces
    echo 10000 > /proc/sys/user/max_user_namespaces
    if [ -e /proc/sys/kernel/unprivileged_userns_clone ]; then
        echo 0 > /proc/sys/kernel/unprivileged_userns_clone
        forbidden kernel.unprivileged_userns_clone
    fi
fi
echo "RESULT all: done"
poweroff -f
