//! sekisho's own API, on the listener of clients.

use super::words::*;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(GET, Own, "models/{name}/versions/{version}", Nothing, &[on(MetadataRead, Model("name"))], Read).answers(Answer::Ours(Ours::Version)),
    row(POST, Own, "models/{name}/versions/{version}/digest", Message("own.TakeDigest"), &[on(ModelWrite, Model("name"))], Write).answers(Answer::Ours(Ours::TakeDigest)),
    row(GET, Own, "names", Message("own.Names"), &[on(MetadataRead, SomeModel)], Read).answers(Answer::Ours(Ours::Names)),
    row(POST, Own, "names:check", Message("own.CheckNames"), SIGNED_IN, Read).answers(Answer::Ours(Ours::CheckNames)),
    row(GET, Own, "search", Message("own.Search"), &[on(MetadataRead, SomeModel)], Read).answers(Answer::Ours(Ours::Search)),
];
