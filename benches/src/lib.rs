//! A town of uploads for the benchmarks: one a member and day, 24 hours and a daily total each, made once before timing.

use std::sync::Arc;

use pipeline::calendar::{CivilDate, Instant};
use pipeline::engine::{Effects, Engine, Input};
use pipeline::fact::{
    Channel, DeviceKind, MemberChange, MemberOperation, Operation, Recording, Sample, SampleTime, Source, Upload,
};
use pipeline::state::{Fault, Store, Visit};

/// A store without anything in it: what is decided stays in the engine's cache.
#[derive(Debug, Default)]
pub struct Nothing;

impl Store for Nothing {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }

    fn scan(&self, _: &[u8], _: &mut Visit<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

/// The first day of the uploads.
pub fn first_day() -> CivilDate {
    CivilDate::from_epoch_days(20_241) // 2025-06-02
}

/// The samples of one day.
pub fn samples(date: CivilDate, salt: i64) -> Vec<Sample<'static>> {
    let hour = |hour: i64| Instant::from_epoch_millis(date.start().epoch_millis() + hour * 3_600_000);
    let sample = |time, steps| Sample {
        time,
        steps,
        recording: Recording::Automatic,
        operation: Operation::Upsert,
        id: "",
        version: 0,
        modified_at: None,
    };
    let hours =
        (0..24).map(|h| sample(SampleTime::Interval { start: hour(h), end: hour(h + 1) }, (h * 37 + salt * 11) % 800));
    let mut samples: Vec<_> = hours.collect();
    samples.push(sample(SampleTime::DailyTotal(date), 8_000 + salt * 13 % 3_000));
    samples
}

/// An upload of these samples, received the next morning.
pub fn upload<'a>(member: &'a str, date: CivilDate, samples: &'a [Sample<'a>]) -> Upload<'a> {
    let received_at = Instant::from_epoch_millis(date.plus_days(1).start().epoch_millis() + 25_200_000);
    Upload {
        id: "u-00001-001",
        programme: "kunitachi",
        member,
        received_at,
        login_at: Some(received_at),
        channel: Channel::App,
        source: Source { platform: "FITBIT", origin: "app", device: "band", device_kind: DeviceKind::Watch },
        samples,
    }
}

/// An engine with Kunitachi published and these members enrolled.
pub fn engine(members: &[String]) -> Engine {
    let source = include_str!("../../programmes/kunitachi/programme.toml");
    let programme = schemas::programme_file::parse(source).unwrap_or_else(|problems| panic!("{problems:?}"));
    let (store, mut effects) = (Nothing, Effects::default());
    let mut engine = Engine::restore(&store, &mut |_| Err(Fault("nothing is stored".into()))).unwrap_or_default();
    let mut apply = |input: Input<'_>| {
        let applied = engine.apply(&input, &Vec::new, &store, &mut effects);
        assert!(applied.is_ok() && effects.rejections.is_empty(), "{applied:?} {:?}", effects.rejections);
    };
    apply(Input::Programme { programme: Arc::new(programme), source });
    let enrolled_on = first_day().plus_days(-30);
    for member in members {
        apply(Input::Member(MemberChange {
            id: "enrol",
            programme: "kunitachi",
            member,
            received_at: enrolled_on.start(),
            operation: MemberOperation::Enrol,
            operation_name: "ENROL",
            effective_on: enrolled_on,
            birth_date: CivilDate::from_ymd(1960, 5, 1),
        }));
    }
    engine
}
