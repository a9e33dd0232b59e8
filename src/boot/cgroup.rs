//! What the process may use of the machine: memory, CPU time and threads, as control groups and the kernel say.
//!
//! Both hierarchies are looked at, the unified one and version 1, and every group from the process's own up to the root: the
//! tightest limit counts. What cannot be read is no limit.

use std::fs;
use std::path::Path;

/// Limits of the process; `None` is none.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Machine {
    /// Bytes of memory that can be had.
    pub(super) memory_bytes: Option<u64>,
    /// CPUs' worth of time, in hundredths.
    pub(super) cpu_hundredths: Option<u64>,
    /// Threads and processes of the group.
    pub(super) threads: Option<u64>,
}

impl Machine {
    /// This one.
    pub(super) fn look() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut machine = Self::of(&groups, Path::new("/sys/fs/cgroup"));
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        machine.memory_bytes = [machine.memory_bytes, available(&memory)]
            .into_iter()
            .flatten()
            .min();
        machine
    }

    /// `groups` is the text of `/proc/self/cgroup`, `root` where the hierarchies are mounted.
    fn of(groups: &str, root: &Path) -> Self {
        let mut machine = Self::default();
        let least = |old: Option<u64>, new: Option<u64>| [old, new].into_iter().flatten().min();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(own)) = (parts.next(), parts.next()) else {
                continue;
            };
            let mut top = root.to_owned();
            if !controllers.is_empty() {
                top.push(controllers);
            }
            // In a container the own path may not be visible; what is mounted is its root then.
            for group in Path::new(own.trim_start_matches('/')).ancestors() {
                let read = |file: &str| fs::read_to_string(top.join(group).join(file)).ok();
                let number = |file| read(file).and_then(|text| text.trim().parse::<u64>().ok());
                let v1 = number("memory.limit_in_bytes");
                machine.memory_bytes = least(machine.memory_bytes, number("memory.max"));
                machine.memory_bytes = least(machine.memory_bytes, v1);
                machine.threads = least(machine.threads, number("pids.max"));
                let quota = number("cpu.cfs_quota_us").zip(number("cpu.cfs_period_us"));
                let quota = quota.or_else(|| read("cpu.max").as_deref().and_then(quota_of));
                let hundredths = quota.and_then(|(us, per)| (us * 100).checked_div(per));
                machine.cpu_hundredths = least(machine.cpu_hundredths, hundredths);
            }
        }
        machine
    }
}

/// `cpu.max` of the unified hierarchy: `max 100000`, or quota and period.
fn quota_of(text: &str) -> Option<(u64, u64)> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some((quota.parse().ok()?, period.parse().ok()?))
}

/// `MemAvailable` of `/proc/meminfo` in bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn the_tightest_group_counts() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path();
        write(root, "a/b/memory.max", "max\n");
        write(root, "a/memory.max", "1000000\n");
        write(root, "a/b/cpu.max", "150000 100000\n");
        write(root, "a/cpu.max", "max 100000\n");
        write(root, "a/b/pids.max", "77\n");
        let machine = Machine::of("0::/a/b\n", root);
        assert_eq!(machine.memory_bytes, Some(1_000_000));
        assert_eq!(machine.cpu_hundredths, Some(150));
        assert_eq!(machine.threads, Some(77));
    }

    #[test]
    fn version_1_is_understood() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path();
        write(root, "memory/memory.limit_in_bytes", "5000\n");
        write(root, "cpu/x/cpu.cfs_quota_us", "-1\n");
        write(root, "cpu/x/cpu.cfs_period_us", "100000\n");
        let machine = Machine::of("4:memory:/not/visible\n1:cpu:/x\n0::/\n", root);
        assert_eq!(machine.memory_bytes, Some(5000));
        assert_eq!(machine.cpu_hundredths, None);
    }

    #[test]
    fn nonsense_is_no_limit() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        write(dir.path(), "cpu.max", "100000 0\n");
        let machine = Machine::of("0::/\nx\n::\n", dir.path());
        assert_eq!(machine, Machine::default());
        assert_eq!(
            available("MemTotal: 1 kB\nMemAvailable:  12 kB\n"),
            Some(12_288)
        );
    }
}
