//! Groups in a directory that stands for the kernel's, and what is read of its lists.

use super::*;

/// A place as the kernel makes them, without the kernel.
fn place(controllers: &str, enabled: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cgroup.controllers"), controllers).unwrap();
    fs::write(dir.path().join("cgroup.subtree_control"), enabled).unwrap();
    dir
}

#[test]
fn bounds_are_written_as_the_kernel_reads_them() {
    let place = place("cpu memory pids\n", "cpu pids\n");
    let bounds = Cgroup::new().memory_max(1 << 20).cpu_max(150).pids_max(7);
    let group = bounds.make_in(place.path()).unwrap();
    let read = |at: &Path| fs::read_to_string(at).unwrap();
    assert_eq!(read(&place.path().join("cgroup.subtree_control")), "+memory");
    let files = [("memory.max", "1048576"), ("memory.oom.group", "1"), ("cpu.max", "150000 100000"), ("pids.max", "7")];
    for (file, value) in files {
        assert_eq!(read(&group.path().join(file)), value, "{file}");
        fs::remove_file(group.path().join(file)).unwrap(); // the kernel's files go with their directory
    }
    let path = group.path().to_owned();
    drop(group);
    assert!(!path.exists());
}

#[test]
fn a_controller_that_is_missing_is_named() {
    let place = place("hugetlb cpu\n", "");
    let why = Cgroup::new().cpu_max(50).memory_max(1).make_in(place.path()).unwrap_err();
    assert!(why.contains("no controller `memory`, only `hugetlb cpu`"), "{why}");
    let why = Cgroup::new().below("/proc").make().unwrap_err();
    assert!(why.contains("/proc is not a directory of a cgroup v2"), "{why}");
}

#[test]
fn a_death_by_memory_is_told_from_others() {
    let place = place("memory\n", "memory\n");
    let group = Cgroup::new().make_in(place.path()).unwrap();
    let killed = WaitStatus::Signalled(libc::SIGKILL);
    let events = group.path().join("memory.events");
    assert_eq!(group.judge(killed), killed);
    fs::write(&events, "low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\n").unwrap();
    assert_eq!(group.judge(killed), killed);
    fs::write(&events, "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n").unwrap();
    assert_eq!(
        (group.judge(killed), group.judge(WaitStatus::Exited(0))),
        (WaitStatus::OutOfMemory, WaitStatus::Exited(0))
    );
    fs::remove_file(events).unwrap();
}

#[test]
fn groups_without_their_maker_are_swept_and_others_stay() {
    let place = place("", "");
    let left = place.path().join("pleach-0123456789ab");
    fs::create_dir_all(left.join("of one in it")).unwrap();
    fs::create_dir(place.path().join("another")).unwrap();
    assert_eq!(left_in(place.path()), std::slice::from_ref(&left));
    let (one, two) = (Cgroup::new().make_in(place.path()).unwrap(), Cgroup::new().make_in(place.path()).unwrap());
    assert!(!left.exists() && one.path().exists() && two.path().exists() && place.path().join("another").exists());
    assert_eq!(left_in(place.path()), Vec::<PathBuf>::new());
    assert!(remove_left(one.path()).is_err());
}

#[test]
fn the_mount_is_found_among_others() {
    let list = "30 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                31 1 0:27 /inner /mnt rw shared:1 - cgroup2 cgroup2 rw\n\
                32 1 0:27 / /sys/fs/cgroup/unified rw,relatime shared:2 - cgroup2 cgroup2 rw\n";
    assert_eq!(mount_of(list), Some("/sys/fs/cgroup/unified".into()));
    assert_eq!(mount_of("30 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"), None);
}
