//! `onrush group list|describe|delete`.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::client::Client;
use super::client::group::{GroupInfo, MemberInfo, Partition};
use super::output::Out;
use super::{CliError, Connect};

/// Kafka's number for the offset after the last record.
const LATEST: i64 = -1;

/// What to do with consumer groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Lists groups.
    List(ListArgs),
    /// Shows what a group has read of each partition, and which member reads it.
    Describe(DescribeArgs),
    /// Deletes a group that has no members, and its offsets.
    Delete(DeleteArgs),
}

/// `group list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Answer as JSON, one group a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// `group describe`
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The group; all of them if left out.
    group: Option<String>,
    /// Answer as JSON, one partition a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// `group delete`
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The groups.
    #[arg(required = true)]
    groups: Vec<String>,
    /// Answer as JSON, one group a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize)]
struct Deleted<'a> {
    group: &'a str,
    done: &'a str,
}

/// A partition that a group reads, or a member that reads none.
#[derive(Serialize)]
struct Row<'a> {
    group: &'a str,
    state: &'a str,
    topic: Option<&'a str>,
    partition: Option<i32>,
    current_offset: Option<i64>,
    log_end_offset: Option<i64>,
    lag: Option<i64>,
    member_id: Option<&'a str>,
    host: Option<&'a str>,
    client_id: Option<&'a str>,
}

/// Runs the command.
pub fn run(command: &GroupCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        GroupCommand::List(args) => list(args, out),
        GroupCommand::Describe(args) => describe(args, out),
        GroupCommand::Delete(args) => delete(args, out),
    }
}

fn list(args: &ListArgs, out: &mut Out) -> Result<(), CliError> {
    let mut client = args.connect.client();
    let groups = client.retry(Client::groups)?;
    if args.json {
        return groups.iter().try_for_each(|group| out.json(group));
    }
    let rows: Vec<_> = groups
        .into_iter()
        .map(|line| {
            vec![
                line.group,
                or_dash(Some(line.protocol)),
                or_dash(Some(line.state)),
            ]
        })
        .collect();
    out.table(&["GROUP", "PROTOCOL", "STATE"], &rows)
}

fn delete(args: &DeleteArgs, out: &mut Out) -> Result<(), CliError> {
    let mut client = args.connect.client();
    let mut failed = Ok(());
    for group in &args.groups {
        // One that cannot be deleted keeps none of the others.
        if let Err(error) = client.retry(|client| client.delete_group(group)) {
            failed = failed.and(Err(error.into()));
        } else if args.json {
            let done = "deleted";
            out.json(&Deleted { group, done })?;
        } else {
            out.line(&format!("Deleted group {group}."))?;
        }
    }
    failed
}

fn describe(args: &DescribeArgs, out: &mut Out) -> Result<(), CliError> {
    let mut client = args.connect.client();
    let groups: Vec<String> = if let Some(group) = &args.group {
        vec![group.clone()]
    } else {
        let lines = client.retry(Client::groups)?;
        lines.into_iter().map(|line| line.group).collect()
    };
    for (place, group) in groups.iter().enumerate() {
        let info = client.retry(|client| client.describe_group(group))?;
        let committed = client.retry(|client| client.committed(group))?;
        let ends = ends(&mut client, &info, &committed)?;
        let rows = rows(group, &info, &committed, &ends);
        if args.json {
            rows.iter().try_for_each(|row| out.json(row))?;
            continue;
        }
        if place > 0 {
            out.line("")?;
        }
        show(group, &info, &rows, out)?;
    }
    Ok(())
}

/// The log ends of all partitions that the group reads or has read.
fn ends(
    client: &mut Client,
    info: &GroupInfo,
    committed: &BTreeMap<Partition, i64>,
) -> Result<BTreeMap<Partition, i64>, CliError> {
    let assigned = info.members.iter().flat_map(|member| &member.partitions);
    let topics = assigned.chain(committed.keys()).map(|(topic, _)| topic);
    let topics: BTreeSet<&String> = topics.collect();
    let mut ends = BTreeMap::new();
    for topic in topics {
        // A topic may be gone while its offsets are being forgotten.
        let Ok(leaders) = client.leaders(topic, false) else {
            continue;
        };
        let found = client.retry(|client| client.offsets(topic, &leaders, LATEST))?;
        ends.extend(
            found
                .into_iter()
                .map(|(index, end)| ((topic.clone(), index), end)),
        );
    }
    Ok(ends)
}

fn rows<'a>(
    group: &'a str,
    info: &'a GroupInfo,
    committed: &'a BTreeMap<Partition, i64>,
    ends: &'a BTreeMap<Partition, i64>,
) -> Vec<Row<'a>> {
    let mut readers: BTreeMap<&Partition, Option<&MemberInfo>> = BTreeMap::new();
    readers.extend(committed.keys().map(|partition| (partition, None)));
    for member in &info.members {
        let partitions = member.partitions.iter();
        readers.extend(partitions.map(|partition| (partition, Some(member))));
    }
    let row = |partition: Option<&'a Partition>, member: Option<&'a MemberInfo>| {
        let current = partition
            .and_then(|partition| committed.get(partition))
            .copied();
        let end = partition.and_then(|partition| ends.get(partition)).copied();
        Row {
            group,
            state: &info.state,
            topic: partition.map(|(topic, _)| topic.as_str()),
            partition: partition.map(|(_, index)| *index),
            current_offset: current,
            log_end_offset: end,
            lag: end
                .zip(current)
                .map(|(end, current)| end.saturating_sub(current)),
            member_id: member.map(|member| member.id.as_str()),
            host: member.map(|member| member.host.as_str()),
            client_id: member.map(|member| member.client_id.as_str()),
        }
    };
    let mut rows: Vec<Row<'a>> = readers
        .into_iter()
        .map(|(partition, member)| row(Some(partition), member))
        .collect();
    let idle = info
        .members
        .iter()
        .filter(|member| member.partitions.is_empty());
    rows.extend(idle.map(|member| row(None, Some(member))));
    rows
}

fn show(group: &str, info: &GroupInfo, rows: &[Row<'_>], out: &mut Out) -> Result<(), CliError> {
    let members = info.members.len();
    out.line(&format!("Group    {group}"))?;
    out.line(&format!("State    {}, {members} members", info.state))?;
    let number = |value: Option<i64>| or_dash(value.map(|value| value.to_string()));
    let name = |value: Option<&str>| or_dash(value.map(str::to_owned));
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            vec![
                name(row.topic),
                number(row.partition.map(i64::from)),
                number(row.current_offset),
                number(row.log_end_offset),
                number(row.lag),
                name(row.member_id),
                name(row.host),
                name(row.client_id),
            ]
        })
        .collect();
    let heading = [
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ];
    out.table(&heading, &cells)
}

fn or_dash(value: Option<String>) -> String {
    value
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "-".to_owned())
}
