//! Enrolled agents. Only the SHA-256 of a secret is stored. The secret has 256 random bits, so a slow hash would
//! protect nothing.

use super::{Store, StoreError, body_of};
use pingtong_evidence::{AccountId, AgentHello, AgentId, InstanceId, Timestamp};
use rusqlite::{OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Length of an agent's secret in bytes.
pub const SECRET_BYTES: usize = 32;

/// An enrolled agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// Its name, which is also its ID.
    pub id: AgentId,
    /// The account that it may report for.
    pub account: AccountId,
    /// The instance given at enrolment, if any.
    pub instance: Option<InstanceId>,
    /// SHA-256 of its secret as written in `agent.toml`.
    pub secret_hash: Vec<u8>,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it last sent a request.
    pub seen_at: Option<Timestamp>,
    /// Its introduction, once it has sent one.
    pub hello: Option<AgentHello>,
}

impl AgentRow {
    /// The instance that it runs on: the one it was enrolled for, otherwise the one its metadata service reports.
    pub fn instance(&self) -> Option<&InstanceId> {
        self.instance.as_ref().or_else(|| Some(&self.hello.as_ref()?.metadata.as_ref()?.instance))
    }
}

/// SHA-256 of a secret as written.
pub fn hash_of(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

const COLUMNS: &str = "SELECT id, account, instance, secret_hash, enrolled_at, seen_at, hello FROM agent";

impl Store {
    /// Enrols an agent, or replaces the credential of an agent with the same name. Returns whether the name was known
    /// before.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn enroll(
        &self,
        id: &AgentId,
        account: &AccountId,
        instance: Option<&InstanceId>,
        secret_hash: &[u8],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let known = self.agent(id)?.is_some();
        self.connection
            .execute(
                "INSERT INTO agent (id, account, instance, secret_hash, enrolled_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET account = ?2, instance = ?3, secret_hash = ?4, enrolled_at = ?5,
                     seen_at = NULL, hello = NULL",
                params![id.as_str(), account.as_str(), instance.map(InstanceId::as_str), secret_hash, now.as_millis()],
            )
            .map_err(StoreError::of("keep the enrolment"))?;
        Ok(known)
    }

    /// The agent with this ID.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn agent(&self, id: &AgentId) -> Result<Option<AgentRow>, StoreError> {
        let fail = StoreError::of("read the enrolled agents");
        let mut statement = self.connection.prepare_cached(&format!("{COLUMNS} WHERE id = ?1")).map_err(&fail)?;
        let row = statement.query_row([id.as_str()], read).optional().map_err(&fail)?;
        Ok(row.flatten())
    }

    /// All agents, sorted by ID.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let fail = StoreError::of("read the enrolled agents");
        let mut statement = self.connection.prepare_cached(&format!("{COLUMNS} ORDER BY id")).map_err(&fail)?;
        let rows = statement.query_map([], read).map_err(&fail)?;
        let mut agents = vec![];
        for row in rows {
            agents.extend(row.map_err(&fail)?);
        }
        Ok(agents)
    }

    /// Stores the introduction of an agent and its time. Returns whether the introduction is new; a known one is not
    /// stored again.
    ///
    /// # Errors
    /// If the store cannot be written, or the introduction cannot be serialised.
    pub fn keep_hello(&self, id: &AgentId, hello: &AgentHello, now: Timestamp) -> Result<bool, StoreError> {
        let body = body_of("hello", hello)?;
        self.connection
            .execute(
                "UPDATE agent SET hello = ?2, seen_at = ?3 WHERE id = ?1 AND hello IS NOT ?2",
                params![id.as_str(), body, now.as_millis()],
            )
            .map(|changed| changed > 0)
            .map_err(StoreError::of("keep an agent's introduction"))
    }

    /// Stores when agents last sent a request.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn keep_seen(&mut self, seen: &BTreeMap<AgentId, Timestamp>) -> Result<(), StoreError> {
        let fail = StoreError::of("keep when agents were seen");
        let transaction = self.connection.transaction().map_err(&fail)?;
        for (id, at) in seen {
            transaction
                .execute("UPDATE agent SET seen_at = ?2 WHERE id = ?1", params![id.as_str(), at.as_millis()])
                .map_err(&fail)?;
        }
        transaction.commit().map_err(&fail)
    }
}

/// Returns `None` for a row whose IDs do not parse; only another program can have written it.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<AgentRow>> {
    let (id, account): (String, String) = (row.get(0)?, row.get(1)?);
    let instance: Option<String> = row.get(2)?;
    let hello: Option<String> = row.get(6)?;
    let (Ok(id), Ok(account)) = (AgentId::parse(&id), AccountId::parse(&account)) else { return Ok(None) };
    Ok(Some(AgentRow {
        id,
        account,
        instance: instance.and_then(|text| InstanceId::parse(&text).ok()),
        secret_hash: row.get(3)?,
        enrolled_at: Timestamp::from_millis(row.get(4)?),
        seen_at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
        hello: hello.and_then(|text| serde_json::from_str(&text).ok()),
    }))
}
