//! How `klog consume` prints a record.

use std::str::FromStr;

use klog::Record;

use crate::output::{json_bytes, shown};

/// A format, in the letters that kcat made usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    Value,
    Headers,
}

impl Format {
    pub(crate) fn parse(text: &str) -> Result<Format, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let piece = match (c, if matches!(c, '%' | '\\') { chars.next() } else { None }) {
                ('%', Some('t')) => Piece::Topic,
                ('%', Some('p')) => Piece::Partition,
                ('%', Some('o')) => Piece::Offset,
                ('%', Some('T')) => Piece::Timestamp,
                ('%', Some('k')) => Piece::Key,
                ('%', Some('s')) => Piece::Value,
                ('%', Some('h')) => Piece::Headers,
                ('\\', Some(escaped)) => {
                    plain.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        '0' => '\0',
                        '\\' => '\\',
                        other => return Err(format!("\\{other} means nothing; \\n, \\t, \\r, \\0 and \\\\ do")),
                    });
                    continue;
                }
                ('%', Some('%')) => {
                    plain.push('%');
                    continue;
                }
                ('%', Some(other)) => {
                    return Err(format!("%{other} means nothing; %t, %p, %o, %T, %k, %s, %h and %% do"));
                }
                ('%' | '\\', None) => return Err(format!("nothing follows the last {c}")),
                (c, _) => {
                    plain.push(c);
                    continue;
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Format(pieces))
    }

    /// Appends the record to `out`. For a terminal, bytes that would command it are escaped.
    pub(crate) fn write(&self, topic: &str, partition: i32, record: &Record<'_>, terminal: bool, out: &mut Vec<u8>) {
        let bytes = |out: &mut Vec<u8>, bytes: &[u8]| match terminal {
            true => out.extend_from_slice(shown(bytes).as_bytes()),
            false => out.extend_from_slice(bytes),
        };
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Topic => out.extend_from_slice(topic.as_bytes()),
                Piece::Partition => out.extend_from_slice(partition.to_string().as_bytes()),
                Piece::Offset => out.extend_from_slice(record.offset().to_string().as_bytes()),
                Piece::Timestamp => out.extend_from_slice(record.timestamp().to_string().as_bytes()),
                Piece::Key => bytes(out, record.key().unwrap_or_default()),
                Piece::Value => bytes(out, record.value().unwrap_or_default()),
                Piece::Headers => {
                    for (index, (name, value)) in record.headers().enumerate() {
                        if index > 0 {
                            out.push(b',');
                        }
                        bytes(out, name.as_bytes());
                        out.push(b'=');
                        bytes(out, value.unwrap_or(b"NULL"));
                    }
                }
            }
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Format::parse(text)
    }
}

/// A record as JSON.
pub(crate) fn json_record(topic: &str, partition: i32, record: &Record<'_>) -> serde_json::Value {
    let headers: Vec<_> =
        record.headers().map(|(name, value)| serde_json::json!({"key": name, "value": json_bytes(value)})).collect();
    serde_json::json!({
        "topic": topic,
        "partition": partition,
        "offset": record.offset(),
        "timestamp": record.timestamp(),
        "timestampType": format!("{:?}", record.timestamp_type()),
        "key": json_bytes(record.key()),
        "value": json_bytes(record.value()),
        "headers": headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_for_the_parts_of_a_record() {
        let format = Format::parse("%o:%k\\t%s%%\\n").expect("a format");
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(format.0, [Piece::Offset, text(":"), Piece::Key, text("\t"), Piece::Value, text("%\n")]);
        assert_eq!(Format::parse("%x"), Err("%x means nothing; %t, %p, %o, %T, %k, %s, %h and %% do".into()));
        assert_eq!(Format::parse("%"), Err("nothing follows the last %".into()));
    }
}
