//! What a sandbox allows when it is told to, and nothing beside it.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;
use pleach::Sandbox;
use pleach::prelude::*;

use crate::{PROCESSES, in_nursery, test};

pub(crate) fn tests() -> Vec<Trial> {
    let networks = PROCESSES.map(|transport| {
        test(format!("widened::a_network_without_unix_sockets_{transport}"), move || network(transport))
    });
    let others = [
        test("widened::files_to_read_are_not_written", reading),
        test("widened::what_is_written_stays_below_its_directory", writing),
        test("widened::a_program_runs_in_the_same_sandbox", executing),
        test("widened::a_system_call_is_allowed_by_its_number", system_call),
    ];
    networks.into_iter().chain(others).collect()
}

/// The kinds of errors, by their names.
fn shown<T>(tried: std::io::Result<T>) -> String {
    tried.map_or_else(|error| format!("{:?}", error.kind()), |_| "open".into())
}

#[pleach::rpc]
async fn files(dir: PathBuf) -> Result<Vec<String>> {
    let at = |name: &str| dir.join(name);
    Ok(vec![
        shown(std::fs::read(at("file"))),
        shown(std::fs::read_dir(&dir)),
        shown(std::fs::write(at("file"), "changed")),
        shown(std::fs::write(at("new"), "")),
        shown(std::fs::rename(at("file"), at("newer"))),
        shown(std::fs::create_dir(at("below"))),
        shown(std::fs::remove_dir(at("there"))),
        shown(std::fs::hard_link(at("other"), dir.with_extension("outside"))),
        shown(std::os::unix::fs::symlink("/", at("link"))),
        shown(std::os::unix::net::UnixListener::bind(at("socket"))),
        shown(Command::new(at("other")).status()),
        shown(std::fs::read("/etc/passwd")),
    ])
}

const NO: &str = "PermissionDenied";

async fn file_tries(allow: impl Fn(Sandbox, PathBuf) -> Sandbox) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "text").unwrap();
    std::fs::write(dir.path().join("other"), "text").unwrap();
    std::fs::create_dir(dir.path().join("there")).unwrap();
    in_nursery("uds", async |n| {
        let sandbox = allow(Sandbox::new(), dir.path().into());
        let there = n.start_actor("reader").enable(module_path!()).sandbox(sandbox).await?;
        let found = there.run(files(dir.path().into())).await?;
        there.cancel_actor().await?;
        Ok(found)
    })
    .await
    .unwrap()
}

async fn reading() {
    let found = file_tries(Sandbox::read).await;
    assert_eq!(found, ["open", "open", NO, NO, NO, NO, NO, NO, NO, NO, NO, NO]);
    let one = file_tries(|sandbox, dir| sandbox.read(dir.join("file"))).await;
    assert_eq!(one, ["open", NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO]);
}

async fn writing() {
    let found = file_tries(Sandbox::write).await;
    assert_eq!(found[..7], ["open"; 7]);
    assert!([NO, "CrossesDevices"].contains(&&*found[7]), "{found:?}");
    assert_eq!(found[8..], [NO; 4]);
}

#[pleach::rpc]
async fn runs(program: String) -> anyhow::Result<[String; 3]> {
    let shell = |script: &str| {
        let output = Command::new(&program).args(["-c", script]).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let said = shell("echo $((2 * 21))")?;
    Ok([
        said,
        shell("read line </etc/passwd && echo $line")?,
        shown(Command::new("/bin/cat").arg("/dev/null").status()),
    ])
}

async fn executing() {
    in_nursery("uds", async |n| {
        // The program, its loader and its libraries: a shell is linked with one, which is elsewhere on each system.
        let shell = std::fs::canonicalize("/bin/sh").unwrap();
        let libraries = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libraries = libraries.lines().filter_map(|line| Some(line[line.find('/')?..].to_owned()));
        let libraries = libraries.filter(|path| path.contains(".so")).map(PathBuf::from);
        let sandbox = libraries.fold(Sandbox::new().execute(&shell), Sandbox::execute);
        let there = n.start_actor("runner").enable(module_path!()).sandbox(sandbox).await?;
        let found = there.run(runs(shell.display().to_string())).await?;
        assert_eq!(found, ["42", "", NO]);
        there.cancel_actor().await
    })
    .await
    .unwrap();
}

#[pleach::rpc]
async fn connects(tcp: std::net::SocketAddr, unix: PathBuf) -> Result<[String; 5]> {
    Ok([
        shown(TcpStream::connect(tcp)),
        shown(TcpListener::bind("127.0.0.1:0")),
        shown(UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"x", tcp))),
        shown(std::os::unix::net::UnixStream::connect(unix)),
        shown(std::fs::read("/etc/passwd")),
    ])
}

async fn network(transport: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let unix = dir.path().join("socket");
    let _unix = std::os::unix::net::UnixListener::bind(&unix).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    in_nursery(transport, async |n| {
        let there = n.start_actor("client").enable(module_path!()).sandbox(Sandbox::new().network()).await?;
        let found = there.run(connects(tcp.local_addr().unwrap(), unix.clone())).await?;
        assert_eq!(found, ["open", "open", "open", NO, NO]);
        there.cancel_actor().await
    })
    .await
    .unwrap();
}

#[pleach::rpc]
async fn priority() -> Result<[String; 2]> {
    // The lowest: none has to be privileged for that.
    let lowered = rustix::process::setpriority_process(None, 19).map_err(Into::into);
    Ok([shown(lowered), shown(rustix::process::setsid().map_err(Into::into))])
}

async fn system_call() {
    in_nursery("uds", async |n| {
        let sandbox = Sandbox::new().syscall(libc::SYS_setpriority);
        let there = n.start_actor("nice").enable(module_path!()).sandbox(sandbox).await?;
        assert_eq!(there.run(priority()).await?, ["open", NO]);
        there.cancel_actor().await
    })
    .await
    .unwrap();
}
