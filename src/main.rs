//! The program. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything can make a TLS configuration: with no provider installed, rustls panics at the first one.
    // It fails only when one is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    k0smotron_fleet::cli::main(std::env::args_os()).into()
}
