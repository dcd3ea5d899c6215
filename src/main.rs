//! The `highwater` binary: hands its arguments to the command line room and exits with its code.

fn main() -> std::process::ExitCode {
    highwater::cli::main()
}
