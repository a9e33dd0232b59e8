//! `onrush topic create|list|describe|delete`.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::client::{ConfigLine, TopicLine};
use super::output::Out;
use super::{CliError, Connect};

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// Creates a topic.
    Create(CreateArgs),
    /// Lists topics.
    List(ListArgs),
    /// Shows partitions, replicas and the topic's own configs.
    Describe(DescribeArgs),
    /// Deletes a topic and its records.
    Delete(DeleteArgs),
}

/// `topic create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The topic's name.
    name: String,
    /// How many partitions; the broker's default if left out.
    #[arg(short, long, default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
    partitions: i32,
    /// How many replicas; the broker's default if left out.
    #[arg(short, long, default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
    replication_factor: i16,
    /// A topic config, such as segment.bytes=104857600. May be given several times.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// `topic list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Answer as JSON, one topic a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// `topic describe`
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The topic; all of them if left out.
    name: Option<String>,
    /// Answer as JSON, one topic a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// `topic delete`
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The topic's name.
    name: String,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize)]
struct Changed<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    done: &'a str,
}

#[derive(Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    topic: &'a TopicLine,
    configs: &'a [ConfigLine],
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not of the form KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Runs the command.
pub fn run(command: &TopicCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        TopicCommand::Create(args) => create(args, out),
        TopicCommand::List(args) => list(args, out),
        TopicCommand::Describe(args) => describe(args, out),
        TopicCommand::Delete(args) => delete(args, out),
    }
}

fn create(args: &CreateArgs, out: &mut Out) -> Result<(), CliError> {
    let mut client = args.connect.client();
    let id = client.create_topic(
        &args.name,
        args.partitions,
        args.replication_factor,
        &args.configs,
    )?;
    if args.json {
        return out.json(&Changed {
            name: &args.name,
            id: Some(id),
            done: "created",
        });
    }
    out.line(&format!("Created topic {} ({id}).", args.name))
}

fn list(args: &ListArgs, out: &mut Out) -> Result<(), CliError> {
    let mut client = args.connect.client();
    let topics = client.retry(|c| c.topics(None))?;
    if args.json {
        return topics.iter().try_for_each(|topic| out.json(topic));
    }
    let rows: Vec<_> = topics
        .iter()
        .map(|topic| {
            let replicas = topic.partitions.first().map_or(0, |p| p.replicas.len());
            vec![
                topic.name.clone(),
                topic.partitions.len().to_string(),
                replicas.to_string(),
                topic.id.clone(),
            ]
        })
        .collect();
    out.table(&["TOPIC", "PARTITIONS", "REPLICAS", "ID"], &rows)
}

fn describe(args: &DescribeArgs, out: &mut Out) -> Result<(), CliError> {
    let mut client = args.connect.client();
    let topics = match &args.name {
        Some(name) => client.topics(Some(name))?,
        None => client.retry(|c| c.topics(None))?,
    };
    for (index, topic) in topics.iter().enumerate() {
        let configs = client.topic_configs(&topic.name)?;
        if args.json {
            out.json(&Described {
                topic,
                configs: &configs,
            })?;
            continue;
        }
        if index > 0 {
            out.line("")?;
        }
        describe_one(topic, &configs, out)?;
    }
    Ok(())
}

fn describe_one(topic: &TopicLine, configs: &[ConfigLine], out: &mut Out) -> Result<(), CliError> {
    let own: Vec<String> = configs
        .iter()
        .filter(|config| config.of_topic)
        .map(|config| format!("{}={}", config.name, config.value.as_deref().unwrap_or("")))
        .collect();
    out.line(&format!("Topic    {}", topic.name))?;
    out.line(&format!("Id       {}", topic.id))?;
    let own = if own.is_empty() {
        "(none of its own)".to_owned()
    } else {
        own.join(", ")
    };
    out.line(&format!("Configs  {own}"))?;
    let ids = |ids: &[i32]| {
        let texts: Vec<_> = ids.iter().map(i32::to_string).collect();
        texts.join(",")
    };
    let rows: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| {
            vec![
                p.partition.to_string(),
                p.leader.to_string(),
                p.leader_epoch.to_string(),
                ids(&p.replicas),
                ids(&p.isr),
            ]
        })
        .collect();
    out.table(&["PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR"], &rows)
}

fn delete(args: &DeleteArgs, out: &mut Out) -> Result<(), CliError> {
    args.connect.client().delete_topic(&args.name)?;
    if args.json {
        return out.json(&Changed {
            name: &args.name,
            id: None,
            done: "deleted",
        });
    }
    out.line(&format!("Deleted topic {}.", args.name))
}
