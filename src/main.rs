//! The `onrush` binary: everything is in the library.

/// What one core allocates for a message another one frees. The C library's allocator takes a lock for that, on the memory of the core
/// that allocated; this one leaves what others freed in a list without locks for its owner to find (`tests/futex` watches).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    onrush::cli::run(std::env::args_os())
}
