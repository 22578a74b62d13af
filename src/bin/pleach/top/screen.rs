//! The terminal: taken for the table, and given back as it was, whatever happens.
//!
//! # Invariants
//! 1. On every way out it is as before: `Drop`, and the panic hook that `ratatui` installs.

use std::io::{self, stdout};

use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, enable_raw_mode};
use ratatui::DefaultTerminal;
use ratatui::layout::Position;

use super::draw;
use super::view::View;

/// The terminal, while it is taken. Dropping this gives it back.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes it.
    ///
    /// # Errors
    /// When it can't be set.
    pub(super) fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }

    /// Draws a view.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn draw(&mut self, view: &mut View) -> io::Result<()> {
        self.0.draw(|frame| draw::draw(view, frame)).map(drop)
    }

    /// Gives it back, stops this program and its job as Ctrl-Z does, and takes it again when the job goes on.
    ///
    /// # Errors
    /// When it can't be set.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        self.0.show_cursor()?;
        ratatui::restore();
        stop_job()?;
        self.take_again()
    }

    /// Takes it again: another program may have used it.
    ///
    /// # Errors
    /// When it can't be set.
    pub(super) fn take_again(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        self.0.hide_cursor()?;
        // As for a new size, all of it is drawn. `clear` would ask the terminal where the cursor is, and keys are read
        // elsewhere.
        let size = self.0.size()?;
        self.0.resize((Position::ORIGIN, size).into())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.show_cursor(); // the terminal may be gone
        ratatui::restore();
    }
}

/// Stops the processes of this job, as the terminal would: by the signal, with what the system does about it.
#[expect(unsafe_code, reason = "the system alone stops a job, and not one that no shell would continue")]
fn stop_job() -> io::Result<()> {
    let check = |result: i32| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: all zeroes are an action: the default one, with no flags. The old one is put back as it was.
    unsafe {
        let (stop, mut handled) = (std::mem::zeroed::<libc::sigaction>(), std::mem::zeroed());
        check(libc::sigaction(libc::SIGTSTP, &raw const stop, &raw mut handled))?;
        let stopped = check(libc::kill(0, libc::SIGTSTP));
        check(libc::sigaction(libc::SIGTSTP, &raw const handled, std::ptr::null_mut()))?;
        stopped
    }
}
