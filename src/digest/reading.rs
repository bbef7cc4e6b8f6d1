//! Files on their way through the hash: several at once, piece by piece, and those kept that say what a model depends on.

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use http::StatusCode;
use http_body_util::BodyExt;

use super::dependencies::{Kind, LONGEST, Texts};
use super::listing::{Entry, Files};
use super::shelf::{Shelf, join};
use super::{ATTEMPTS, DigestError, FileHash, PAUSE, Progress, hex};
use crate::upstream::{Reply, UpstreamError};

/// Reads every file, and gives them back in the order of their paths.
pub(super) async fn all(
    shelf: &Shelf<'_>,
    files: &Files,
    progress: &Progress,
) -> Result<(Vec<FileHash>, Texts), DigestError> {
    let (mut read, mut texts) = (Vec::with_capacity(files.entries.len()), Texts::default());
    let (mut waiting, mut reading) = (files.entries.iter(), FuturesUnordered::new());
    loop {
        let room = shelf.at_once().saturating_sub(reading.len());
        for file in waiting.by_ref().take(room) {
            reading.push(patiently(shelf, join(&files.base, &file.path), file, progress));
        }
        let Some((hash, text)) = reading.try_next().await? else { break };
        if let Some((kind, text)) = text {
            texts.keep(kind, text);
        }
        read.push(hash);
    }
    read.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok((read, texts))
}

type ReadFile = (FileHash, Option<(Kind, Vec<u8>)>);

async fn patiently(
    shelf: &Shelf<'_>,
    path: String,
    file: &Entry,
    progress: &Progress,
) -> Result<ReadFile, DigestError> {
    let address = shelf.file(&path)?;
    let mut attempt = 1;
    loop {
        let mut count = 0;
        let failed = match whole(shelf, &address, file, progress, &mut count).await {
            Ok(read) => {
                progress.done();
                return Ok(read);
            }
            Err(failed) => failed,
        };
        progress.lost(count);
        let passing = matches!(&failed, DigestError::Upstream(error) if may_pass(error))
            || matches!(&failed, DigestError::Status(status) if status.is_server_error());
        if !passing || attempt == ATTEMPTS {
            return Err(failed);
        }
        tokio::time::sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}

/// One file to its end. What is not there, or not as long as it was listed, has changed since.
async fn whole(
    shelf: &Shelf<'_>,
    address: &str,
    file: &Entry,
    progress: &Progress,
    count: &mut u64,
) -> Result<ReadFile, DigestError> {
    let response = shelf.mlflow.send(shelf.facts.question(address)).await?;
    match response.status() {
        StatusCode::OK => {}
        // 400 is what has become a folder.
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => return Err(DigestError::Changing),
        other => return Err(DigestError::Status(other)),
    }
    let mut body: Reply = response.into_body();
    let mut kept = Kind::of(&file.path).map(|kind| (kind, Vec::new()));
    let mut hash = Context::new(&SHA256);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(UpstreamError::CutShort)?.into_data() else { continue };
        hash.update(&piece);
        *count += piece.len() as u64;
        progress.read(piece.len() as u64);
        if file.size.is_some_and(|size| *count > size) {
            return Err(DigestError::Changing);
        }
        kept = kept.filter(|(_, text)| text.len() + piece.len() <= LONGEST);
        if let Some((_, text)) = &mut kept {
            text.extend_from_slice(&piece);
        }
    }
    if file.size.is_some_and(|size| *count != size) {
        return Err(DigestError::Changing);
    }
    let hash = FileHash { path: file.path.clone(), size: *count, sha256: hex(&hash.finish()) };
    Ok((hash, kept))
}

/// Whether the same question may be answered a moment later.
pub(super) fn may_pass(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::NotSent(_) | UpstreamError::Unanswered(_) | UpstreamError::CutShort(_) => true,
        UpstreamError::CallerBroke(_)
        | UpstreamError::Unwritable(_)
        | UpstreamError::ResponseTooLarge { .. }
        | UpstreamError::NoRoom(_) => false,
    }
}
