//! Decides which of librdkafka's own settings an operator may give in `[kafka.librdkafka]`: all of them but those that
//! Ayumi's promises rest on, that have a name of Ayumi's, or that would put a secret into the file.

use rdkafka::ClientConfig;

use super::sources::{At, Place, Sources};

/// Why a setting of librdkafka is not the operator's to give.
fn owner(name: &str) -> Option<&'static str> {
    let own = match name {
        "bootstrap.servers" | "metadata.broker.list" => "set `kafka.brokers` instead",
        "client.id" => "set `kafka.client_id` instead",
        "group.id" => "set `kafka.group_id` instead",
        "group.instance.id" => "set `kafka.instance_id` instead",
        "security.protocol" => "set `kafka.security_protocol` instead",
        "sasl.mechanism" | "sasl.mechanisms" => "set `kafka.sasl.mechanism` instead",
        "sasl.username" => "set `kafka.sasl.username` instead",
        "sasl.password" => "set `kafka.sasl.password_file` instead",
        "ssl.ca.location" => "set `kafka.tls.ca_file` instead",
        "ssl.certificate.location" => "set `kafka.tls.certificate_file` instead",
        "ssl.key.location" => "set `kafka.tls.key_file` instead",
        "ssl.key.password" => "set `kafka.tls.key_password_file` instead",
        "ssl.key.pem"
        | "ssl.certificate.pem"
        | "ssl.keystore.location"
        | "ssl.keystore.password"
        | "ssl_key"
        | "ssl_certificate" => "set `kafka.tls.certificate_file` and `kafka.tls.key_file` instead",
        "enable.auto.commit"
        | "auto.commit.enable"
        | "auto.commit.interval.ms"
        | "enable.auto.offset.store"
        | "offset.store.method"
        | "offset.store.path"
        | "auto.offset.reset" => {
            "remove it: positions are committed with the transaction that they belong to, or facts are lost or doubled"
        }
        "isolation.level" => "remove it: whoever reads what was aborted counts it",
        "transactional.id"
        | "transaction.timeout.ms"
        | "enable.idempotence"
        | "enable.gapless.guarantee"
        | "acks"
        | "request.required.acks"
        | "max.in.flight"
        | "max.in.flight.requests.per.connection"
        | "message.timeout.ms"
        | "delivery.timeout.ms" => "remove it: exactly-once rests on the value that Ayumi gives it",
        "partitioner" => "remove it: a member's records are found by the partition that this one gives them",
        "partition.assignment.strategy" | "group.protocol" | "group.remote.assignor" => {
            "remove it: partition p of every input topic must come to one worker"
        }
        "message.max.bytes" | "enable.partition.eof" | "statistics.interval.ms" => {
            "remove it: Ayumi relies on its own value"
        }
        _ if name.starts_with("sasl.oauthbearer") => "set what stands in `[kafka.sasl]` instead",
        _ if name.ends_with("_cb") || name == "opaque" || name == "plugin.library.paths" => {
            "remove it: it is code, not configuration"
        }
        _ => return None,
    };
    Some(own)
}

/// Reads the section, and has librdkafka itself say whether it knows each setting.
pub(super) fn read(sources: &mut Sources<'_>) -> Vec<(String, String)> {
    const SECTION: &str = "kafka.librdkafka";
    let mut settings = Vec::new();
    for (name, At { value, place }) in sources.free_section(SECTION) {
        match refusal(&name, &value) {
            Some((message, fix)) => refuse(sources, &place, &name, &message, &fix),
            None => settings.push((name, value)),
        }
    }
    settings
}

fn refusal(name: &str, value: &str) -> Option<(String, String)> {
    if let Some(fix) = owner(name) {
        return Some((format!("`{name}` is Ayumi's to set"), fix.to_owned()));
    }
    let mut config = ClientConfig::new();
    config.set(name, value);
    let refused = config.create_native_config().err()?;
    let said = match refused {
        rdkafka::error::KafkaError::ClientConfig(_, description, ..) => description,
        other => other.to_string(),
    };
    Some((format!("librdkafka refuses it: {said}"), "its CONFIGURATION.md lists what it takes".to_owned()))
}

fn refuse(sources: &mut Sources<'_>, place: &Place, name: &str, message: &str, fix: &str) {
    // The name as part of the path: of secrets the line is not shown.
    sources.add(place, name, message, fix);
}
