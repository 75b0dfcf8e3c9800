//! redb: one table, a cache as large as is asked for, `Durability::Immediate` where commits are to survive power loss.
//!
//! `Durability::None` is used for loads only: what was committed with it is lost with the process.

use crate::{Answer, Change, Each, Peer, Session, Setup};
use redb::{AccessGuard, Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};
use std::sync::Arc;

const PAIRS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("pairs");

struct Redb {
    database: Arc<Database>,
    durability: Durability,
}

pub fn open(setup: &Setup<'_>) -> Answer<Box<dyn Peer>> {
    let cache = usize::try_from(setup.cache_bytes)?;
    let database = Database::builder()
        .set_cache_size(cache)
        .create(setup.path.join("redb"))?;
    let transaction = database.begin_write()?;
    transaction.open_table(PAIRS)?;
    transaction.commit()?;
    let durability = if setup.durable {
        Durability::Immediate
    } else {
        Durability::None
    };
    Ok(Box::new(Redb {
        database: Arc::new(database),
        durability,
    }))
}

impl Peer for Redb {
    fn put(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Answer<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability)?;
        {
            let mut table = transaction.open_table(PAIRS)?;
            for change in changes {
                match change.value {
                    Some(value) => table.insert(change.key, value)?,
                    None => table.remove(change.key)?,
                };
            }
        }
        Ok(transaction.commit()?)
    }

    fn sync(&self) -> Answer<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction.commit()?)
    }

    fn settle(&mut self) -> Answer<()> {
        self.sync()
    }

    fn session(&self, frozen: bool) -> Answer<Box<dyn Session>> {
        let table = if frozen {
            Some(self.database.begin_read()?.open_table(PAIRS)?)
        } else {
            None
        };
        Ok(Box::new(Reads {
            database: Arc::clone(&self.database),
            table,
            found: None,
        }))
    }
}

struct Reads {
    database: Arc<Database>,
    table: Option<ReadOnlyTable<&'static [u8], &'static [u8]>>,
    found: Option<AccessGuard<'static, &'static [u8]>>,
}

impl Session for Reads {
    fn get(&mut self, key: &[u8]) -> Answer<bool> {
        self.found = match &self.table {
            Some(table) => table.get(key)?,
            None => self.database.begin_read()?.open_table(PAIRS)?.get(key)?,
        };
        Ok(self.found.is_some())
    }

    fn found(&self) -> &[u8] {
        self.found.as_ref().map_or(&[], |guard| guard.value())
    }

    fn walk(&mut self, start: &[u8], each: Each<'_>) -> Answer<()> {
        let now;
        let table = match &self.table {
            Some(table) => table,
            None => {
                now = self.database.begin_read()?.open_table(PAIRS)?;
                &now
            }
        };
        for pair in table.range(start..)? {
            let (key, value) = pair?;
            if !each(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }
}
