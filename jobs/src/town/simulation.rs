//! Decides when each person of the town sends, and yields what they send in the order in which it is received.
//!
//! The town is an agenda: one next sync per person, and what is on its way. Nothing else waits, so that a season takes
//! the memory of a day. Who the people are is [`super::person`]'s, what goes wrong [`super::mishap`]'s and what an upload
//! says [`super::delivery`]'s.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::Channel;

use super::delivery::{Change, Content, Delivery, Writer};
use super::mishap::malformed_line;
use super::person::{Course, Habit, Person, STRANGERS_FROM, time_on};
use super::random::Random;
use super::record::{OwnedMember, RecordSource, TownRecord, write_name};
use super::trouble::{Trouble, TroubleCounts, Troubles};

/// What makes a town.
#[derive(Clone, Debug, PartialEq)]
pub struct TownConfig {
    /// The same seed gives the same records.
    pub seed: u64,
    /// How many people enrol, at most 900,000.
    pub members: u32,
    /// The programme's id.
    pub programme: String,
    /// The first day of the season.
    pub season_first_day: CivilDate,
    /// The last day of the season.
    pub season_last_day: CivilDate,
    /// The last day on which data may come.
    pub last_transmission_day: CivilDate,
    /// What goes wrong, and how often.
    pub troubles: Troubles,
}

impl TownConfig {
    /// Kunitachi's season of fiscal year 2025 (KU-01, KU-02) with the usual troubles.
    pub fn kunitachi(seed: u64, members: u32) -> Self {
        // 2025-06-02, 2025-12-20 and 2025-12-26; a test holds them to these dates.
        let [season_first_day, season_last_day, last_transmission_day] =
            [20_241, 20_442, 20_448].map(CivilDate::from_epoch_days);
        let (programme, troubles) = ("kunitachi".to_owned(), Troubles::default());
        TownConfig { seed, members, programme, season_first_day, season_last_day, last_transmission_day, troubles }
    }
}

/// A simulated town: its records in order of `received_at`, a function of its configuration alone.
///
/// Each person's records depend on the seed, the season and that person only: a town of 100 has every record of the
/// town of 50 with the same seed.
#[derive(Debug)]
pub struct Town {
    pub(super) config: TownConfig,
    pub(super) residents: Vec<Resident>,
    agenda: BinaryHeap<Reverse<Appointment>>,
    pub(super) made: TroubleCounts,
    received_at: Instant,
}

/// A person and how far they have come.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) person: Person,
    pub(super) random: Random,
    /// The first day that has not been sent whole.
    pub(super) next_day: CivilDate,
    pub(super) uploads: u32,
    pub(super) changes: Vec<Change>,
    appointments: u32,
}

/// What happens at some instant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// An enrolment is received: the first, a repeat, or a second under another id.
    Enrolment { is_second: bool },
    /// The app is opened or a reader touched.
    Sync,
    /// An upload is received.
    Delivery(Delivery),
    /// Bytes that are no record are received.
    Malformed { form: u32 },
}

/// An event of one person. Ordered by time; at one time by person and then in the order of making, so that people do
/// not depend on each other.
#[derive(Debug)]
struct Appointment {
    at: Instant,
    resident: u32,
    number: u32,
    event: Event,
}

impl Appointment {
    fn key(&self) -> (Instant, u32, u32) {
        (self.at, self.resident, self.number)
    }
}

impl PartialEq for Appointment {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Appointment {}
impl PartialOrd for Appointment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Appointment {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// So many seconds later.
pub(super) fn seconds_after(at: Instant, seconds: i64) -> Instant {
    Instant::from_epoch_millis(at.epoch_millis() + seconds * 1000)
}

impl Town {
    /// A town before its first record.
    pub fn new(config: TownConfig) -> Self {
        let strangers = (f64::from(config.members) * config.troubles.never_enrolled_share) as u32;
        let numbers = (1..=config.members.min(STRANGERS_FROM - 1)).chain((0..strangers).map(|n| STRANGERS_FROM + n));
        let mut made = TroubleCounts::default();
        let residents = numbers.map(|number| Resident::new(Person::new(&config, number, &mut made))).collect();
        let received_at = Instant::from_epoch_millis(0);
        let mut town = Town { config, residents, agenda: BinaryHeap::new(), made, received_at };
        for resident in 0..town.residents.len() {
            town.settle(resident);
        }
        town
    }

    /// When the record yielded last was received, also where it is raw bytes that do not say so.
    pub fn received_at(&self) -> Instant {
        self.received_at
    }

    /// What has gone wrong so far. An upload on its way counts when it is sent off.
    pub fn troubles_made(&self) -> &TroubleCounts {
        &self.made
    }

    /// Draws whether something goes wrong, and counts it if so.
    pub(super) fn draw(&mut self, resident: usize, trouble: Trouble) -> bool {
        let share = self.config.troubles.share(trouble);
        let drawn = self.residents[resident].random.chance(share);
        if drawn {
            self.made.add(trouble);
        }
        drawn
    }

    /// Puts an event of a person on the agenda.
    pub(super) fn plan(&mut self, resident: usize, at: Instant, event: Event) {
        let number = self.residents[resident].appointments;
        self.residents[resident].appointments += 1;
        self.agenda.push(Reverse(Appointment { at, resident: resident as u32, number, event }));
    }

    /// Plans a person's enrolment and first sync.
    fn settle(&mut self, resident: usize) {
        if let Some(at) = self.residents[resident].person.enrolled_at {
            self.plan(resident, at, Event::Enrolment { is_second: false });
            if self.draw(resident, Trouble::EnrolmentRepeated) {
                self.plan(resident, seconds_after(at, 90), Event::Enrolment { is_second: false });
            }
            if self.draw(resident, Trouble::EnrolledTwice) {
                self.plan(resident, seconds_after(at, 3 * 86_400), Event::Enrolment { is_second: true });
            }
        } else {
            self.made.add(Trouble::NeverEnrolled);
        }
        let day_before = self.residents[resident].person.data_first_day.plus_days(-1);
        self.plan_sync(resident, day_before);
    }

    /// Plans the sync after the one of `today`, unless all has been sent or it would come too late.
    fn plan_sync(&mut self, resident: usize, today: CivilDate) {
        let Resident { person, random, next_day, .. } = &mut self.residents[resident];
        if *next_day > person.data_last_day {
            return;
        }
        let (days, from, to) = match (person.habit, person.course) {
            (Habit::Mornings, _) => (1, 5 * 60 + 30, 10 * 60),
            (Habit::Evenings, _) => (1, 18 * 60, 22 * 60 + 30),
            (Habit::Every { days_min, days_max }, Course::App) => (random.between(days_min, days_max), 6 * 60, 12 * 60),
            (Habit::Every { days_min, days_max }, Course::Meter) => {
                (random.between(days_min, days_max), 9 * 60, 20 * 60)
            }
        };
        let mut date = today.plus_days(days.max(1));
        let last = self.config.last_transmission_day;
        if date > person.data_last_day && person.finishes_too_late && today <= last {
            date = last.plus_days(random.between(1, 8));
        } else if date > last && today < last && !person.finishes_too_late {
            // Those who have put it off send before the deadline after all.
            date = today.plus_days(random.between(1, last.days_since(today)));
        } else if date > last && today >= last {
            return;
        }
        let at = time_on(date, random, from, to);
        self.plan(resident, at, Event::Sync);
    }

    /// Someone opens the app or touches a reader.
    fn sync(&mut self, resident: usize, at: Instant) {
        let today = at.civil_date();
        let Resident { person, next_day, .. } = &self.residents[resident];
        let includes_today = person.habit == Habit::Evenings;
        let last = today.plus_days(i32::from(includes_today) - 1).min(person.data_last_day);
        let first = *next_day;
        if first <= last {
            self.send(resident, at, first, last);
            self.residents[resident].next_day = today.min(last.plus_days(1));
        }
        self.plan_sync(resident, today);
    }

    /// A delivery of this person, made now.
    pub(super) fn delivery(&mut self, resident: usize, at: Instant, content: Content) -> Delivery {
        let Resident { person, random, uploads, .. } = &mut self.residents[resident];
        *uploads += 1;
        let channel = match person.course {
            Course::App => Channel::App,
            Course::Meter if random.below(10) < 7 => Channel::Reader,
            Course::Meter => Channel::Loppi,
        };
        Delivery {
            upload_number: *uploads,
            // A shop terminal only sends; it has no login of its own.
            login_at: (channel != Channel::Loppi).then_some(at),
            as_of: at,
            channel,
            from_phone: false,
            programme_unknown: false,
            content,
        }
    }

    fn write_member(&self, resident: usize, received_at: Instant, is_second: bool) -> OwnedMember {
        let person = &self.residents[resident].person;
        let (mut id, mut member) = (String::new(), String::new());
        write_name(&mut id, if is_second { "enrol-again-m-" } else { "enrol-m-" }, person.number, 4);
        write_name(&mut member, "m-", person.number, 4);
        OwnedMember {
            id,
            programme: self.config.programme.clone(),
            member,
            received_at,
            effective_on: person.enrolled_at.unwrap_or(received_at).civil_date(),
            birth_date: person.birth_date,
            sex: person.sex,
            course: if person.course == Course::App { "APP" } else { "METER" },
        }
    }
}

impl Resident {
    fn new(person: Person) -> Self {
        let random = person.random(5, person.birth_date);
        let next_day = person.data_first_day;
        Resident { person, random, next_day, uploads: 0, changes: Vec::new(), appointments: 0 }
    }
}

impl RecordSource for Town {
    fn next_into(&mut self, record: &mut TownRecord) -> bool {
        while let Some(Reverse(Appointment { at, resident, event, .. })) = self.agenda.pop() {
            let number = resident as usize;
            match event {
                Event::Sync => {
                    self.sync(number, at);
                    continue;
                }
                Event::Enrolment { is_second } => {
                    *record = TownRecord::Member(self.write_member(number, at, is_second))
                }
                Event::Malformed { form } => {
                    *record = TownRecord::Raw(malformed_line(
                        &self.config.programme,
                        self.residents[number].person.number,
                        form,
                    ));
                }
                Event::Delivery(delivery) => {
                    let Resident { person, changes, .. } = &self.residents[number];
                    let writer = Writer { person, changes, delivery, upload: record.upload_mut() };
                    writer.write(&self.config.programme, at);
                }
            }
            self.received_at = at;
            return true;
        }
        false
    }
}

impl Iterator for Town {
    type Item = TownRecord;

    fn next(&mut self) -> Option<TownRecord> {
        let mut record = TownRecord::empty();
        self.next_into(&mut record).then_some(record)
    }
}
