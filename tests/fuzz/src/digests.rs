//! What a version's digest is made from: MLflow's lists of files, and files that say what a model depends on.

use std::collections::BTreeSet;

use sekisho::digest::dependencies::{self as read_dependencies, Kind, LONGEST_TAG, MOST, Texts};
use sekisho::digest::listing;

/// The folder on the first line, MLflow's list of it on the others. Each name of a list that passes is one segment below
/// the folder, and is taken as it is where it is asked for.
pub fn file_list(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (Some(folder), Some(list)) = (parts.next(), parts.next()) else { return };
    let folder = String::from_utf8_lossy(folder);
    let Ok(found) = listing::read(list, &folder) else { return };
    if let Ok(plain) = serde_json::from_slice::<serde_json::Value>(list) {
        let listed = plain.get("files").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
        assert_eq!(found.files.len() + found.folders.len(), listed, "a file was lost");
    }
    for name in found.files.iter().map(|file| &file.path).chain(&found.folders) {
        assert!(!name.is_empty() && name != "." && name != ".." && !name.contains('/'), "{name:?}");
        assert!(!name.contains(|letter: char| letter.is_ascii_control() || letter == '#'), "{name:?}");
        let path = format!("folder/{name}");
        assert_eq!(listing::check_path(&path), Ok(()));
        let decoded = percent_encoding::percent_decode_str(&path).collect::<Vec<u8>>();
        assert_eq!(decoded, path.as_bytes(), "mlflow would read another name");
    }
}

/// The first byte says which file it is: `r`, `c` or `p`. What is found is sorted, is each there once, is found again in
/// itself, and none of it is an address.
pub fn dependencies(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let kind = match first {
        b'c' => Kind::Conda,
        b'p' => Kind::PythonEnv,
        _ => Kind::Requirements,
    };
    let found = of(kind, text);
    assert!(found.len() <= MOST);
    assert_eq!(
        found.iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(),
        found.iter().collect::<Vec<_>>()
    );
    let requirement = |text: &str| text.split(';').next().unwrap_or_default().to_owned();
    assert!(
        found.iter().all(|found| !requirement(found).contains([' ', '@', '/', ':', '$', '\n'])),
        "{found:?}"
    );
    assert_eq!(of(Kind::Requirements, found.join("\n").as_bytes()), found);
    let tag = read_dependencies::tag(&found);
    let kept: Vec<String> = serde_json::from_str(&tag).expect("a tag of JSON");
    assert!(tag.len() <= LONGEST_TAG && found.starts_with(&kept));
}

fn of(kind: Kind, text: &[u8]) -> Vec<String> {
    let mut texts = Texts::default();
    texts.keep(kind, text.to_vec());
    read_dependencies::of(&texts)
}
