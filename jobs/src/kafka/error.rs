//! Decides which of Kafka's errors pass by themselves, which need an operator, and what the operator is told.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

use crate::transport::TransportError;

use super::client::ClientError;

/// Why a worker stopped. What was committed stays; what was not has not happened.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The cluster does not let it in, or no client can be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The topics are not as they must be.
    #[error("{0}; `ayumi topics create` shows what is missing")]
    Topics(String),
    /// Another worker has taken its place in the group.
    #[error(
        "another worker has the instance id {0}: stop one of them, or give each an id of its own (kafka.instance_id)"
    )]
    Replaced(String),
    /// Records were deleted before they were read.
    #[error(
        "input records were deleted before they were processed: {0}; restore them from a copy, or accept the loss by moving \
         the group's offsets, and keep them for longer (kafka.retention_days.inputs)"
    )]
    InputLost(String),
    /// The cluster refuses something that trying again does not mend.
    #[error("{doing}: {source}; {remedy}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What the cluster says.
        source: KafkaError,
        /// What would help.
        remedy: &'static str,
    },
    /// The client library can't go on.
    #[error("{doing}: {source}")]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// What it says.
        source: KafkaError,
    },
    /// The local state. The changelog has it all.
    #[error("{0}; if the folder is damaged, remove it: the state is restored from the changelog")]
    State(#[from] TransportError),
    /// The folder of the local state.
    #[error("the state folder {path} can't be used: {source}; check its owner and the room on its disk")]
    Folder {
        /// The folder.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The processing.
    #[error("partition {partition} can't be processed: {source}")]
    Processing {
        /// The partition.
        partition: i32,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system has no thread left.
    #[error("a thread can't be started: {0}; allow this user more processes")]
    Thread(std::io::Error),
}

/// Whether an error goes away by itself: a broker that is away, a coordinator that moves.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::TimedOutQueue
                | Code::RequestTimedOut
                | Code::WaitingForCoordinator
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::BrokerNotAvailable
                | Code::ReplicaNotAvailable
                | Code::NetworkException
                | Code::UnstableOffsetCommit
                | Code::RebalanceInProgress
                | Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::PollExceeded
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::OffsetNotAvailable
                | Code::KafkaStorageError
                | Code::InProgress
                | Code::PreviousInProgress
                | Code::Outdated
                | Code::State
        )
    )
}

/// What would help where trying again does not.
pub(super) fn remedy(error: &KafkaError) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code()? {
        Code::TopicAuthorizationFailed => Some("let this user read the input topics and the changelog"),
        Code::GroupAuthorizationFailed => Some("let this user read the consumer group"),
        Code::ClusterAuthorizationFailed => Some("let this user describe the cluster"),
        Code::InvalidSessionTimeout => Some(
            "set session.timeout.ms under [kafka.librdkafka] within the brokers' group.min.session.timeout.ms and max",
        ),
        Code::InconsistentGroupProtocol => {
            Some("another program or version is in the consumer group: stop it, or set another kafka.group_id")
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            Some("make the missing topics with `ayumi topics create`")
        }
        _ => None,
    }
}
