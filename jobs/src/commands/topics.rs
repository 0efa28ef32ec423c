//! `ayumi topics`: the cluster's topics, and who may use them.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::kafka_args::KafkaArgs;
use super::{Failure, block_on};
use crate::kafka::acl::{self, Role};
use crate::kafka::client::Connection;
use crate::kafka::topics::{Difference, Topics as OnCluster};

/// Create and check the topics of a Kafka cluster
#[derive(Args)]
pub struct Topics {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Create the topics that are missing, and show how the others differ from the configuration
    Create(Create),
    /// Show how the topics differ from the configuration; exits with 1 if they do
    Describe(Describe),
    /// Print the commands that give a role its rights
    Acls(Acls),
}

#[derive(Args)]
struct Create {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Also change the settings of topics that are there
    #[arg(long)]
    apply: bool,
}

#[derive(Args)]
struct Describe {
    #[command(flatten)]
    kafka: KafkaArgs,
}

#[derive(Args)]
struct Acls {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// What the user does
    #[arg(long, value_enum)]
    role: Role,
    /// Who it is, such as User:award
    #[arg(long, value_name = "PRINCIPAL")]
    principal: String,
}

impl Topics {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        match &self.what {
            What::Create(create) => create.run(),
            What::Describe(describe) => describe.run(),
            What::Acls(acls) => acls.run(),
        }
    }
}

impl Create {
    fn run(&self) -> Result<ExitCode, Failure> {
        let config = self.kafka.load()?.kafka;
        block_on(async {
            let topics = OnCluster::on(&config, Connection::new(&config, "topics"))?;
            let found = topics.compare().await?;
            for name in topics.create(&found).await? {
                println!("created {name}");
            }
            if found.differences.is_empty() {
                println!("{} topics are as configured", found.present.len() + found.missing.len());
                return Ok(ExitCode::SUCCESS);
            }
            print!("{}", table(&found.differences));
            if !self.apply {
                println!("Nothing that was there has been changed; --apply changes it.");
                return Ok(ExitCode::SUCCESS);
            }
            topics.apply(&found).await?;
            let left = found.differences.iter().filter(|difference| !difference.is_applicable()).count();
            println!("changed {} settings", found.differences.len() - left);
            Ok(copies_left(left))
        })
    }
}

impl Describe {
    fn run(&self) -> Result<ExitCode, Failure> {
        let config = self.kafka.load()?.kafka;
        block_on(async {
            let found = OnCluster::on(&config, Connection::new(&config, "topics"))?.compare().await?;
            for spec in &found.missing {
                println!("{} is missing", spec.name);
            }
            if !found.missing.is_empty() {
                println!("`ayumi topics create` creates what is missing.");
            }
            if !found.differences.is_empty() {
                print!("{}", table(&found.differences));
                println!("`ayumi topics create --apply` changes it.");
            }
            if found.missing.is_empty() && found.differences.is_empty() {
                println!("{} topics are as configured", found.present.len());
                return Ok(ExitCode::SUCCESS);
            }
            copies_left(found.differences.iter().filter(|difference| !difference.is_applicable()).count());
            Ok(ExitCode::FAILURE)
        })
    }
}

impl Acls {
    fn run(&self) -> Result<ExitCode, Failure> {
        let config = self.kafka.load()?.kafka;
        for command in acl::commands(self.role, &self.principal, &config) {
            println!("{command}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The number of copies can't be changed from here: that much is left to be done.
fn copies_left(topics: usize) -> ExitCode {
    if topics == 0 {
        return ExitCode::SUCCESS;
    }
    println!("The number of copies is changed with Kafka's own kafka-reassign-partitions.sh.");
    ExitCode::FAILURE
}

/// Topic, setting, is, should be: a column each.
fn table(differences: &[Difference]) -> String {
    let head = ["topic", "setting", "is", "should be"];
    let rows: Vec<[&str; 4]> = differences
        .iter()
        .map(|difference| [&*difference.topic, &*difference.setting, &*difference.is, &*difference.should_be])
        .collect();
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].len()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[&str; 4]| {
        let [topic, setting, is, should_be] = row;
        format!("{topic:0$}  {setting:1$}  {is:2$}  {should_be}\n", widths[0], widths[1], widths[2])
    };
    [line(&head)].into_iter().chain(rows.iter().map(line)).collect()
}
