//! Decides what the worker on Kafka is tried out with, in place of the award processing: counters whose every loss and
//! every repeat can be seen in the outputs.
//!
//! Each input record says whose it is and the how manyeth of that member on its topic. An entry carries the member's own
//! gapless sequence, which lies in the state. So state that is lost shows as a repeated number, state that was applied twice
//! as a gap, input that is lost or repeated as a refusal. What is clean is forgotten at each commit, so that the state
//! store is read all the time.

use std::collections::HashMap;

use jobs::kafka::partition::Processor;
use jobs::transport::{InputRecord, InputTopic, OutputTopic, Transaction};
use pipeline::state::{Fault, Store};

/// Counts per member, see above.
pub struct Counting {
    members: HashMap<String, Member>,
    /// Steps of the day's close that remain; state too.
    closing: u32,
    is_closing_changed: bool,
    outputs: Vec<(OutputTopic, String, String)>,
}

#[derive(Clone, Copy, Default)]
struct Member {
    sequence: u64,
    /// Of steps and of check-ins.
    counts: [u64; 2],
    is_dirty: bool,
}

/// Transactions that the close of a day takes.
pub const CLOSE_STEPS: u32 = 3;

const CLOSING_KEY: &[u8] = b"g";

impl Processor for Counting {
    type Settings = ();
    type Error = Fault;

    fn restore(_: i32, store: &dyn Store, (): &()) -> Result<Self, Fault> {
        let closing = store.get(CLOSING_KEY)?.map_or(0, |value| text(&value).parse().unwrap());
        Ok(Counting { members: HashMap::new(), closing, is_closing_changed: false, outputs: Vec::new() })
    }

    fn process(&mut self, record: &InputRecord<'_>, store: &dyn Store) -> Result<(), Fault> {
        let payload = text(record.payload);
        if record.topic == InputTopic::Clock {
            assert_eq!(self.closing, 0, "a record during a close");
            (self.closing, self.is_closing_changed) = (CLOSE_STEPS, true);
            self.outputs.push((OutputTopic::Notices, "clock".to_owned(), format!("{payload} begins")));
            return Ok(());
        }
        let (name, count) = payload.split_once(' ').unwrap();
        let count: u64 = count.parse().unwrap();
        if !self.members.contains_key(name) {
            let stored = store.get(&key(name))?.map_or_else(Member::default, |value| Member::read(text(&value)));
            self.members.insert(name.to_owned(), stored);
        }
        let member = self.members.get_mut(name).unwrap();
        let known = &mut member.counts[usize::from(record.topic == InputTopic::Checkins)];
        if count != *known + 1 {
            let refusal = format!("{payload} on {:?} after {known}", record.topic);
            self.outputs.push((OutputTopic::Rejections, name.to_owned(), refusal));
            return Ok(());
        }
        *known = count;
        member.sequence += 1;
        member.is_dirty = true;
        let entry = format!("{name} {}", member.sequence);
        self.outputs.push((OutputTopic::DailyTotals, name.to_owned(), entry.clone()));
        self.outputs.push((OutputTopic::Entries, name.to_owned(), entry));
        Ok(())
    }

    fn is_closing(&self) -> bool {
        self.closing > 0
    }

    fn close_some(&mut self, _: &dyn Store) -> Result<(), Fault> {
        self.closing -= 1;
        self.is_closing_changed = true;
        self.outputs.push((OutputTopic::Notices, "clock".to_owned(), format!("closed, {} to go", self.closing)));
        Ok(())
    }

    fn stage(&mut self, transaction: &mut Transaction) {
        transaction.clear();
        for (topic, key, payload) in self.outputs.drain(..) {
            transaction.outputs.push(topic, key.as_bytes(), |out| out.extend_from_slice(payload.as_bytes()));
        }
        for (name, member) in self.members.iter_mut().filter(|(_, member)| member.is_dirty) {
            member.is_dirty = false;
            let written = member.written();
            transaction.changes.put(|out| out.extend(key(name)), |out| out.extend_from_slice(written.as_bytes()));
        }
        if std::mem::take(&mut self.is_closing_changed) {
            let key = |out: &mut Vec<u8>| out.extend_from_slice(CLOSING_KEY);
            match self.closing {
                0 => transaction.changes.delete(key),
                steps => _ = transaction.changes.put(key, |out| out.extend_from_slice(steps.to_string().as_bytes())),
            }
        }
    }

    fn committed(&mut self) {
        self.members.retain(|_, member| member.is_dirty);
    }
}

impl Member {
    fn read(text: &str) -> Member {
        let mut numbers = text.split(' ').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Member { sequence: next(), counts: [next(), next()], is_dirty: false }
    }

    fn written(self) -> String {
        format!("{} {} {}", self.sequence, self.counts[0], self.counts[1])
    }
}

fn key(member: &str) -> Vec<u8> {
    [b"m", member.as_bytes()].concat()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
