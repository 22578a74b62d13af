//! Where the kernel puts the core dump of a process: `core(5)`.
//!
//! It looks at the settings of this host, not at the file: another program may take it away at once.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

/// Returns where the dump of a process is that had `pid` and ran in `cwd`, if the kernel made one.
pub(crate) fn place(status: ExitStatus, pid: u32, cwd: Option<&Path>) -> Option<String> {
    status.core_dumped().then(|| {
        let setting = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        let pattern = setting("core_pattern");
        let name = name(pattern.trim_end(), setting("core_uses_pid").trim() != "0", pid, status.signal());
        if name.starts_with('/') || pattern.starts_with('|') {
            return name;
        }
        let own = std::env::current_dir().unwrap_or_default();
        cwd.map_or(own.clone(), |cwd| own.join(cwd)).join(name).display().to_string()
    })
}

/// Fills in a pattern of the kernel, with `*` for what is not known here.
fn name(pattern: &str, uses_pid: bool, pid: u32, signal: Option<i32>) -> String {
    if let Some(command) = pattern.strip_prefix('|') {
        let program = command.split_whitespace().next().unwrap_or_default();
        return format!("handed to {program}, as process {pid}");
    }
    let mut name = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            name.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => name.push('%'),
            Some('p' | 'P') => name.push_str(&pid.to_string()),
            Some('s') => name.push_str(&signal.map_or("*".into(), |signal| signal.to_string())),
            Some(_) => name.push('*'),
            None => {}
        }
    }
    if uses_pid && !pattern.contains("%p") {
        name.push_str(&format!(".{pid}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_filled_in_as_far_as_it_can_be() {
        for (pattern, uses_pid, place) in [
            ("core", false, "core"),
            ("core", true, "core.7"),
            ("/var/crash/%e-%p-%s", true, "/var/crash/*-7-11"),
            ("100%%-%t%", false, "100%-*"),
            (
                "|/usr/lib/systemd/systemd-coredump %P %u",
                false,
                "handed to /usr/lib/systemd/systemd-coredump, as process 7",
            ),
        ] {
            assert_eq!(name(pattern, uses_pid, 7, Some(11)), place, "{pattern}");
        }
    }

    #[test]
    fn a_process_that_left_no_dump_has_none() {
        assert_eq!(place(ExitStatus::from_raw(11), 7, None), None);
        let place = place(ExitStatus::from_raw(11 | 0x80), 7, Some(Path::new("/nowhere"))).unwrap();
        assert!(!place.is_empty());
    }
}
