//! The `sekisho` program.

/// Gives memory back to the system once a flood is over; glibc's keeps it (`tests/bench` has the numbers).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sekisho::cli::run()
}
