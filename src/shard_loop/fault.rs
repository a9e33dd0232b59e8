//! A panic on purpose, so that a test can see what a panic does to the process. Builds without debug assertions have nothing of it.
//!
//! `ONRUSH_FAULT_PANIC=shard-2:ready` has that core panic when it is ready, `shard-2:opened` when it gets its first connection.

use onrush_core::effect::Note;
use onrush_core::input::Input;

/// What this core is to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fault {
    #[cfg(debug_assertions)]
    at_ready: bool,
    #[cfg(debug_assertions)]
    at_opened: bool,
}

impl Fault {
    /// For the core of this name.
    #[cfg(debug_assertions)]
    pub(super) fn of(core: &str) -> Self {
        let wanted = std::env::var("ONRUSH_FAULT_PANIC").unwrap_or_default();
        let wanted = wanted.split_once(':');
        let is = |moment| wanted == Some((core, moment));
        Self {
            at_ready: is("ready"),
            at_opened: is("opened"),
        }
    }

    /// Nothing, whatever the environment says.
    #[cfg(not(debug_assertions))]
    pub(super) fn of(_core: &str) -> Self {
        Self::default()
    }

    /// The core is about to take this input.
    #[cfg(debug_assertions)]
    pub(super) fn on_input(self, input: &Input) {
        let strikes = self.at_opened && matches!(input, Input::Opened { .. });
        assert!(!strikes, "a fault that a test asked for");
    }

    /// See above.
    #[cfg(not(debug_assertions))]
    pub(super) fn on_input(self, _input: &Input) {}

    /// The core is about to tell this.
    #[cfg(debug_assertions)]
    pub(super) fn on_note(self, note: &Note) {
        let strikes = self.at_ready && *note == Note::Ready;
        assert!(!strikes, "a fault that a test asked for");
    }

    /// See above.
    #[cfg(not(debug_assertions))]
    pub(super) fn on_note(self, _note: &Note) {}
}
