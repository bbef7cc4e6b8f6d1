//! The makers of tokens: the one of the plain `auth.` keys and those of the list, looked at together.

use super::draft::{IssuerDraft, Place};
use super::keys::{self, Key, Slot, keys};
use super::values::shown;
use super::written::{Found, Source};
use super::{Issuer, KeySource};
use crate::glob::overlap;
use crate::mistake::Mistake;

/// One draft for each entry of `auth.issuers`.
pub(super) fn listed<'t>(
    source: &Source<'t>,
    list: &Found<'t>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<IssuerDraft> {
    let tables = match list.tables() {
        Ok(tables) => tables,
        Err(what) => {
            mistakes.push(source.mistake(Some(&list.place), LIST, &what));
            return Vec::new();
        }
    };
    let drafts = tables.into_iter().enumerate().map(|(index, (span, table))| {
        let mut draft = IssuerDraft {
            name: format!("{LIST}[{index}]"),
            place: Some(source.within(&list.place, span)),
            ..IssuerDraft::default()
        };
        for (word, value) in table {
            let place = source.within(&list.place, word.span());
            let word = word.into_inner();
            let name = format!("{}.{word}", draft.name);
            match keys().iter().find(|key| key.is_of_an_issuer() && key.word() == word) {
                Some(key) => {
                    let found = Found::part(place, value.into_inner());
                    if let Err(what) = take(key, &found, &mut draft) {
                        mistakes.push(source.mistake(Some(&found.place), &name, &what));
                    }
                }
                None => {
                    let nearest = keys::nearest_issuer_key(&word);
                    let what = format!("an issuer has no {}{nearest}", shown(&word));
                    mistakes.push(source.mistake(Some(&place), &draft.name, &what));
                }
            }
        }
        draft
    });
    drafts.collect()
}

/// Puts a value where its key says. Keys that are not an issuer's are left alone.
pub(super) fn take(key: &Key, found: &Found<'_>, draft: &mut IssuerDraft) -> Result<(), String> {
    match key.slot {
        Slot::IssuerText(put) => {
            draft.places.insert(key.word(), found.place.clone());
            put(draft, found.text()?)
        }
        Slot::IssuerTexts(put) => {
            draft.places.insert(key.word(), found.place.clone());
            put(draft, found.texts()?)
        }
        Slot::Text(_) | Slot::Texts(_) | Slot::Flag(_) | Slot::Count(_) | Slot::Issuers => Ok(()),
    }
}

/// The issuers that can be used, and what is wrong with any of them alone or with two of them together.
pub(super) fn together(
    source: &Source<'_>,
    plain: IssuerDraft,
    listed: Vec<IssuerDraft>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Issuer> {
    // Without a list, plain keys without a key source are not a mistake: `serve` refuses to start without an issuer.
    let is_used = plain.places.keys().any(|word| KEY_SOURCES.contains(word));
    let is_meant = is_used || (!listed.is_empty() && !plain.places.is_empty());
    let drafts: Vec<_> = is_meant.then_some(plain).into_iter().chain(listed).collect();
    let about = |draft: &IssuerDraft, what: &str| source.mistake(place(draft), &draft.name, what);
    for draft in &drafts {
        mistakes.extend(wrong_key_sources(draft).map(|what| about(draft, &what)));
    }
    if drafts.len() > 1 {
        for (index, draft) in drafts.iter().enumerate() {
            let earlier = drafts.iter().take(index);
            mistakes.extend(indistinct(draft, earlier).into_iter().map(|what| about(draft, &what)));
        }
    }
    drafts.into_iter().filter_map(finished).collect()
}

const LIST: &str = "auth.issuers";
const KEY_SOURCES: [&str; 4] = ["hs256_secret", "hs256_secret_file", "jwks_file", "jwks_url"];

fn wrong_key_sources(draft: &IssuerDraft) -> Option<String> {
    let given: Vec<_> = KEY_SOURCES.iter().filter(|word| draft.places.contains_key(*word)).collect();
    match given.as_slice() {
        [_] => None,
        [] => Some(format!("has no key: give one of {}", listing(&KEY_SOURCES.iter().collect::<Vec<_>>()))),
        several => Some(format!("has more than one key: give only one of {}", listing(several))),
    }
}

/// What lets a token, or a user, belong to this issuer and to an earlier one.
fn indistinct<'a>(draft: &IssuerDraft, earlier: impl Iterator<Item = &'a IssuerDraft>) -> Vec<String> {
    let mut wrong = Vec::new();
    if !draft.places.contains_key("issuer") {
        wrong.push("needs `issuer`, as there are several".to_owned());
    }
    if !draft.places.contains_key("users") {
        wrong.push("needs `users`, as there are several".to_owned());
    }
    for other in earlier {
        if let Some(issuer) = draft.issuer.as_ref().filter(|_| draft.issuer == other.issuer) {
            wrong.push(format!("has the same `issuer` {} as `{}`", shown(issuer), other.name));
        }
        if let (Some(KeySource::Hs256(mine)), Some(KeySource::Hs256(theirs))) = (&draft.key, &other.key)
            && mine.expose() == theirs.expose()
        {
            wrong.push(format!("has the same secret as `{}`: each could sign for the other", other.name));
        }
        let pairs = draft.users.iter().flat_map(|mine| other.users.iter().map(move |theirs| (mine, theirs)));
        for (mine, theirs) in pairs.filter(|(mine, theirs)| overlap(mine, theirs)) {
            let name = &other.name;
            wrong.push(format!("`users` {} overlaps {} of `{name}`", shown(mine), shown(theirs)));
        }
    }
    wrong
}

fn finished(draft: IssuerDraft) -> Option<Issuer> {
    let key: KeySource = draft.key?;
    Some(Issuer {
        issuer: draft.issuer,
        audience: draft.audience,
        key,
        users: draft.users,
        roles: draft.roles,
    })
}

/// Where the issuer begins. One of the plain keys begins, for a reader, where its key is.
fn place(draft: &IssuerDraft) -> Option<&Place> {
    let lines_first = |place: &&Place| match place {
        Place::Line(line) => Some(*line),
        Place::Variable(_) => None,
    };
    let keys = KEY_SOURCES.iter().filter_map(|word| draft.places.get(word)).max_by_key(lines_first);
    draft.place.as_ref().or(keys).or_else(|| draft.places.values().max_by_key(lines_first))
}

fn listing(words: &[&&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
