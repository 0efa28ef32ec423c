//! Decides nothing but how the worker finds its topics' names and their numbers without looking them up for each record.

use crate::transport::{InputTopic, OutputTopic};

use super::config::KafkaConfig;

/// The compacted changelog of the award workers' state.
pub const CHANGELOG: &str = "ayumi.state.v1";

/// How many input topics there are.
pub const INPUTS: usize = InputTopic::ALL.len();

/// The names that the topics have on one cluster.
#[derive(Clone, Debug)]
pub struct TopicNames {
    inputs: [String; INPUTS],
    outputs: [String; OutputTopic::ALL.len()],
    changelog: String,
}

impl TopicNames {
    /// The names on a configured cluster.
    pub fn of(config: &KafkaConfig) -> Self {
        TopicNames {
            inputs: InputTopic::ALL.map(|topic| config.topic(topic.name())),
            outputs: OutputTopic::ALL.map(|topic| config.topic(topic.name())),
            changelog: config.topic(CHANGELOG),
        }
    }

    /// An input topic's name.
    pub fn input(&self, topic: InputTopic) -> &str {
        &self.inputs[topic as usize]
    }

    /// All input topics' names.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(String::as_str)
    }

    /// An output topic's name.
    pub fn output(&self, topic: OutputTopic) -> &str {
        &self.outputs[topic as usize]
    }

    /// All output topics' names.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(String::as_str)
    }

    /// The changelog's name.
    pub fn changelog(&self) -> &str {
        &self.changelog
    }

    /// Which input topic a name is.
    pub fn input_of(&self, name: &str) -> Option<InputTopic> {
        self.inputs.iter().position(|known| known == name).map(|index| InputTopic::ALL[index])
    }
}
