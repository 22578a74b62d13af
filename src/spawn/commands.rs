//! Commands of other programs, such as those of a batch system: run to their end, within a bound.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// Runs a command to its end, and returns what it has printed.
///
/// # Errors
/// Says why it did not start, fails, or has not ended within [`ANSWER`]; then it is killed.
pub(super) async fn run(mut command: Command) -> Result<String, String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(ANSWER, command.output()).await {
        Err(_late) => Err(format!("`{name}` has not answered within {ANSWER:?}")),
        Ok(Err(error)) => Err(format!("`{name}` can't be started: {error}")),
        Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Ok(output)) => Err(format!("`{name}`: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Runs a command, the program first, that ends what was made for an actor. What it asks may be busy, or starting
/// again: if it fails, it is run again, for as long as one answer may take.
pub(super) async fn clean_up(command: &[String]) {
    let Some((program, arguments)) = command.split_first() else { return };
    let begun = Instant::now();
    loop {
        let mut attempt = Command::new(program);
        attempt.args(arguments);
        let Err(error) = run(attempt).await else { return };
        if begun.elapsed() >= ANSWER {
            return warn!(target: "pleach::runtime", command = command.join(" "), error, "could not clean up after an actor; run the command by hand");
        }
        sleep(RETRY).await;
    }
}

/// How long a command may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How soon a clean-up that has failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clean_up_that_fails_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let done = directory.path().join("done");
        // The first attempt only notes that it was made.
        let script = "test -e tried && exec touch done; touch tried; exit 1";
        let command = ["sh", "-c", &format!("cd {}; {script}", directory.path().display())].map(String::from);
        clean_up(&command).await;
        assert!(done.exists());
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why() {
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo the controller is busy >&2; exit 1"]);
        assert_eq!(run(failing).await.unwrap_err(), "`sh`: the controller is busy");
        let missing = run(Command::new("/does/not/exist")).await.unwrap_err();
        assert!(missing.starts_with("`/does/not/exist` can't be started: "), "{missing}");
    }
}
