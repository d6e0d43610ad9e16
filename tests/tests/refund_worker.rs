//! The example of a payment worker: the first worker crashes, the provider loses replies, and each
//! refund is paid once all the same.

use std::process::Command;

use belay_tests::process::{Running, built};
use belay_tests::run;

#[test]
fn each_refund_is_paid_once_over_a_crash_and_lost_replies() {
    run(async |t| {
        let mut example = Command::new(built("examples/refund_worker"));
        example
            .env_clear()
            .env("BELAY_ADDRESS", format!("http://{}", t.address()));
        let (status, said) = Running::start(example).end().await;
        assert!(status.success(), "{said}");
        assert!(said.contains("worker-1 crashes"), "{said}");

        // The example knows what its provider paid; the database knows what came of it.
        let counts = "SELECT COUNT(*), CAST(COALESCE(SUM(state = 'SETTLED'), 0) AS UNSIGNED) \
            FROM refunds";
        let (refunds, settled): (u64, u64) = t.database.row(counts, ()).await;
        assert!(refunds > 0, "{said}");
        assert_eq!(settled, refunds, "{said}");
        let once = format!("{refunds} refunds are settled and were paid once");
        assert!(said.contains(&once), "{said}");
    });
}
