//! Decides what goes wrong in a town, and how often.
//!
//! One list gives each trouble its name, its rate and its place among the counts. How a trouble is made is left to
//! [`super::mishap`] and [`super::delivery`]; what is right to do about it, to the core.

/// From one list: the kinds, the struct of their rates, and the table between the two.
macro_rules! troubles {
    ($($(#[$doc:meta])+ $kind:ident, $rate:ident = $share:literal;)+) => {
        /// Something that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Trouble { $($(#[$doc])+ $kind,)+ }

        /// How often each thing goes wrong: a share from 0 to 1 of what its sentence begins with. A sync is one opening
        /// of the app, or one touch of a reader, that has new days to send.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Troubles { $($(#[$doc])+ pub $rate: f64,)+ }

        impl Troubles {
            /// A town in which nothing goes wrong but what devices do by themselves (see [`super::walk`]).
            pub fn none() -> Self {
                Troubles { $($rate: 0.0,)+ }
            }

            /// The rate of one kind.
            pub fn share(&self, trouble: Trouble) -> f64 {
                match trouble { $(Trouble::$kind => self.$rate,)+ }
            }
        }

        impl Default for Troubles {
            fn default() -> Self {
                Troubles { $($rate: $share,)+ }
            }
        }

        impl Trouble {
            /// Every kind.
            pub const ALL: &'static [Trouble] = &[$(Trouble::$kind,)+];
        }
    };
}

troubles! {
    /// Members: enrolled in mid-season.
    EnrolledLate, enrolled_late_share = 0.04;
    /// Members: the first uploads come up to 20 days before the enrolment does.
    UploadedBeforeEnrolment, uploaded_before_enrolment_share = 0.01;
    /// Members: as many people again upload and never enrol.
    NeverEnrolled, never_enrolled_share = 0.008;
    /// Members: the enrolment comes twice, the same record.
    EnrolmentRepeated, enrolment_repeated_share = 0.01;
    /// Members: a second enrolment under another id.
    EnrolledTwice, enrolled_twice_share = 0.005;
    /// App members with a band or watch: a phone counts beside it.
    TwoDevices, two_devices_share = 0.15;
    /// Health Kit members: the phone's own total over all its sources comes too.
    MergedTotals, merged_totals_share = 0.25;
    /// Members: days before the season are sent.
    BeforeSeason, before_season_share = 0.03;
    /// Members: days after the season are sent.
    AfterSeason, after_season_share = 0.03;
    /// Members: the last sync comes after the last transmission day.
    AfterLastTransmission, after_last_transmission_share = 0.03;
    /// Syncs: the upload comes twice, the same record.
    Repeated, repeated_share = 0.03;
    /// Syncs: the last 30 days are sent again.
    MonthAgain, month_again_share = 0.005;
    /// Syncs: a day already sent is corrected upward.
    CorrectedUp, corrected_up_share = 0.012;
    /// Syncs: a day already sent is corrected downward.
    CorrectedDown, corrected_down_share = 0.008;
    /// Syncs: a day is corrected and its old version comes days later.
    OldVersionLate, old_version_late_share = 0.002;
    /// Syncs: a sample already sent is deleted by its id alone (sources with sample ids).
    DeletedById, deleted_by_id_share = 0.002;
    /// Syncs: all samples of a day already sent are deleted.
    DeletedDay, deleted_day_share = 0.001;
    /// Syncs: a sample is deleted that never came.
    DeletedUnknown, deleted_unknown_share = 0.001;
    /// Syncs: a sample is deleted before it comes.
    DeletedBefore, deleted_before_share = 0.0005;
    /// Syncs: the upload waits in a queue for 1 to 29 days and keeps its login.
    Queued, queued_share = 0.006;
    /// Syncs: the upload waits in a queue for 31 to 45 days, longer than Kunitachi allows.
    QueuedTooLong, queued_too_long_share = 0.0005;
    /// Syncs: one of the days is left out and sent 2 to 45 days later.
    DayLeftOut, day_left_out_share = 0.015;
    /// Syncs: steps are entered by hand.
    Manual, manual_share = 0.003;
    /// Syncs: a sample runs across midnight.
    AcrossMidnight, across_midnight_share = 0.005;
    /// Syncs: an interval overlaps two others of its source.
    Overlapping, overlapping_share = 0.005;
    /// Syncs: a day of 150,000 steps.
    ImplausibleDay, implausible_day_share = 0.0004;
    /// Syncs: 90,000 steps in an hour.
    ImplausibleHour, implausible_hour_share = 0.0004;
    /// Syncs: steps below zero.
    NegativeSteps, negative_steps_share = 0.0004;
    /// Syncs: an interval that ends before it starts.
    EndBeforeStart, end_before_start_share = 0.0004;
    /// Syncs: a sample of the year 9999.
    FarFuture, far_future_share = 0.0003;
    /// Syncs: the phone's clock is two hours fast, so that the login is after the receipt.
    ClockFast, clock_fast_share = 0.0003;
    /// Syncs: sent for a programme that does not exist.
    UnknownProgramme, unknown_programme_share = 0.0003;
    /// Syncs: a line of bytes that is no record.
    Malformed, malformed_share = 0.0005;
}

/// How often each thing has gone wrong so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubleCounts([u64; Trouble::ALL.len()]);

impl Default for TroubleCounts {
    fn default() -> Self {
        TroubleCounts([0; Trouble::ALL.len()])
    }
}

impl TroubleCounts {
    /// How often this has gone wrong.
    pub fn of(&self, trouble: Trouble) -> u64 {
        self.0[trouble as usize]
    }

    /// Every kind with its count, in the order of [`Trouble::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Trouble, u64)> + '_ {
        Trouble::ALL.iter().map(|&trouble| (trouble, self.of(trouble)))
    }

    pub(super) fn add(&mut self, trouble: Trouble) {
        self.0[trouble as usize] += 1;
    }
}
