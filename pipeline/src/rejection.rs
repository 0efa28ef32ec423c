//! Decides the reasons for which a fact is refused. Their codes are public: operators' scripts depend on them.
//!
//! A refusal is data, never an error: it is counted, kept with the original bytes, and the rest of the upload goes on.

use crate::calendar::CivilDate;

/// Why a fact was refused. In descending order of precedence where several would apply to one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectionReason {
    /// Larger than a record may be; the first 64 KiB, the length and the SHA-256 are kept.
    RecordTooLarge,
    /// Not a record: broken JSON or Avro, a wrong type, an unknown schema, invalid UTF-8, a missing field.
    Malformed,
    /// A record type that this version does not process.
    UnsupportedRecordType,
    /// No programme of this id has been published.
    UnknownProgramme,
    /// No enrolment came in time.
    UnknownMember,
    /// A change of a member that this version does not process.
    UnsupportedOperation,
    /// The programme's rules depend on age and the enrolment has no birth date.
    BirthDateMissing,
    /// The id was used for another record; the one received first counts.
    IdReused,
    /// The member is enrolled already; the enrolment received first counts.
    AlreadyEnrolled,
    /// `login_at` lies after `received_at`.
    LoginAfterReceipt,
    /// `received_at` trails `login_at` by more than the programme allows.
    ArrivalLimit,
    /// A sample without the times that its kind needs.
    SampleTimeMissing,
    /// A date before 2000 or after 2099.
    DateOutOfRange,
    /// An interval that does not end after its start, or lasts more than a day.
    IntervalInvalid,
    /// Steps below zero.
    NegativeSteps,
    /// More steps than the programme holds possible.
    Implausible,
    /// A day after the arrival date.
    ActivityAfterArrival,
    /// A day after the login that brought it, where the backfill limit counts from the login.
    ActivityAfterLogin,
    /// A day before the season.
    SeasonNotStarted,
    /// A day after the season, or data that came after its last transmission date.
    SeasonOver,
    /// A day further back than the backfill limit (IW-08).
    BackfillLimit,
}

impl RejectionReason {
    /// All reasons, in order of precedence.
    pub const ALL: [RejectionReason; 21] = [
        RejectionReason::RecordTooLarge,
        RejectionReason::Malformed,
        RejectionReason::UnsupportedRecordType,
        RejectionReason::UnknownProgramme,
        RejectionReason::UnknownMember,
        RejectionReason::UnsupportedOperation,
        RejectionReason::BirthDateMissing,
        RejectionReason::IdReused,
        RejectionReason::AlreadyEnrolled,
        RejectionReason::LoginAfterReceipt,
        RejectionReason::ArrivalLimit,
        RejectionReason::SampleTimeMissing,
        RejectionReason::DateOutOfRange,
        RejectionReason::IntervalInvalid,
        RejectionReason::NegativeSteps,
        RejectionReason::Implausible,
        RejectionReason::ActivityAfterArrival,
        RejectionReason::ActivityAfterLogin,
        RejectionReason::SeasonNotStarted,
        RejectionReason::SeasonOver,
        RejectionReason::BackfillLimit,
    ];

    /// The stable code: the same in the lake, in Avro, in metrics and in scenarios.
    pub const fn code(self) -> &'static str {
        match self {
            RejectionReason::RecordTooLarge => "RECORD_TOO_LARGE",
            RejectionReason::Malformed => "MALFORMED",
            RejectionReason::UnsupportedRecordType => "UNSUPPORTED_RECORD_TYPE",
            RejectionReason::UnknownProgramme => "UNKNOWN_PROGRAMME",
            RejectionReason::UnknownMember => "UNKNOWN_MEMBER",
            RejectionReason::UnsupportedOperation => "UNSUPPORTED_OPERATION",
            RejectionReason::BirthDateMissing => "BIRTH_DATE_MISSING",
            RejectionReason::IdReused => "ID_REUSED",
            RejectionReason::AlreadyEnrolled => "ALREADY_ENROLLED",
            RejectionReason::LoginAfterReceipt => "LOGIN_AFTER_RECEIPT",
            RejectionReason::ArrivalLimit => "ARRIVAL_LIMIT",
            RejectionReason::SampleTimeMissing => "SAMPLE_TIME_MISSING",
            RejectionReason::DateOutOfRange => "DATE_OUT_OF_RANGE",
            RejectionReason::IntervalInvalid => "INTERVAL_INVALID",
            RejectionReason::NegativeSteps => "NEGATIVE_STEPS",
            RejectionReason::Implausible => "IMPLAUSIBLE",
            RejectionReason::ActivityAfterArrival => "ACTIVITY_AFTER_ARRIVAL",
            RejectionReason::ActivityAfterLogin => "ACTIVITY_AFTER_LOGIN",
            RejectionReason::SeasonNotStarted => "SEASON_NOT_STARTED",
            RejectionReason::SeasonOver => "SEASON_OVER",
            RejectionReason::BackfillLimit => "BACKFILL_LIMIT",
        }
    }
}

/// A refused fact: a whole record, or one sample of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: RejectionReason,
    /// The index of the sample in its upload; `None` when the whole record is refused.
    pub sample: Option<u32>,
    /// The civil day that the fact is about, where it has one.
    pub activity_date: Option<CivilDate>,
    /// What was found and what would have been right.
    pub detail: String,
}
