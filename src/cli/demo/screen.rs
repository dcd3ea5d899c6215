//! The terminal: a small block that is drawn over itself. Plain lines where there is none.

use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::time::Instant;

use super::board::Live;

/// From one drawing to the next.
pub(super) const PACE: Duration = Duration::from_millis(250);
/// From one plain line to the next.
const LINE_PACE: Duration = Duration::from_secs(1);

/// Standard output.
pub(super) struct Screen {
    terminal: bool,
    /// Lines of the block that the next one replaces.
    drawn: usize,
    last_line: Option<Instant>,
}

impl Screen {
    pub(super) fn of_stdout() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: 0,
            last_line: None,
        }
    }

    /// Shows a moment: as the block, or as a line now and then.
    pub(super) fn show(&mut self, live: &Live<'_>) {
        if self.terminal {
            self.redraw(&live.block());
        } else if self
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_PACE)
        {
            self.last_line = Some(Instant::now());
            crate::cli::print(&live.line());
        }
    }

    /// Replaces the block. Nothing where there is no terminal.
    pub(super) fn redraw(&mut self, block: &str) {
        if self.terminal {
            crate::cli::print(&format!("{}{block}", self.erase()));
            self.drawn = block.lines().count();
        }
    }

    /// Prints what stays, in place of the block.
    pub(super) fn keep(&mut self, text: &str) {
        let erase = self.erase();
        crate::cli::print(&format!("{erase}{text}"));
        self.drawn = 0;
    }

    /// Moves up over the block and clears from there.
    fn erase(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}
