//! Which program runs at another host: this one, wherever it comes from.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;
use pleach::Host;
use pleach::prelude::*;

use crate::site::{assert_says, dir, host, in_nursery, node, test};
use crate::work::exe;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("programs::the_same_file_is_used_where_it_is", found),
        test("programs::another_file_is_replaced_by_a_copy_that_is_used_again", copied),
        test("programs::copies_that_are_made_at_once_do_no_harm", copied_at_once),
        test("programs::another_kind_of_machine_is_refused", alien),
        test("programs::a_cache_without_programs_is_refused", bare),
    ]
}

/// Where the program of an actor at `host` is.
async fn exe_at(host: Host) -> Result<PathBuf> {
    in_nursery(Config::default(), async |n| n.run_in_actor(exe()).on(host).await?.result().await)
        .await
        .map(PathBuf::from)
}

async fn found() {
    let ours = std::env::current_exe().unwrap();
    assert_eq!(exe_at(node()).await.unwrap(), ours);
    let another_name = dir().join("named");
    fs::hard_link(&ours, &another_name).or_else(|_| fs::copy(&ours, &another_name).map(drop)).unwrap();
    assert_eq!(exe_at(node().program(&another_name)).await.unwrap(), another_name);
}

async fn copied() {
    let elsewhere = node().program("/bin/true");
    let cached = exe_at(elsewhere.clone()).await.unwrap();
    assert!(cached.starts_with(dir().join("cache/pleach")), "{}", cached.display());
    let about = fs::metadata(&cached).unwrap();
    assert_eq!(about.mode() & 0o777, 0o700);
    assert_eq!(exe_at(elsewhere.clone()).await.unwrap(), cached);
    assert_eq!(fs::metadata(&cached).unwrap().ino(), about.ino(), "it was copied again");

    fs::write(&cached, "something else").unwrap();
    assert_eq!(exe_at(elsewhere).await.unwrap(), cached);
    assert_eq!(fs::metadata(&cached).unwrap().len(), about.len(), "it was not replaced");
    only_this_is_cached(&cached);
    fs::remove_dir_all(dir().join("cache")).unwrap();
}

/// Two trees, which know nothing of each other.
async fn copied_at_once() {
    let elsewhere = node().program("/bin/true");
    let (one, another) = in_nursery(Config::default(), async |n| {
        let config = dir().join("ssh_config_of_another");
        fs::copy(dir().join("ssh_config"), &config).unwrap();
        let start = |host| async { n.run_in_actor(exe()).on(host).await?.result().await };
        tokio::try_join!(start(elsewhere.clone()), start(elsewhere.clone().config_file(config)))
    })
    .await
    .unwrap();
    assert_eq!(one, another);
    only_this_is_cached(one.as_ref());
    fs::remove_dir_all(dir().join("cache")).unwrap();
}

fn only_this_is_cached(cached: &std::path::Path) {
    let all: Vec<_> = fs::read_dir(dir().join("cache/pleach")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(all, [cached]);
}

async fn alien() {
    let machine = String::from_utf8(Command::new("uname").args(["-s", "-m"]).output().unwrap().stdout).unwrap();
    let why = "its machine is of another kind (Linux s390x) than this program is for";
    assert_says(&exe_at(host("alien")).await, &["at ssh:alien", why, machine.trim()]);
}

async fn bare() {
    let at = dir().join("noexec");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "noexec", "none"]).arg(&at).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("this user can't mount: a cache without programs is not tried");
        return;
    }
    let started = exe_at(host("bare").program("/bin/true")).await;
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    assert_says(&started, &["at ssh:bare", "programs can't be run from the cache directory there", "`program`"]);
}
