//! What one upload costs, step by step: decoding it, deciding it, closing its day, writing its state down.
//!
//! Each figure is for one upload of 24 hours and a daily total. Absolute figures move with the machine; compare in one run.

use std::hint::black_box;
use std::time::{Duration, Instant as Moment};

use ayumi_benches::{Nothing, engine, first_day, samples, upload};
use criterion::{Criterion, criterion_group, criterion_main};
use pipeline::engine::{Effects, Engine, Input};
use pipeline::state::Changes;
use schemas::Scratch;

const MEMBERS: usize = 500;
const DAYS: i32 = 40;

fn decode(criterion: &mut Criterion) {
    let samples = samples(first_day(), 1);
    let mut payload = Vec::new();
    schemas::encode_upload(&upload("m-00001", first_day(), &samples), &mut payload);
    let mut scratch = Scratch::default();
    criterion.bench_function("decode an upload (Avro)", |bencher| {
        bencher.iter(|| black_box(scratch.decode_avro(black_box(&payload)).is_ok()));
    });
}

/// Which part of a season is timed.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Apply,
    Close,
    Stage,
}

/// Runs a season of `MEMBERS` and gives the time that one part took for one upload.
fn season(members: &[String], part: Part) -> Duration {
    let mut engine: Engine = engine(members);
    let (store, mut effects, mut changes) = (Nothing, Effects::default(), Changes::default());
    let mut spent = Duration::ZERO;
    for day in 0..DAYS {
        let date = first_day().plus_days(day);
        let days: Vec<_> = (0..members.len()).map(|salt| samples(date, salt as i64 + i64::from(day))).collect();
        let mut timed = |of: Part, work: &mut dyn FnMut()| {
            let began = Moment::now();
            work();
            spent += if of == part { began.elapsed() } else { Duration::ZERO };
        };
        timed(Part::Apply, &mut || {
            for (member, samples) in members.iter().zip(&days) {
                let applied =
                    engine.apply(&Input::Upload(upload(member, date, samples)), &Vec::new, &store, &mut effects);
                assert!(applied.is_ok());
            }
        });
        timed(Part::Close, &mut || {
            let closed = engine.apply(&Input::DayClosed { date, parked_wait: false }, &Vec::new, &store, &mut effects);
            assert!(closed.is_ok());
            while !engine.close_some(1_000, &store, &mut effects).unwrap_or(true) {}
        });
        timed(Part::Stage, &mut || {
            engine.stage(&mut changes);
        });
        effects = Effects::default();
    }
    spent / (members.len() as u32 * DAYS as u32)
}

fn decide(criterion: &mut Criterion) {
    let members: Vec<String> = (0..MEMBERS).map(|member| format!("m-{member:05}")).collect();
    for (name, part) in
        [("apply an upload", Part::Apply), ("close a member's day", Part::Close), ("stage its state", Part::Stage)]
    {
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                // A season is many uploads: a few of them give a figure, however many are asked for.
                season(&members, part) * u32::try_from(iterations).unwrap_or(u32::MAX)
            });
        });
    }
}

criterion_group! {
    name = core;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = decode, decide
}
criterion_main!(core);
