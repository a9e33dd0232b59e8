//! Safety rules that a test can take away.
//!
//! A rule that keeps data safe is written `rule!(NAME, condition)`: "the condition is demanded, as long as the rule stands". Without the cargo
//! feature `mutants` the rule always stands and the macro is the condition. With it, the simulator removes one rule by name
//! and must then find a history that breaks a promise: that is how we know that its checkers see what the rule prevents.

/// `rule!(NAME, condition)`: true if the condition holds or the rule NAME was removed by a mutant.
/// `rule!(NAME)`: true while the rule stands.
#[macro_export]
macro_rules! rule {
    ($name:ident) => {
        $crate::rule::stands(stringify!($name))
    };
    ($name:ident, $condition:expr) => {
        !$crate::rule::stands(stringify!($name)) || $condition
    };
}

#[cfg(feature = "mutants")]
thread_local! {
    static REMOVED: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// True while the rule stands.
#[cfg(feature = "mutants")]
#[must_use]
pub fn stands(name: &str) -> bool {
    REMOVED.get() != Some(name)
}

/// True: without mutants every rule stands.
#[cfg(not(feature = "mutants"))]
#[inline]
#[must_use]
pub const fn stands(_name: &str) -> bool {
    true
}

/// Removes one rule on this thread, or none again.
#[cfg(feature = "mutants")]
pub fn remove(name: Option<&'static str>) {
    REMOVED.set(name);
}
