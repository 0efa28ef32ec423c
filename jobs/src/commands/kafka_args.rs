//! Decides how a command line names a cluster: the configuration file, and what goes before it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::kafka::config::{Config, ConfigError};

/// Where Kafka is, and how to use it.
#[derive(Args, Clone, Debug, Default)]
pub struct KafkaArgs {
    /// Configuration file [default: ayumi.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Brokers to ask first, HOST:PORT with commas between
    #[arg(long, value_name = "LIST")]
    brokers: Option<String>,
    /// What the names of all topics begin with
    #[arg(long, value_name = "TEXT")]
    topic_prefix: Option<String>,
    /// The award workers' consumer group
    #[arg(long, value_name = "NAME")]
    group_id: Option<String>,
    /// Which worker of the group this is, the same after a restart
    #[arg(long, value_name = "NAME")]
    instance_id: Option<String>,
}

impl KafkaArgs {
    /// Whether the command line names a cluster: one that a file or the environment names is not meant by every command.
    pub const fn is_given(&self) -> bool {
        self.brokers.is_some() || self.config.is_some()
    }

    /// The configuration that the file, the environment and these flags make.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let usual = Path::new("ayumi.toml");
        let file = self.config.as_deref().or_else(|| usual.exists().then_some(usual));
        let flags = [
            ("kafka.brokers", &self.brokers),
            ("kafka.topic_prefix", &self.topic_prefix),
            ("kafka.group_id", &self.group_id),
            ("kafka.instance_id", &self.instance_id),
        ];
        let flags: Vec<(&'static str, String)> =
            flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
        Config::load(file, &flags)
    }
}
