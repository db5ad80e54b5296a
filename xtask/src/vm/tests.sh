#!/bin/sh
# Runs everything in the machine; the lines with RESULT are read outside.
export PATH=/bin:/sbin HOME=/root
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

result() {
    if [ "$2" = 0 ]; then echo "RESULT $1: passed"; else echo "RESULT $1: failed"; fi
}

as_user() {
    su -s /bin/sh user -c "export TMPDIR=/home/user HOME=/home/user PATH=$PATH; $1"
}

# A cluster as a whole: it starts, answers, and leaves nothing behind.
cat > /bin/cluster-test <<'END'
#!/bin/sh
set -e
export CORACLE_HOME=$HOME/coracle KUBECONFIG=$HOME/kubeconfig
mkdir -p $HOME/context
cp /bin/busybox $HOME/context/
printf 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "mkdir", "/made"]\nCMD ["/bin/busybox", "sleep", "3600"]\n' > $HOME/context/Dockerfile
coracle image build --quiet -t app:1 $HOME/context
coracle start --quiet
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
      containers: [{name: main, image: "app:1", imagePullPolicy: IfNotPresent, resources: {limits: {memory: 32Mi}}}]
CHART
coracle install app $HOME/chart --wait --timeout 100s
coracle status
coracle delete --quiet
rm -rf $CORACLE_HOME
END
chmod 755 /bin/cluster-test

suite
result "containers, root" $?
cluster-test
result "cluster, root" $?

as_user suite
result "containers, user without a cgroup" $?
as_user cluster-test
result "cluster, user without a cgroup" $?

# What systemd's Delegate=yes does.
group=/sys/fs/cgroup/delegated
mkdir $group
chown 1000:1000 $group $group/cgroup.procs $group/cgroup.subtree_control $group/cgroup.threads
sh -c "echo \$\$ > $group/cgroup.procs; exec su -s /bin/sh user -c 'export TMPDIR=/home/user HOME=/home/user PATH=$PATH; suite; echo \$? > /home/user/code; cluster-test; echo \$? > /home/user/code-2'"
result "containers, user with a cgroup" "$(cat /home/user/code)"
result "cluster, user with a cgroup" "$(cat /home/user/code-2)"

forbidden() {
    as_user "coracle start > /home/user/said 2>&1; echo exit code \$? >> /home/user/said"
    cat /home/user/said
    grep -q "exit code 4" /home/user/said && grep -q "user namespace" /home/user/said && grep -q "sysctl -w $1" /home/user/said
    result "user namespaces forbidden by $1" $?
}
echo 0 > /proc/sys/user/max_user_namespaces
forbidden user.max_user_namespaces
echo 10000 > /proc/sys/user/max_user_namespaces
if [ -e /proc/sys/kernel/unprivileged_userns_clone ]; then
    echo 0 > /proc/sys/kernel/unprivileged_userns_clone
    forbidden kernel.unprivileged_userns_clone
fi
echo "RESULT all: done"
poweroff -f
