//! Comments on versions.

use super::columns::{Fields, keyed};
use super::error::StoreError;
use super::kept::{Comment, Commenting};
use super::session::{Row, Session};
use super::{Store, VersionId, limit};

macro_rules! comments {
    ($rest:literal) => {
        concat!(
            "SELECT id, model, model_created, version, created, said_by, words, made, changed FROM sekisho_comments ",
            $rest
        )
    };
}

const FIND: &str = comments!("WHERE id = $1");

const OF_VERSION: &str =
    comments!("WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 ORDER BY made, id");

const ADD: &str =
    "INSERT INTO sekisho_comments (model, model_created, version, created, id, said_by, words, made,
    changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

const CHANGE: &str = "UPDATE sekisho_comments SET words = $3, changed = $4 WHERE id = $1 AND said_by = $2";

const OTHERS: &str = "SELECT count(*), coalesce(sum(length(words)), 0) FROM sekisho_comments
    WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND id <> $5";

/// Characters in all comments on one version.
const MOST_TEXT: i64 = 1024 * 1024;

const DELETE: &str = "DELETE FROM sekisho_comments WHERE id = $1 AND said_by = $2";

impl Store {
    /// Keeps a comment, if there is room: a version has [`NEWEST`](super::NEWEST) at most, and a million characters in them.
    ///
    /// # Errors
    /// The store did not answer, or not in time; or its id is not new.
    pub async fn add_comment(&self, comment: &Comment) -> Result<Commenting, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            if !has_room(&mut session, comment).await? {
                return Ok(Commenting::NoRoom);
            }
            let more = [
                comment.id.as_str().into(),
                comment.user.as_str().into(),
                comment.text.as_str().into(),
                comment.created.as_microsecond().into(),
                comment.changed.as_microsecond().into(),
            ];
            let values = keyed(session.kind(), &comment.on, more)?;
            session.run(ADD, &values).await?;
            session.commit().await?;
            Ok(Commenting::Kept)
        })
        .await
    }

    /// Changes a comment of its user to what it is given as.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn change_comment(&self, comment: &Comment) -> Result<Commenting, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            if !has_room(&mut session, comment).await? {
                return Ok(Commenting::NoRoom);
            }
            let Comment { id, user, text, changed, .. } = comment;
            let values = [
                id.as_str().into(),
                user.as_str().into(),
                text.as_str().into(),
                changed.as_microsecond().into(),
            ];
            if session.run(CHANGE, &values).await? == 0 {
                return Ok(Commenting::Gone);
            }
            session.commit().await?;
            Ok(Commenting::Kept)
        })
        .await
    }

    /// Deletes a comment of this user; whether there was one.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn delete_comment(&self, id: &str, user: &str) -> Result<bool, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let deleted = session.run(DELETE, &[id.into(), user.into()]).await?;
            session.commit().await?;
            Ok(deleted == 1)
        })
        .await
    }

    /// The comment with this id.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn comment(&self, id: &str) -> Result<Option<Comment>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            session.row(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
        })
        .await
    }

    /// The comments on a version, the earliest first.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn comments(&self, id: &VersionId) -> Result<Vec<Comment>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            let values = keyed(session.kind(), id, [])?;
            session.rows(OF_VERSION, &values).await?.iter().map(read).collect()
        })
        .await
    }
}

/// Whether a comment can be there, beside all others on its version.
async fn has_room(session: &mut Session, comment: &Comment) -> Result<bool, StoreError> {
    let kind = session.kind();
    let values = keyed(kind, &comment.on, [comment.id.as_str().into()])?;
    let others = session.row(OTHERS, &values).await?;
    let others = others.ok_or(StoreError::Unfit { kind, what: "count" })?;
    let (count, text) = (others.whole(0)?, others.whole(1)?);
    let length = i64::try_from(comment.text.chars().count()).unwrap_or(i64::MAX);
    Ok(count.saturating_add(1) < limit() && text.saturating_add(length) <= MOST_TEXT)
}

fn read(row: &Row) -> Result<Comment, StoreError> {
    let mut fields = Fields::of(row);
    Ok(Comment {
        id: fields.text()?,
        on: fields.id()?,
        user: fields.text()?,
        text: fields.text()?,
        created: fields.moment()?,
        changed: fields.moment()?,
    })
}
