//! Lists of files, as MLflow gives them: folder by folder, each name checked, all of it bounded.

use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;

use super::shelf::{Shelf, join};
use super::{ATTEMPTS, DigestError, PAUSE, reading};
use crate::facts::FactError;
use crate::route::target::has_escape;

/// A file as MLflow lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its path below the version's source.
    pub path: String,
    /// Its size in bytes, where the store says it.
    pub size: Option<u64>,
}

/// The files of a version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The folder below the holder's root by which their paths are told.
    pub(super) base: String,
    /// Each, by the bytes of its path.
    pub(super) entries: Vec<Entry>,
}

/// What a folder has, by names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// Its files.
    pub files: Vec<Entry>,
    /// The folders in it.
    pub folders: Vec<String>,
}

/// What is wrong with a list.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ListError {
    /// It is not what MLflow's route answers with.
    #[error("mlflow's list of files could not be read: {0}")]
    Unreadable(String),
    /// A name that no file in the folder can have.
    #[error("mlflow lists {0:?}, which is no name of a file there")]
    Foreign(String),
    /// A name that MLflow reads as another one when it is asked for.
    #[error("mlflow does not give out {0:?} by this name")]
    Unservable(String),
    /// A file that is there twice.
    #[error("mlflow lists {0:?} twice")]
    Twice(String),
    /// Files of which MLflow lists only a part.
    #[error("mlflow lists a part of the files")]
    Partial,
}

/// Folders in folders.
pub const DEEPEST: usize = 64;
/// Files of one version.
pub const MOST_FILES: usize = 1_000_000;
/// Folders of one version.
const MOST_FOLDERS: usize = 100_000;
/// Bytes of all paths together.
const MOST_NAMES: usize = 64 * 1024 * 1024;
/// Folders that are listed at once. An answer has 16 MiB at most: some 100,000 files of one folder.
const AT_ONCE: usize = 4;

/// Every file of a shelf. Where the source is a file, it alone, by its name.
pub(super) async fn all(shelf: &Shelf<'_>) -> Result<Files, DigestError> {
    let mut files = Files { base: shelf.source.to_owned(), entries: below(shelf).await? };
    if files.entries.is_empty() && !shelf.source.is_empty() {
        let (parent, name) = shelf.source.rsplit_once('/').unwrap_or(("", shelf.source));
        let around = folder(shelf, parent).await?;
        files.base = parent.to_owned();
        files.entries.extend(around.files.into_iter().filter(|file| file.path == name));
    }
    files.entries.sort_unstable();
    let twice = files.entries.windows(2).find_map(|pair| match pair {
        [one, other] if one.path == other.path => Some(other.path.clone()),
        _ => None,
    });
    match twice {
        Some(path) => Err(ListError::Twice(path).into()),
        None => Ok(files),
    }
}

async fn below(shelf: &Shelf<'_>) -> Result<Vec<Entry>, DigestError> {
    let (mut files, mut folders, mut names) = (Vec::new(), 1, 0);
    let mut level = vec![String::new()];
    for _ in 0..=DEEPEST {
        let (mut waiting, mut lists, mut next) = (level.into_iter(), FuturesUnordered::new(), Vec::new());
        loop {
            for at in waiting.by_ref().take(AT_ONCE.saturating_sub(lists.len())) {
                lists.push(folder_at(shelf, at));
            }
            let Some((at, listed)) = lists.try_next().await? else { break };
            for file in listed.files {
                let path = join(&at, &file.path);
                names += path.len();
                files.push(Entry { path, size: file.size });
            }
            for name in listed.folders {
                let path = join(&at, &name);
                names += path.len();
                folders += 1;
                next.push(path);
            }
            if files.len() > MOST_FILES {
                return Err(DigestError::TooMany("1,000,000 files"));
            }
            if folders > MOST_FOLDERS {
                return Err(DigestError::TooMany("100,000 folders"));
            }
            if names > MOST_NAMES {
                return Err(DigestError::TooMany("64 MiB of names"));
            }
        }
        if next.is_empty() {
            return Ok(files);
        }
        level = next;
    }
    Err(DigestError::TooMany("64 folders in each other"))
}

async fn folder_at(shelf: &Shelf<'_>, at: String) -> Result<(String, Folder), DigestError> {
    let listed = folder(shelf, &join(shelf.source, &at)).await?;
    Ok((at, listed))
}

async fn folder(shelf: &Shelf<'_>, folder: &str) -> Result<Folder, DigestError> {
    let (address, prefix) = shelf.list_of(folder);
    let mut attempt = 1;
    loop {
        let list = match shelf.facts.look(shelf.mlflow, &address).await {
            Err(error) if may_pass(&error) && attempt < ATTEMPTS => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
                continue;
            }
            other => other?,
        };
        let list = list.ok_or(DigestError::Nowhere)?;
        return Ok(read(&list, prefix)?);
    }
}

fn may_pass(error: &FactError) -> bool {
    matches!(error, FactError::Upstream(error) if reading::may_pass(error))
        || matches!(error, FactError::Status(status) if status.is_server_error())
}

/// Reads MLflow's list of a folder; `prefix` is the path of the folder that it writes before each name.
///
/// # Errors
/// It is none, or has a name that cannot be asked for.
pub fn read(list: &[u8], prefix: &str) -> Result<Folder, ListError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        files: Vec<File>,
        next_page_token: Option<String>,
    }
    #[derive(Deserialize)]
    struct File {
        path: String,
        #[serde(default)]
        is_dir: bool,
        file_size: Option<Size>,
    }
    // MLflow writes numbers of 64 bits as numbers; protobuf's own JSON has them as text.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Number(u64),
        Text(String),
    }
    let list: List =
        serde_json::from_slice(list).map_err(|error| ListError::Unreadable(error.to_string()))?;
    if list.next_page_token.is_some_and(|token| !token.is_empty()) {
        return Err(ListError::Partial);
    }
    let mut found = Folder::default();
    for File { path, is_dir, file_size } in list.files {
        let name = if prefix.is_empty() {
            Some(path.as_str())
        } else {
            path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'))
        };
        let Some(name) = name.filter(|name| is_name(name)) else { return Err(ListError::Foreign(path)) };
        if !is_served(name) {
            return Err(ListError::Unservable(path));
        }
        let size = match file_size {
            None => None,
            Some(Size::Number(size)) => Some(size),
            Some(Size::Text(text)) => {
                Some(text.parse().map_err(|_| ListError::Unreadable("a size is no number".to_owned()))?)
            }
        };
        if is_dir {
            found.folders.push(name.to_owned());
        } else {
            found.files.push(Entry { path: name.to_owned(), size });
        }
    }
    Ok(found)
}

fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// Whether MLflow takes a name as it is. It decodes a path again and again, takes it for a URL each time, and writes control
/// characters in another way (`utils/uri.py` `validate_path_is_safe`): what any of these steps changes would be another file.
fn is_served(name: &str) -> bool {
    !name.bytes().any(|byte| byte.is_ascii_control() || byte == b'#')
        && !has_escape(name)
        && !name.contains(";?")
        && !name.ends_with([';', '?'])
}

/// Whether MLflow takes a whole path below a root as it is.
///
/// # Errors
/// It does not.
pub fn check_path(path: &str) -> Result<(), ListError> {
    let first = path.split('/').next().unwrap_or_default();
    let sound = path.split('/').all(|name| is_name(name) && is_served(name))
        && !first.contains(':')
        && !first.starts_with([' ', '\\']);
    if sound { Ok(()) } else { Err(ListError::Unservable(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_mlflow_takes_as_they_are_pass() {
        for (path, sound) in [
            ("m/MLmodel", true),
            ("m/\u{e9}t\u{e9} 1/100%/%zz", true),
            ("m/a?b", true),
            ("m/a;b", true),
            ("m/a:b", true),
            ("m/a\\b", true),
            ("m/ a ", true),
            ("m/a?", false),
            ("m/a;", false),
            ("m/a;?b", false),
            ("m/a#b", false),
            ("m/a%2fb", false),
            ("m/a\tb", false),
            ("m/a\u{7f}", false),
            ("m//a", false),
            ("m/./a", false),
            ("m/../a", false),
            ("/m", false),
            ("m/", false),
            ("", false),
            ("file:a", false),
            ("c:/a", false),
            (" m", false),
            ("\\\\host/a", false),
        ] {
            assert_eq!(check_path(path).is_ok(), sound, "{path:?}");
        }
    }

    #[test]
    fn a_size_is_a_number_or_its_text() {
        for (written, expected) in [
            ("7", Some(Some(7))),
            (r#""7""#, Some(Some(7))),
            ("null", Some(None)),
            ("18446744073709551615", Some(Some(u64::MAX))),
            ("-1", None),
            ("1.5", None),
            (r#""x""#, None),
        ] {
            let list = format!(r#"{{"files":[{{"path":"a","file_size":{written}}}]}}"#);
            let found = read(list.as_bytes(), "").ok().map(|folder| folder.files[0].size);
            assert_eq!(found, expected, "{written}");
        }
    }
}
