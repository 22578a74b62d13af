//! `pleach cancel`.

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::stacks::{Stop, busy};
use crate::support::{json, pleach, test_fn};
use crate::tree::{Setup, rest, while_it_runs};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(an_actor_ends_in_order),
        test_fn(a_busy_actor_is_killed_on_request_only),
        test_fn(a_thread_is_not_killed),
        test_fn(an_actor_that_is_not_there_is_named_with_those_that_are),
    ]
}

fn an_actor_ends_in_order() {
    for protocol in ["uds", "mem"] {
        let setup = Setup { protocol, multi_thread: false };
        while_it_runs(setup, "obedient", rest(), move || {
            let (at, root) = (TempDir::new().unwrap(), std::process::id());
            let (ended, told) = json(at.path(), &format!("cancel obedient --tree {root} --within 60"));
            assert!(ended, "{told}");
            assert_eq!((&told[0]["outcome"], told.as_array().unwrap().len()), (&"ended".into(), 1));
        });
    }
}

fn a_busy_actor_is_killed_on_request_only() {
    while_it_runs(Setup::default(), "stubborn", busy(u32::MAX), || {
        let at = TempDir::new().unwrap();
        let cancel = format!("cancel stubborn --tree {} --within 1", std::process::id());
        let (ended, told) = json(at.path(), &cancel);
        assert_eq!((ended, &told[0]["outcome"]), (false, &"still_there".into()), "{told}");
        assert!(told[0]["why"].as_str().unwrap().contains("within 1 s"), "{told}");
        let killed = pleach(at.path(), &format!("{cancel} --force")).unwrap();
        assert!(killed.starts_with("actor `stubborn`") && killed.contains("was killed"), "{killed}");
    });
}

fn a_thread_is_not_killed() {
    let setup = Setup { protocol: "mem", multi_thread: false };
    let stop = Stop::later();
    while_it_runs(setup, "stubborn", busy(stop.0), move || {
        let _stop = stop;
        let at = TempDir::new().unwrap();
        let (ended, told) =
            json(at.path(), &format!("cancel stubborn --tree {} --within 0 --force", std::process::id()));
        assert_eq!((ended, &told[0]["outcome"]), (false, &"still_there".into()), "{told}");
        assert!(told[0]["why"].as_str().unwrap().contains("hosts other actors too"), "{told}");
    });
}

fn an_actor_that_is_not_there_is_named_with_those_that_are() {
    while_it_runs(Setup::default(), "present", rest(), || {
        let at = TempDir::new().unwrap();
        let none = pleach(at.path(), &format!("cancel absent --tree {}", std::process::id()));
        assert!(none.unwrap_err().contains("no actor is `absent`; there are: present, root"));
    });
}
