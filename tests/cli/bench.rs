//! `pleach bench`.

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::{json, output, pleach, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(transports_are_measured_and_drawn_and_nothing_is_left),
        test_fn(a_transport_that_fails_is_a_line_and_the_others_are_measured),
    ]
}

fn transports_are_measured_and_drawn_and_nothing_is_left() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    let (succeeded, results) = json(at, "bench --seconds 0.05 --svg bench.svg mem tcp uds");
    assert!(succeeded, "{results}");
    assert_eq!((&results["codec"], &results["seconds"]), (&"msgpack".into(), &0.05.into()));
    let rows = results["transports"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["transport"].as_str().unwrap()).collect();
    assert_eq!(names, ["mem", "tcp", "uds"]);
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"));
        for name in ["calls_per_second", "items_per_second", "blob_bytes_per_second"] {
            assert!(number(name) > 1.0, "{name}: {row}");
        }
        assert!(0.0 < number("call_p50_us") && number("call_p50_us") <= number("call_p99_us"), "{row}");
    }
    let drawn = fs::read_to_string(at.join("bench.svg")).unwrap();
    assert_well_formed(&drawn);
    // A bar for each of four quantities, and a paler one for the slowest calls; and the ground.
    assert_eq!(drawn.matches("<rect ").count(), 3 * 5 + 1, "{drawn}");
    assert_eq!(left_in(at), ["bench.svg"]);

    let said = pleach(at, "bench --seconds 0.01 uds").unwrap();
    assert!(said.lines().last().unwrap().starts_with("uds  "), "{said}");
}

fn a_transport_that_fails_is_a_line_and_the_others_are_measured() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    fs::write(at.join("pleach.toml"), "socket_dir = \"pleach.toml\"\n").unwrap();
    let (succeeded, results) = json(at, "bench --seconds 0.01 --svg bench.svg uds mem");
    let [uds, mem] = [0, 1].map(|row| &results["transports"][row]);
    assert!(!succeeded && uds["error"].is_string() && mem["error"].is_null(), "{results}");
    assert_well_formed(&fs::read_to_string(at.join("bench.svg")).unwrap());

    for (args, said) in [
        ("bench carrier-pigeon", "there is no transport `carrier-pigeon` here, but mem, "),
        ("bench --seconds 0", "it has to be from 0.01 to 60"),
        ("bench --seconds soon", "it is not a number"),
        ("bench --seconds 0.01 --svg nowhere/bench.svg mem", "can't write to nowhere/bench.svg"),
    ] {
        let run = output(at, args);
        let error = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success() && error.contains(said), "{args}: {error}");
        assert!(run.stdout.is_empty(), "it is said before anything is measured: {args}");
    }
}

fn left_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Asserts that each element of an XML document is closed, in order, and that no sign stands for itself that must not.
fn assert_well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in xml.trim().split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("<{part}"));
        let name = tag.split_whitespace().next().unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert!(text.split('&').skip(1).all(|entity| entity.contains(';')), "{text}");
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "{xml}"),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
        assert!(!open.is_empty() || text.is_empty(), "text behind the end: {text}");
    }
    assert_eq!(open, [""; 0]);
}
