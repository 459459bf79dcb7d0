//! A journal as it is, and with the checksums of its header and first record made to fit, so that what lies behind them is reached too.
#![no_main]

use fitjob::state::journal::{self, HEADER, Head};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let content = journal::read(bytes);
    // What was read is written to the same bytes again.
    if let Some(head) = content.head {
        let mut again = journal::header(head).to_vec();
        for evaluation in &content.evaluations {
            let at = again.len() as u64;
            journal::encode(&mut again, head, at, evaluation);
        }
        assert_eq!(again.len(), bytes.len().min(again.len()));
    }
    let head = Head { number: 1, job: [0; 16] };
    let mut fitting = journal::header(head).to_vec();
    fitting.extend((bytes.len() as u32).to_le_bytes());
    let covered = [&head.job[..], &1u64.to_le_bytes(), &(HEADER as u64).to_le_bytes(), &fitting[HEADER..], bytes].concat();
    fitting.extend(crc32fast::hash(&covered).to_le_bytes());
    fitting.extend_from_slice(bytes);
    journal::read(&fitting);
});
