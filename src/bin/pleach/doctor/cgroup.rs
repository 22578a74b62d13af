//! What a control group, such as that of a container, leaves to the processes here.

use std::fs;
use std::path::{Path, PathBuf};

/// The limits of this process, with those of all groups around it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// In bytes.
    pub(super) memory: Option<u64>,
    pub(super) processes: Option<u64>,
    /// How many processors' time.
    pub(super) processors: Option<f64>,
}

impl Limits {
    /// Those of this process.
    pub(super) fn here() -> Self {
        Self::of(Path::new("/sys/fs/cgroup"), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    /// Those of a process; `groups` is what the kernel tells of it, a line for each hierarchy.
    fn of(mounted: &Path, groups: &str) -> Self {
        let mut limits = Self::default();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            // All of version 2 are one hierarchy, which may be mounted beside those of version 1.
            let tops = match controllers {
                "" => vec![mounted.to_owned(), mounted.join("unified")],
                of_version_1 => of_version_1.split(',').map(|controller| mounted.join(controller)).collect(),
            };
            tops.iter().flat_map(|top| around(top, path)).for_each(|group| limits.narrow(&group));
        }
        limits
    }

    /// Takes the limits of a group into account: files that are not there limit nothing.
    fn narrow(&mut self, group: &Path) {
        let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
        for memory in [number("memory.max"), number("memory.limit_in_bytes").filter(|bytes| *bytes < UNLIMITED)] {
            self.memory = least(self.memory, memory);
        }
        self.processes = least(self.processes, number("pids.max"));
        let both = fs::read_to_string(group.join("cpu.max")).unwrap_or_default();
        let mut both = both.split_whitespace().map(str::parse::<u64>);
        let of_version_2 = (both.next().and_then(Result::ok), both.next().and_then(Result::ok));
        for (time, period) in [of_version_2, (number("cpu.cfs_quota_us"), number("cpu.cfs_period_us"))] {
            let processors =
                time.zip(period.filter(|period| *period > 0)).map(|(time, period)| time as f64 / period as f64);
            self.processors = least(self.processors, processors);
        }
    }
}

/// A group and those around it. In a container the path may be that outside, which is not there.
fn around(top: &Path, path: &str) -> Vec<PathBuf> {
    let own = top.join(path.trim_start_matches('/'));
    let groups = own.ancestors().take_while(|group| group.starts_with(top));
    groups.map(Path::to_owned).collect()
}

fn least<T: PartialOrd>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other < one { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// From here on, version 1 means none.
const UNLIMITED: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(files: &[(&str, &str)], groups: &str) -> Limits {
        let mounted = tempfile::TempDir::new().unwrap();
        for (file, contents) in files {
            let at = mounted.path().join(file);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, contents).unwrap();
        }
        Limits::of(mounted.path(), groups)
    }

    #[test]
    fn the_narrowest_limit_of_all_groups_around_counts() {
        let files = [
            ("a/memory.max", "1048576\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/pids.max", "64\n"),
            ("a/pids.max", "32\n"),
            ("a/b/cpu.max", "150000 100000\n"),
            ("other/pids.max", "1\n"),
        ];
        let expected = Limits { memory: Some(1 << 20), processes: Some(32), processors: Some(1.5) };
        assert_eq!(limits(&files, "0::/a/b\n"), expected);
        assert_eq!(limits(&files, "0::/\n"), Limits::default());
        assert_eq!(limits(&[], "0::/a/b\n"), Limits::default());
    }

    #[test]
    fn the_first_version_is_known_too() {
        let files = [
            ("memory/c/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.limit_in_bytes", "2097152\n"),
            ("cpu/cpu.cfs_quota_us", "-1\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
            ("pids/pids.max", "max\n"),
        ];
        let groups = "8:pids:/\n4:memory:/c\n1:cpu,cpuacct:/\n0::/\nnonsense\n";
        assert_eq!(limits(&files, groups), Limits { memory: Some(2 << 20), ..Limits::default() });
    }
}
