//! `pleach completions` and `pleach man`: read by the programs that they are made for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::{pleach, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(bash_completes_commands_and_their_options),
        test_fn(each_shell_gets_a_script_that_names_each_command),
        test_fn(each_command_has_a_page_that_groff_takes),
        test_fn(each_command_has_help_with_an_example),
    ]
}

/// The commands of the tool, e.g. `cert new`, as its own help names them.
fn commands(at: &Path, above: &str) -> Vec<String> {
    let help = pleach(at, &format!("{above} --help")).unwrap();
    let Some((_, list)) = help.split_once("Commands:\n") else { return vec![above.trim().to_owned()] };
    let names = list.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let below = names.flat_map(|name| commands(at, &format!("{above} {name}")));
    below.map(|name| name.trim().to_owned()).collect()
}

fn bash_completes_commands_and_their_options() {
    let directory = TempDir::new().unwrap();
    let script = pleach(directory.path(), "completions bash").unwrap();
    fs::write(directory.path().join("pleach.bash"), &script).unwrap();
    let bash = |command: &str| {
        let run = Command::new("bash").args(["-c", command]).current_dir(directory.path()).output().unwrap();
        assert!(run.status.success() && run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap().split_whitespace().map(String::from).collect::<BTreeSet<_>>()
    };
    bash("bash -n pleach.bash");
    // As the shell does when the tab key is pressed after the last word.
    let completed = |words: &[&str]| {
        let (line, at) = (words.join("' '"), words.len() - 1);
        let [last, before] = [words[at], words[at - 1]];
        bash(&format!(
            "source ./pleach.bash; COMP_WORDS=('{line}') COMP_CWORD={at}; _pleach pleach '{last}' '{before}'; \
             echo \"${{COMPREPLY[@]}}\""
        ))
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(completed(&["pleach", "re"]), set(&["reap", "registry"]));
    assert_eq!(completed(&["pleach", "cert", "n"]), set(&["new"]));
    assert_eq!(completed(&["pleach", "reap", "--d"]), set(&["--dry-run"]));
}

fn each_shell_gets_a_script_that_names_each_command() {
    let directory = TempDir::new().unwrap();
    let commands = commands(directory.path(), "");
    assert!(commands.iter().any(|name| name == "cert new") && commands.len() > 6, "{commands:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = pleach(directory.path(), &format!("completions {shell}")).unwrap();
        for word in commands.iter().flat_map(|name| name.split(' ')) {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    let unknown = pleach(directory.path(), "completions tcl").unwrap_err();
    assert!(unknown.contains("bash"), "it names those that there are: {unknown}");
}

fn each_command_has_a_page_that_groff_takes() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    pleach(at, "man --dir pages/man1").unwrap();
    for command in commands(at, "") {
        let name = format!("pleach-{}.1", command.replace(' ', "-"));
        let page = fs::read_to_string(at.join("pages/man1").join(&name)).unwrap_or_else(|_| panic!("no page {name}"));
        assert!(page.contains("Example"), "{name}: {page}");
    }
    let mut pages: Vec<_> = fs::read_dir(at.join("pages/man1")).unwrap().map(|page| page.unwrap().path()).collect();
    let main = at.join("pleach.1");
    fs::write(&main, pleach(at, "man").unwrap()).unwrap();
    pages.push(main);
    for page in pages {
        assert_eq!(groff(&page), "", "{}", page.display());
    }
}

/// What groff complains about in a page.
fn groff(page: &Path) -> String {
    let mut groff = Command::new("groff");
    let groff = groff.args(["-man", "-ww", "-Tutf8", "-z"]).arg(page);
    let run = groff.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut run = run.expect("groff is needed: `apt-get install groff-base`");
    let complaints = std::io::read_to_string(run.stderr.take().unwrap()).unwrap();
    run.wait().unwrap();
    complaints
}

fn each_command_has_help_with_an_example() {
    let directory = TempDir::new().unwrap();
    for command in commands(directory.path(), "") {
        let help = pleach(directory.path(), &format!("{command} --help")).unwrap();
        assert!(help.contains("Example") && help.contains(&format!("pleach {command}")), "{command}: {help}");
    }
}
