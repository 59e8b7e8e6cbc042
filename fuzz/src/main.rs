//! Every parser under libFuzzer; `ASSAY_FUZZ_TARGET` names the one of this run (see [`targets::TARGETS`]).
#![no_main]

mod derived;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<targets::Target> = OnceLock::new();

fuzz_target!(
    init: {
        if let Some(folders) = derived::wanted() {
            derived::write(&folders).expect("the seeds can be written");
            std::process::exit(0);
        }
    },
    |data: &[u8]| {
        TARGET.get_or_init(targets::chosen)(data);
    }
);
