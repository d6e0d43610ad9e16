#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belay_server::auth::key_file::fuzz(data));
