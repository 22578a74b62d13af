//! `pleach doctor`: what this machine lacks, and what to do about it.
//!
//! | file | station |
//! |---|---|
//! | this one | the command: the findings as text or JSON, and its exit status |
//! | [`cgroup`] | the limits of control groups |
//! | [`checks`] | the checks: each looks at one thing, and changes nothing |

mod cgroup;
mod checks;

use std::borrow::Cow;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::output;

/// Look at what this machine and the settings here allow, and say what to do about the rest
///
/// Exit status 1 means that something is missing without which actors don't start here.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach doctor
  pleach doctor --json | jq '.[] | select(.state != \"fine\")'")]
pub(crate) struct Command {
    /// Print JSON: an array of objects with `what`, `state`, `found` and `advice`
    #[arg(long)]
    json: bool,
}

/// What a check has found.
#[derive(Debug, Serialize)]
struct Finding {
    what: Cow<'static, str>,
    state: State,
    found: String,
    /// What to do about it, unless it is fine.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Fine,
    /// Something works less well, or one feature does not.
    Limited,
    /// Actors don't start without it.
    Missing,
}

impl Finding {
    fn fine(what: impl Into<Cow<'static, str>>, found: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Fine, found: found.into(), advice: None }
    }

    fn limited(what: impl Into<Cow<'static, str>>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Limited, found: found.into(), advice: Some(advice.into()) }
    }

    fn missing(what: impl Into<Cow<'static, str>>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Missing, ..Self::limited(what, found, advice) }
    }
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let findings = checks::all();
        match self.json {
            true => output::json(&findings)?,
            false => output::write(findings.iter().map(in_words).collect::<String>().as_bytes())?,
        }
        Ok(match findings.iter().any(|finding| finding.state == State::Missing) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}

fn in_words(Finding { what, state, found, advice }: &Finding) -> String {
    let state = match state {
        State::Fine => "ok",
        State::Limited => "limited",
        State::Missing => "MISSING",
    };
    let advice = advice.iter().map(|advice| format!("{:25}{advice}\n", "")).collect::<String>();
    format!("{state:<8} {what:<15} {found}\n{advice}")
}
