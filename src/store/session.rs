//! One transaction in either database: the only place that knows that there are two.

use std::borrow::Cow;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Postgres, Row as _, SqlSafeStr, Sqlite, Transaction};

use super::error::{Kind, StoreError};

/// A transaction. One that is dropped without [`Session::commit`] changes nothing.
pub(super) enum Session {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A parameter: texts and whole numbers, or none of them, are all that the tables have.
#[derive(Clone, Debug)]
pub(super) enum Value<'v> {
    Text(Option<Cow<'v, str>>),
    Whole(Option<i64>),
}

/// A row of an answer.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// `$sql` with its parameters, for the database that the context asks for.
macro_rules! query {
    ($sql:expr, $values:expr) => {{
        let mut query = sqlx::query($sql);
        for value in $values {
            query = match value {
                Value::Text(text) => query.bind(text.as_deref()),
                Value::Whole(number) => query.bind(*number),
            };
        }
        query
    }};
}

impl Session {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::Postgres(_) => Kind::Postgres,
        }
    }

    /// Runs one statement; how many rows it changed.
    pub(super) async fn run(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> Result<u64, StoreError> {
        let kind = self.kind();
        fit(kind, values)?;
        let done = match self {
            Self::Sqlite(tx) => query!(sql, values).execute(&mut **tx).await.map(|done| done.rows_affected()),
            Self::Postgres(tx) => {
                query!(sql, values).execute(&mut **tx).await.map(|done| done.rows_affected())
            }
        };
        done.map_err(|source| StoreError::Failed { kind, source })
    }

    /// Runs one statement; its rows.
    pub(super) async fn rows(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let kind = self.kind();
        fit(kind, values)?;
        let rows = match self {
            Self::Sqlite(tx) => query!(sql, values)
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Self::Postgres(tx) => query!(sql, values)
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        rows.map_err(|source| StoreError::Failed { kind, source })
    }

    /// The same where one row at most can come.
    pub(super) async fn row(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Makes everything that was done in this session last.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let kind = self.kind();
        let done = match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        };
        done.map_err(|source| StoreError::Failed { kind, source })
    }
}

/// `$row`'s column, as whatever the context asks for.
macro_rules! get {
    ($row:expr, $column:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($column).map_err(|source| failed(Kind::Sqlite, source)),
            Row::Postgres(row) => row.try_get($column).map_err(|source| failed(Kind::Postgres, source)),
        }
    };
}

impl Row {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::Postgres(_) => Kind::Postgres,
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<String, StoreError> {
        get!(self, column)
    }

    pub(super) fn text_if_any(&self, column: usize) -> Result<Option<String>, StoreError> {
        get!(self, column)
    }

    pub(super) fn whole(&self, column: usize) -> Result<i64, StoreError> {
        get!(self, column)
    }

    pub(super) fn whole_if_any(&self, column: usize) -> Result<Option<i64>, StoreError> {
        get!(self, column)
    }
}

/// PostgreSQL has no zero bytes in its texts.
fn fit(kind: Kind, values: &[Value<'_>]) -> Result<(), StoreError> {
    let torn = |value: &Value<'_>| match value {
        Value::Text(Some(text)) => text.contains('\0'),
        Value::Text(None) | Value::Whole(_) => false,
    };
    if values.iter().any(torn) {
        return Err(StoreError::Unfit { kind, what: "text: it has a zero byte" });
    }
    Ok(())
}

fn failed(kind: Kind, source: sqlx::Error) -> StoreError {
    StoreError::Failed { kind, source }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Whole(Some(number))
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(text: Option<&'v str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Whole(number)
    }
}
