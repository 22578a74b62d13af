//! What Prometheus reads at the root of a tree: all of its processes, with exact numbers where they are exact.

#![expect(clippy::unwrap_used, reason = "these are tests, though not by an attribute that clippy knows")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, ExitCode, Output, Stdio};

use libtest_mimic::{Arguments, Trial};
use pleach::__private::{Flavor, run_main};
use pleach::metrics::prometheus;
use pleach::prelude::*;
use pleach_patience::patience;
use prometheus_parse::{Scrape, Value};

#[pleach::rpc]
async fn double(number: u64) -> Result<u64> {
    metrics::counter!("doubled_total", "odd" => (number % 2).to_string()).increment(1);
    Ok(2 * number)
}

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

/// Starts an actor below, calls that, and is there until it is cancelled.
#[pleach::context]
async fn call_below(ctx: &mut Context<u32, (), ()>) -> Result<()> {
    pleach::open_nursery(async |n| {
        let leaf = n.start_actor("le\"af").enable(module_path!()).await?;
        for number in 0..7 {
            leaf.run(double(number)).await?;
        }
        ctx.started(std::process::id()).await?;
        let mut stream = ctx.open_stream().await?;
        while stream.recv().await?.is_some() {}
        leaf.cancel_actor().await
    })
    .await
}

fn main() -> ExitCode {
    if std::env::var_os("OWN_RECORDER").is_some() {
        metrics::set_global_recorder(metrics::NoopRecorder).unwrap();
    }
    pleach::init();
    match std::env::var("SCRAPED_ROOT").as_deref() {
        Ok("tree") => run_main(Flavor::CurrentThread, tree()).unwrap(),
        Ok("stopped") => run_main(Flavor::CurrentThread, stopped()).unwrap(),
        Ok("requests") => run_main(Flavor::CurrentThread, requests()).unwrap(),
        Ok(_) => match run_main(Flavor::CurrentThread, pleach::open_nursery(async |_| Ok::<_, Error>(()))) {
            Ok(()) => print!("it has begun"),
            Err(error) => print!("{error}"),
        },
        Err(_) => return tests(),
    }
    ExitCode::SUCCESS
}

fn tests() -> ExitCode {
    let mut tests = Vec::new();
    for over in ["mem", "tcp", "uds"] {
        tests.push(Trial::test(format!("one_endpoint_has_all_processes_of_a_tree/{over}"), move || {
            all_processes(over);
            Ok(())
        }));
    }
    let cases: [(&str, fn()); 4] = [
        ("a_process_that_does_not_answer_is_counted", one_is_stopped),
        ("requests_of_all_kinds_are_answered", all_requests),
        ("an_address_that_is_taken_says_what_to_do", taken),
        ("a_recorder_of_the_programs_own_is_said", own_recorder),
    ];
    tests.extend(cases.map(|(name, run)| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    }));
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn run(root: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("SCRAPED_ROOT", root).env("PLEACH_PROMETHEUS", "127.0.0.1:0").env_remove("PLEACH_LOG");
    command.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

/// Runs a root that ends well, and returns what it has printed.
fn printed(root: &str, variables: &[(&str, &str)]) -> String {
    let output = run(root, variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A root, an actor in the middle and one below: 20 calls, a context, and 7 calls.
async fn tree() -> Result<()> {
    pleach::open_nursery(async |n| {
        let middle = n.start_actor("middle").enable(module_path!()).await?;
        for number in 0..20 {
            middle.run(double(number)).await?;
        }
        middle
            .open_context(call_below(), async |ctx, pid| {
                let stream = ctx.open_stream().await?;
                let answer = tokio::task::spawn_blocking(|| ask("GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n")).await;
                println!("{} {pid}\n{}", std::process::id(), answer.unwrap());
                drop(stream);
                ctx.cancel().await?;
                Ok::<_, Error>(())
            })
            .await?;
        middle.cancel_actor().await
    })
    .await
}

/// Sends a request to the endpoint of this process, and returns the whole answer.
fn ask(request: &str) -> String {
    let mut stream = TcpStream::connect(prometheus::address().unwrap()).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The values of a metric, by what `labels` says.
fn values(scrape: &Scrape, metric: &str, labels: &[(&str, &str)]) -> Vec<f64> {
    let samples = scrape.samples.iter().filter(|sample| {
        sample.metric == metric && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value))
    });
    let number = |value: &Value| match value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => *value,
        Value::Histogram(buckets) => buckets.iter().map(|bucket| bucket.count).fold(0.0, f64::max),
        Value::Summary(_) => panic!("{metric} is a summary"),
    };
    samples.map(|sample| number(&sample.value)).collect()
}

fn all_processes(over: &str) {
    let printed = printed("tree", &[("PLEACH_TRANSPORT", over)]);
    let (pids, answer) = printed.split_once('\n').unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/plain; version=0.0.4"), "{head}");
    check_shape(text);
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let (root, middle) = pids.split_once(' ').unwrap();
    let is_mem = over == "mem";
    let double = [("function", "prometheus::double"), ("outcome", "returned")];
    let calls = |side: &'static str, labels: &[(&str, &str)]| -> f64 {
        values(&scrape, "pleach_calls_total", &[&double[..], &[("side", side)], labels].concat()).iter().sum()
    };
    assert_eq!((calls("client", &[]), calls("server", &[])), (27.0, 27.0), "{text}");
    let of_root = [("actor", "root"), ("pid", root)];
    let of_middle = [("actor", "middle"), ("pid", middle)];
    if !is_mem {
        assert_eq!(calls("client", &of_root), 20.0);
        assert_eq!(calls("server", &of_middle), 20.0);
        assert_eq!(calls("client", &of_middle), 7.0);
        assert_eq!(values(&scrape, "doubled_total", &[of_middle[0], ("odd", "1")]), [10.0], "{text}");
    }
    let took =
        values(&scrape, "pleach_call_duration_seconds", &[("function", "prometheus::double"), ("side", "server")]);
    assert_eq!(took.iter().sum::<f64>(), 27.0);
    let actors: f64 = values(&scrape, "pleach_actors", &[]).iter().sum();
    assert_eq!(actors, 3.0, "{text}");
    let processes: BTreeSet<_> = scrape.samples.iter().filter_map(|sample| sample.labels.get("pid")).collect();
    assert_eq!(processes.len(), if is_mem { 1 } else { 3 });
    assert_eq!(values(&scrape, "pleach_calls_open", &[of_root[0], ("side", "client")]), [1.0], "the context");
    let connections: f64 = values(&scrape, "pleach_connections", &[("transport", over)]).iter().sum();
    assert!(connections >= 4.0, "two lines, each with two ends: {text}");
}

/// Prometheus takes the values of a metric in one piece only, below one head.
fn check_shape(text: &str) {
    let (mut seen, mut types) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("# HELP")) {
        match line.strip_prefix("# TYPE ") {
            Some(head) => assert!(types.insert(head.split(' ').next().unwrap()), "twice: {line}"),
            None => assert!(seen.insert(line.rsplit_once(' ').unwrap().0), "twice: {line}"),
        }
    }
    assert!(text.ends_with('\n') && types.len() > 10, "{text}");
}

/// Stops a child, and then blocks its own thread while it asks.
async fn stopped() -> Result<()> {
    pleach::open_nursery(async |n| {
        let child = n.start_actor("child").enable(module_path!()).await?;
        let pid = child.run(pid()).await?.to_string();
        let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
        signal("-STOP");
        println!("{pid}\n{}", ask("GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n"));
        signal("-CONT");
        child.cancel_actor().await
    })
    .await
}

fn one_is_stopped() {
    let printed = printed("stopped", &[]);
    let (pid, answer) = printed.split_once('\n').unwrap();
    let silent = answer.lines().find_map(|line| line.strip_prefix("pleach_silent_processes ")).unwrap();
    assert!(silent.parse::<u32>().unwrap() >= 1, "{answer}");
    assert!(answer.contains("pleach_actors{actor=\"root\""), "{answer}");
    assert!(!answer.contains(&format!("pid=\"{pid}\"")), "{answer}");
}

async fn requests() -> Result<()> {
    pleach::open_nursery(async |_| {
        let answers = tokio::task::spawn_blocking(|| {
            let head = |request: &str| ask(request).lines().next().unwrap_or("nothing").to_owned();
            let get = |path| head(&format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n"));
            let long = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000));
            [
                get("/metrics"),
                get("/metrics?name=a"),
                get("/"),
                head("POST /metrics HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n"),
                head("GET /metrics HTTP/1.0\r\n\r\n"),
                head("nonsense\r\n\r\n"),
                head(&long),
                get("/metrics"),
            ]
        });
        println!("{}", answers.await.unwrap().join("\n"));
        Ok(())
    })
    .await
}

fn all_requests() {
    let printed = printed("requests", &[]);
    let codes: Vec<_> = printed.lines().map(|line| line.split(' ').nth(1).unwrap_or(line)).collect();
    assert_eq!(codes, ["200", "200", "404", "405", "200", "400", "431", "200"], "{printed}");
}

fn taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at: SocketAddr = listener.local_addr().unwrap();
    let said = printed("nothing", &[("PLEACH_PROMETHEUS", &at.to_string())]);
    assert!(
        said.contains(&format!("prometheus: can't listen on {at}: ")) && said.contains("or port 0 for a"),
        "{said}"
    );
    let said = printed("nothing", &[("PLEACH_PROMETHEUS", "9464")]);
    assert!(said.contains("PLEACH_PROMETHEUS: `9464` is not an address with a port; write it like `127"), "{said}");
}

fn own_recorder() {
    let said = printed("nothing", &[("OWN_RECORDER", "1")]);
    assert!(said.contains("prometheus: this program has installed a recorder of the `metrics` crate itself"), "{said}");
}
