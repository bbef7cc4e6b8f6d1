//! Reads request messages as the gate does, for a test that holds them against protobuf: a line `MESSAGE<TAB>JSON` on
//! standard input becomes `ok<TAB>JSON`, as it would be sent on, or `no<TAB>why`.

use std::io::{self, BufRead as _, Write as _};

use sekisho::route::message::Message;
use sekisho::route::schema::Schema;

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        match understood(&line?) {
            Ok(json) => writeln!(out, "ok\t{json}")?,
            Err(why) => writeln!(out, "no\t{}", why.replace(['\n', '\r'], " "))?,
        }
    }
    out.flush()
}

fn understood(line: &str) -> Result<String, String> {
    let (name, json) = line.split_once('\t').ok_or("no tab in the line")?;
    let schema = Schema::named(name).ok_or("no such message")?;
    Message::of_json(schema, json.as_bytes())
        .map(|message| message.to_json())
        .map_err(|error| error.to_string())
}
