//! The laws, by name, over random histories. A failure prints the history, shrunk; run it again with `PROPTEST_SEED` unset.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::support::Random;
use crate::support::core::Core;
use crate::support::history::{history, in_order};

fn run(lines: &[String]) -> Core {
    Core::new().run(lines.iter().map(String::as_str))
}

/// Days with steps: a day whose samples were all deleted before they came is not heard of in every order.
fn walked(core: &Core) -> Vec<String> {
    core.totals.iter().filter(|&(_, &steps)| steps > 0).map(|(day, steps)| format!("{day:?}: {steps}")).collect()
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::with_cases(count)
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn law_2_any_order_and_any_repetition_end_in_an_equal_ledger(lines in history(), seed in any::<u64>()) {
        let core = run(&in_order(&lines));
        let mut other = lines.clone();
        let mut random = Random(seed);
        for line in &lines {
            if random.below(5) == 0 {
                other.push(line.clone());
            }
        }
        random.shuffle(&mut other);
        let mut shuffled = Core::new();
        shuffled.cache_bytes_max = if random.below(2) == 0 { 0 } else { usize::MAX };
        shuffled.commit_every = 1 + random.below(20);
        let shuffled = shuffled.run(other.iter().map(String::as_str));
        prop_assert_eq!(core.equality(), shuffled.equality());
        prop_assert_eq!(walked(&core), walked(&shuffled));
    }

    #[test]
    fn laws_3_and_5_hold_in_any_order(lines in history(), seed in any::<u64>()) {
        let mut shuffled = lines;
        Random(seed).shuffle(&mut shuffled);
        let core = run(&shuffled);
        core.check_ledger();
        core.check_accounting();
    }

    #[test]
    fn law_7_a_core_restored_from_its_state_posts_the_same_rows(lines in history(), seed in any::<u64>()) {
        let lines = in_order(&lines);
        let undisturbed = run(&lines);
        let mut restarted = Core::new();
        let mut random = Random(seed);
        for line in &lines {
            restarted.line(line);
            if random.below(4) == 0 {
                restarted.restart();
            }
        }
        restarted.restart();
        restarted.finish();
        prop_assert_eq!(&undisturbed.entries, &restarted.entries);
    }
}
