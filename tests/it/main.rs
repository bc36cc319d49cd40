//! Everything that talks to a real API server or runs the built program.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail, also in a helper of several tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod api_crds;
mod api_reference;
mod api_rules;
mod cli;
mod cli_adopt;
mod cli_ahead;
mod cli_canary;
mod cli_controller;
mod cli_convert;
mod cli_export;
mod cli_faults;
mod cli_files;
mod cli_fleet;
mod cli_git;
mod cli_identity;
mod cli_install;
mod cli_lock;
mod cli_offline;
mod cli_operator;
mod cli_protect;
mod cli_refusals;
mod cli_removed;
mod cli_render;
mod cli_rollout;
mod cli_run;
mod cli_saved;
mod cli_shown;
mod cli_ssh;
mod cli_status;
mod cli_wait;
mod cli_writers;
mod demo;
mod docs_ci;
mod docs_example;
mod docs_transcripts;
mod engine_apply;
mod engine_client;
mod engine_hosted;
mod fields;
mod files_hostile;
mod files_paths;
mod golden_composed;
mod golden_fields;
mod golden_findings;
mod hosted_real;
mod members;
mod operator;
mod patches;
mod previous_build;
mod render_differs;
mod render_golden;
mod schemas;
mod server_election;
mod server_probes;
mod support_answer;
mod support_program;
mod support_proxy;
mod support_real;
mod support_servers;
mod support_watchdog;
mod sync;
mod truth;
