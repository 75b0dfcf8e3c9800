//! The commands, a file a subject.

mod bench;
mod blocks;
mod copies;
mod export;
mod follow;
mod import;
mod info;
mod loader;
mod log;
mod memories;
mod pages;
mod pairs;
mod picture;
mod salvage;
mod streams;
mod upkeep;

use crate::{
    arguments::{BlockCommand, Command, MemoryCommand, StreamCommand},
    failure::{Ending, Failure},
    output::Output,
};

/// How a command ended, or why it did not get to its end.
pub type Outcome = Result<Ending, Failure>;

pub fn run(command: Command, output: &mut Output) -> Outcome {
    match command {
        Command::Info { store, all } => info::info(&store.path, all, output),
        Command::Stats(store) => info::stats(&store.path, output),
        Command::Get { store, key } => pairs::get(&store.path, &key, output),
        Command::Set { store, pairs } => pairs::set(&store, &pairs, output),
        Command::Delete { store, keys } => pairs::delete(&store, &keys, output),
        Command::Scan { store, range } => pairs::scan(&store.path, &range, output),
        Command::Stream(command) => stream(command, output),
        Command::Memory(command) => memory(command, output),
        Command::Find(find) => memories::find(&find, output),
        Command::Block(command) => block(command, output),
        Command::Log(log) => log::log(&log, output),
        Command::Verify(store) => upkeep::verify(&store.path, output),
        Command::Salvage { store, target } => salvage::salvage(&store.path, target.as_deref(), output),
        Command::Backup { store, target } => copies::backup(&store.path, &target, output),
        Command::Restore { backup, target } => copies::restore(&backup, &target, output),
        Command::Export { store, file } => export::export(&store.path, file.as_deref(), output),
        Command::Import { path, file } => import::import(&path, &file, output),
        Command::ImportAncestral { path, directory } => copies::import_ancestral(&path, &directory, output),
        Command::Compact(store) => upkeep::compact(&store, output),
        Command::Bench {
            directory,
            seconds,
            value_bytes,
        } => bench::bench(&directory, seconds, value_bytes, output),
        Command::Completions { shell } => pages::completions(shell, output),
        Command::Man { dir } => pages::man(dir.as_deref(), output),
    }
}

fn stream(command: StreamCommand, output: &mut Output) -> Outcome {
    match command {
        StreamCommand::Append { store, name, records } => streams::append(&store, &name, &records, output),
        StreamCommand::Read {
            store,
            name,
            from,
            limit,
            raw,
        } => streams::read(&store.path, &name, from, limit, raw, output),
        StreamCommand::List { store, prefix } => streams::list(&store.path, prefix.as_deref(), output),
        StreamCommand::Trim { store, name, before } => streams::trim(&store, &name, before, output),
        StreamCommand::Drop { store, name } => streams::trim(&store, &name, u64::MAX, output),
        StreamCommand::Tail {
            store,
            name,
            count,
            follow,
        } => streams::tail(&store.path, &name, count, follow, output),
    }
}

fn memory(command: MemoryCommand, output: &mut Output) -> Outcome {
    match command {
        MemoryCommand::Get { store, id } => memories::get(&store.path, id, output),
        MemoryCommand::Append {
            store,
            id,
            data,
            tags,
        } => memories::append(&store, id, &data, &tags, output),
        MemoryCommand::Delete { store, ids } => memories::delete(&store, &ids, output),
        MemoryCommand::Info { store, id } => memories::info(&store.path, id, output),
    }
}

fn block(command: BlockCommand, output: &mut Output) -> Outcome {
    match command {
        BlockCommand::Append { store, data } => blocks::append(&store, &data, output),
        BlockCommand::Read {
            store,
            address,
            from,
            len,
        } => blocks::read(&store.path, &address, from, len, output),
        BlockCommand::Free { store, address } => blocks::free(&store, &address, output),
        BlockCommand::List(store) => blocks::list(&store.path, output),
    }
}

/// Bytes as they are, on a terminal with a line end behind them; or hex, base64 or JSON.
fn print_value(
    output: &mut Output,
    mut object: serde_json::Map<String, serde_json::Value>,
    name: &str,
    bytes: &[u8],
) -> Result<(), Failure> {
    if output.is_json() {
        output.put(&mut object, name, bytes);
        return output.object(object);
    }
    if output.shape() != crate::bytes::Shape::Text {
        let line = output.shown(bytes);
        return output.line(&line);
    }
    output.raw(bytes)?;
    if output.is_watched() && !bytes.ends_with(b"\n") {
        output.raw(b"\n")?;
    }
    Ok(())
}

/// A set of tags, as they were given.
fn tags_of(tags: &[String]) -> Result<sarsen::Tags, Failure> {
    let mut set = sarsen::Tags::new();
    tags.iter().try_for_each(|tag| set.add(tag))?;
    Ok(set)
}
