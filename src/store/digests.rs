//! Digests of versions, with the files and dependencies that they were taken from.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::columns::{key, moment, signed, unsigned};
use super::error::StoreError;
use super::session::{Session, Value};
use super::{KeptDigest, KeptFile, VersionId};

const FIND: &str = "SELECT id, source, digest, taken FROM sekisho_digests
    WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4";

const FILES: &str =
    "SELECT path, size, sha256 FROM sekisho_digest_files WHERE digest_id = $1 ORDER BY position";

const DEPENDENCIES: &str =
    "SELECT dependency FROM sekisho_digest_dependencies WHERE digest_id = $1 ORDER BY position";

const PUT: &str =
    "INSERT INTO sekisho_digests (id, model, model_created, version, created, source, digest, taken)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (model, model_created, version, created)
    DO UPDATE SET source = excluded.source, digest = excluded.digest, taken = excluded.taken
    RETURNING id";

const DROP_FILES: &str = "DELETE FROM sekisho_digest_files WHERE digest_id = $1";

const DROP_DEPENDENCIES: &str = "DELETE FROM sekisho_digest_dependencies WHERE digest_id = $1";

const PUT_FILES: &str = "INSERT INTO sekisho_digest_files (digest_id, position, path, size, sha256) VALUES ";

const PUT_DEPENDENCIES: &str =
    "INSERT INTO sekisho_digest_dependencies (digest_id, position, dependency) VALUES ";

/// What was kept under the new name already is of the same model and newer.
const DROP_OVERTAKEN: &str =
    "DELETE FROM sekisho_digests WHERE model = $1 AND model_created = $2 AND EXISTS (
    SELECT 1 FROM sekisho_digests AS newer WHERE newer.model = $3 AND newer.model_created = $2
    AND newer.version = sekisho_digests.version AND newer.created = sekisho_digests.created)";

const RENAME: &str = "UPDATE sekisho_digests SET model = $3 WHERE model = $1 AND model_created = $2";

const FORGET: &str =
    "DELETE FROM sekisho_digests WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4";

/// Rows of one statement: few enough for the parameters that a statement may have.
const AT_ONCE: usize = 500;

pub(super) async fn find(session: &mut Session, id: &VersionId) -> Result<Option<KeptDigest>, StoreError> {
    let kind = session.kind();
    let Some(row) = session.row(FIND, &key(kind, id)?).await? else { return Ok(None) };
    let of = [Value::from(row.text(0)?)];
    let files = session.rows(FILES, &of).await?;
    let file = |row: &super::session::Row| {
        Ok(KeptFile {
            path: row.text(0)?,
            size: unsigned(kind, row.whole(1)?, "file's size")?,
            sha256: row.text(2)?,
        })
    };
    let dependencies = session.rows(DEPENDENCIES, &of).await?;
    Ok(Some(KeptDigest {
        source: row.text(1)?,
        digest: row.text(2)?,
        files: files.iter().map(file).collect::<Result<_, StoreError>>()?,
        dependencies: dependencies.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?,
        taken: moment(kind, row.whole(3)?)?,
    }))
}

pub(super) async fn bytes(session: &mut Session, id: &VersionId) -> Result<Option<String>, StoreError> {
    let row = session.row(FIND, &key(session.kind(), id)?).await?;
    row.map(|row| row.text(2)).transpose()
}

pub(super) async fn keep(
    session: &mut Session,
    id: &VersionId,
    digest: &KeptDigest,
) -> Result<(), StoreError> {
    let kind = session.kind();
    let mut values = vec![Value::from(Uuid::now_v7().to_string())];
    values.extend(key(kind, id)?);
    values.push(digest.source.as_str().into());
    values.push(digest.digest.as_str().into());
    values.push(digest.taken.as_microsecond().into());
    let row = session.row(PUT, &values).await?;
    let of = row.ok_or(StoreError::Unfit { kind, what: "digest" })?.text(0)?;
    session.run(DROP_FILES, &[of.as_str().into()]).await?;
    session.run(DROP_DEPENDENCIES, &[of.as_str().into()]).await?;
    let mut files = Vec::new();
    for (position, file) in (0_i64..).zip(&digest.files) {
        let size = signed(kind, file.size, "file's size")?;
        let (path, sha256) = (file.path.as_str(), file.sha256.as_str());
        files.push([of.as_str().into(), position.into(), path.into(), size.into(), sha256.into()]);
    }
    put(session, PUT_FILES, &files).await?;
    let dependency = |(position, text): (i64, &String)| -> [Value<'_>; 3] {
        [Value::from(of.as_str()), position.into(), Value::from(text.clone())]
    };
    let dependencies: Vec<_> = (0_i64..).zip(&digest.dependencies).map(dependency).collect();
    put(session, PUT_DEPENDENCIES, &dependencies).await
}

pub(super) async fn rename(
    session: &mut Session,
    model: &str,
    model_created: i64,
    new_name: &str,
) -> Result<(), StoreError> {
    if model == new_name {
        return Ok(());
    }
    let values = [model.into(), model_created.into(), new_name.into()];
    session.run(DROP_OVERTAKEN, &values).await?;
    session.run(RENAME, &values).await?;
    Ok(())
}

pub(super) async fn forget(session: &mut Session, id: &VersionId) -> Result<(), StoreError> {
    session.run(FORGET, &key(session.kind(), id)?).await?;
    Ok(())
}

/// Inserts rows, many with one statement.
async fn put<const COLUMNS: usize>(
    session: &mut Session,
    insert: &str,
    rows: &[[Value<'_>; COLUMNS]],
) -> Result<(), StoreError> {
    for rows in rows.chunks(AT_ONCE) {
        let row = |row: usize| {
            let parameters: Vec<String> =
                (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column)).collect();
            format!("({})", parameters.join(", "))
        };
        let places: Vec<String> = (0..rows.len()).map(row).collect();
        // Constants and numbers alone: what is inserted goes as parameters.
        let sql = AssertSqlSafe(format!("{insert}{}", places.join(", ")));
        session.run(sql, rows.as_flattened()).await?;
    }
    Ok(())
}
