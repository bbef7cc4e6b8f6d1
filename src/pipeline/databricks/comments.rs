//! Comments on versions: whoever describes versions or decides on them may make one, and nobody changes another's.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::authz::Permit;
use crate::govern::Broken;
use crate::operation::{Demand, Object, Permission};
use crate::reject::Rejection;
use crate::route::message::Message;
use crate::stage::Stage;
use crate::store::{Comment, Commenting};

use super::super::Gate;
use super::super::ours::written;
use super::{millis, needed};

/// As the store has it (`NEWEST`, `MOST_TEXT`).
const COMMENTS: &str = "a version has at most 1,000 comments, of 1,048,576 characters together";
const COMMENT: Rejection = Rejection::NoSuch("comment");

impl Gate {
    pub(super) async fn create_comment(
        &self,
        permit: &Permit,
        message: &Message,
    ) -> Result<Bytes, Rejection> {
        let text = needed(message, "comment")?;
        may_comment(permit, needed(message, "name")?)?;
        let now = self.clock.now();
        let comment = Comment {
            id: uuid::Uuid::new_v4().simple().to_string(),
            on: self.named_version(message).await?,
            user: permit.principal().user.as_str().to_owned(),
            text: text.to_owned(),
            created: now,
            changed: now,
        };
        let kept = self.store.add_comment(&comment).await?;
        told(kept, &comment, permit)
    }

    pub(super) async fn update_comment(
        &self,
        permit: &Permit,
        message: &Message,
    ) -> Result<Bytes, Rejection> {
        let text = needed(message, "comment")?;
        let comment = self.visible_comment(permit, needed(message, "id")?).await?;
        may_comment(permit, &comment.on.model)?;
        if !is_own(&comment, permit) {
            return Err(Broken::NotTheirComment.into());
        }
        let comment = Comment { text: text.to_owned(), changed: self.clock.now(), ..comment };
        let kept = self.store.change_comment(&comment).await?;
        told(kept, &comment, permit)
    }

    pub(super) async fn delete_comment(
        &self,
        permit: &Permit,
        message: &Message,
    ) -> Result<Bytes, Rejection> {
        let comment = self.visible_comment(permit, needed(message, "id")?).await?;
        if !is_own(&comment, permit) && !permit.rests_on(Permission::Admin, Object::Server) {
            return Err(Broken::NotTheirComment.into());
        }
        if !self.store.delete_comment(&comment.id, &comment.user).await? {
            return Err(COMMENT);
        }
        Ok(Bytes::from_static(b"{}"))
    }

    /// A comment on a version that the caller may see: one on a hidden version is not there.
    async fn visible_comment(&self, permit: &Permit, id: &str) -> Result<Comment, Rejection> {
        // No other id was ever given out, and a database may refuse to look for one.
        let given_out = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let comment = if given_out { self.store.comment(id).await? } else { None };
        let seen = |comment: &Comment| {
            permit.rests_on(Permission::MetadataRead, Object::Model(comment.on.model.as_str().into()))
        };
        comment.filter(seen).ok_or(COMMENT)
    }
}

/// A comment that was kept, if it was.
fn told(kept: Commenting, comment: &Comment, permit: &Permit) -> Result<Bytes, Rejection> {
    match kept {
        Commenting::Kept => Ok(written(&json!({ "comment": shown(comment, permit) }))),
        Commenting::NoRoom => Err(Broken::TooMuch(COMMENTS).into()),
        Commenting::Gone => Err(COMMENT),
    }
}

fn is_own(comment: &Comment, permit: &Permit) -> bool {
    comment.user == permit.principal().user.as_str()
}

/// Those who change what a version says of itself, and those who decide where it goes. What it rests on is told.
fn may_comment(permit: &Permit, model: &str) -> Result<(), Rejection> {
    let decides = Stage::ALL
        .into_iter()
        .map(|stage| Object::Stage(model.into(), stage.as_str().into()))
        .find(|stage| permit.allows(permit.principal(), Permission::StageApprove, stage));
    let demand = match decides {
        Some(stage) => Demand::new(Permission::StageApprove, stage),
        None => Demand::new(Permission::MetadataWrite, Object::Model(model.into())),
    };
    Ok(permit.also(&[demand])?)
}

/// A comment, and what the caller may do to it.
fn shown(comment: &Comment, permit: &Permit) -> Value {
    let own = is_own(comment, permit);
    let deletes = own || permit.covers(Permission::Admin, &Object::Server);
    let actions: Vec<&str> = [(own, "EDIT_COMMENT"), (deletes, "DELETE_COMMENT")]
        .into_iter()
        .filter_map(|(may, action)| may.then_some(action))
        .collect();
    json!({
        "id": comment.id,
        "activity_type": "NEW_COMMENT",
        "user_id": comment.user,
        "comment": comment.text,
        "creation_timestamp": millis(comment.created),
        "last_updated_timestamp": millis(comment.changed),
        "available_actions": actions,
    })
}
