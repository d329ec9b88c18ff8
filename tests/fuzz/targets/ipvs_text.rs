//! The text form of commands and saved tables; what is read must print and read again alike.
#![no_main]

use kube_router::kernel::ipvs::object::Command;
use kube_router::kernel::ipvs::{parse_table, print_table};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(command) = text.parse::<Command>() {
        assert_eq!(command.to_string().parse(), Ok(command));
    }
    if let Ok(tables) = parse_table(text) {
        assert_eq!(parse_table(&print_table(&tables)), Ok(tables));
    }
});
