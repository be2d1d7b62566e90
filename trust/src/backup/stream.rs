//! The plaintext of a snapshot: tables and their rows, as a stream of frames.
//!
//! ```text
//! frame = length (u32be) ‖ kind (1) ‖ body        length counts kind and body
//! table = 1 ‖ text name ‖ texts columns ‖ texts statements that make it
//! row   = 2 ‖ count (u16be) ‖ values              of the table before
//! end   = 3 ‖ rows (u64be)                        nothing follows
//! value = 0 | 1 ‖ i64be | 2 ‖ f64be | 3 ‖ text | 4 ‖ bytes
//! text, bytes = length (u32be) ‖ bytes            texts = count (u16be) ‖ text…
//! ```

use super::BackupError;

/// Bytes of one frame at most: a row of SQLite in an object holds 2 MB.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;

const TABLE: u8 = 1;
const ROW: u8 = 2;
const END: u8 = 3;
const LENGTH: usize = 4;

/// A value as SQLite keeps it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A table, before its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The columns that rows have values of, in their order.
    pub columns: Vec<String>,
    /// The statements that make it and what belongs to it; empty where it is there already.
    pub statements: Vec<String>,
}

/// One step of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Rows of this table follow.
    Table(Table),
    /// A row.
    Row(Vec<Value>),
    /// The end; how many rows there were.
    End(u64),
}

impl Frame {
    /// Appends the frame's bytes.
    ///
    /// # Errors
    /// [`BackupError::TooLarge`] if it is longer than [`MAX_FRAME`]; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), BackupError> {
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH]);
        match self {
            Self::Table(table) => {
                out.push(TABLE);
                text(out, &table.name);
                texts(out, &table.columns);
                texts(out, &table.statements);
            }
            Self::Row(values) => {
                out.push(ROW);
                count(out, values.len());
                values.iter().for_each(|one| value(out, one));
            }
            Self::End(rows) => {
                out.push(END);
                out.extend_from_slice(&rows.to_be_bytes());
            }
        }
        let length = out.len().saturating_sub(start).saturating_sub(LENGTH);
        if length > MAX_FRAME {
            out.truncate(start);
            return Err(BackupError::TooLarge);
        }
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        out.iter_mut()
            .skip(start)
            .zip(length)
            .for_each(|(to, from)| *to = from);
        Ok(())
    }
}

fn count(out: &mut Vec<u8>, many: usize) {
    out.extend_from_slice(&u16::try_from(many).unwrap_or(u16::MAX).to_be_bytes());
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn text(out: &mut Vec<u8>, text: &str) {
    bytes(out, text.as_bytes());
}

fn texts(out: &mut Vec<u8>, texts: &[String]) {
    count(out, texts.len());
    texts.iter().for_each(|one| text(out, one));
}

fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Integer(number) => {
            out.push(1);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Real(number) => {
            out.push(2);
            out.extend_from_slice(&number.to_bits().to_be_bytes());
        }
        Value::Text(one) => {
            out.push(3);
            text(out, one);
        }
        Value::Blob(one) => {
            out.push(4);
            bytes(out, one);
        }
    }
}

/// Reads frames from chunks, whatever the chunks were cut at.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    read: usize,
    columns: Option<usize>,
    rows: u64,
    ended: bool,
}

impl Decoder {
    /// Adds the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.read);
        self.read = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// Returns the next frame, or nothing if it is not all there yet.
    ///
    /// # Errors
    /// [`BackupError::Invalid`] for anything that is no frame, for a row without its table or of
    /// another length, and for what follows the end.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, BackupError> {
        let rest = self.pending.get(self.read..).unwrap_or_default();
        if self.ended && !rest.is_empty() {
            return Err(BackupError::Invalid);
        }
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length == 0 || length > MAX_FRAME {
            return Err(BackupError::Invalid);
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = decode(body)?;
        self.read = self.read.saturating_add(LENGTH).saturating_add(length);
        self.judge(&frame)?;
        Ok(Some(frame))
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`BackupError::Invalid`] if its end was not reached.
    pub fn finish(self) -> Result<(), BackupError> {
        let whole = self.ended && self.read == self.pending.len();
        whole.then_some(()).ok_or(BackupError::Invalid)
    }

    fn judge(&mut self, frame: &Frame) -> Result<(), BackupError> {
        match frame {
            Frame::Table(table) => self.columns = Some(table.columns.len()),
            Frame::Row(values) => {
                if self.columns != Some(values.len()) {
                    return Err(BackupError::Invalid);
                }
                self.rows = self.rows.saturating_add(1);
            }
            Frame::End(rows) => {
                if *rows != self.rows {
                    return Err(BackupError::Invalid);
                }
                self.ended = true;
            }
        }
        Ok(())
    }
}

fn decode(body: &[u8]) -> Result<Frame, BackupError> {
    let mut reader = Reader(body);
    let [kind] = reader.take()?;
    let frame = match kind {
        TABLE => Frame::Table(Table {
            name: reader.text()?,
            columns: reader.texts()?,
            statements: reader.texts()?,
        }),
        ROW => {
            let count = reader.count()?;
            let mut values = Vec::with_capacity(count.min(64));
            for _ in 0..count {
                values.push(reader.value()?);
            }
            Frame::Row(values)
        }
        END => Frame::End(u64::from_be_bytes(reader.take()?)),
        _ => return Err(BackupError::Invalid),
    };
    if reader.0.is_empty() {
        Ok(frame)
    } else {
        Err(BackupError::Invalid)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let (front, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(BackupError::Invalid)?;
        self.0 = rest;
        Ok(*front)
    }

    fn count(&mut self) -> Result<usize, BackupError> {
        Ok(usize::from(u16::from_be_bytes(self.take()?)))
    }

    fn bytes(&mut self) -> Result<&'a [u8], BackupError> {
        let length = u32::from_be_bytes(self.take()?);
        let length = usize::try_from(length).map_err(|_error| BackupError::Invalid)?;
        let (front, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(BackupError::Invalid)?;
        self.0 = rest;
        Ok(front)
    }

    fn text(&mut self) -> Result<String, BackupError> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_error| BackupError::Invalid)?;
        Ok(text.to_owned())
    }

    fn texts(&mut self) -> Result<Vec<String>, BackupError> {
        (0..self.count()?).map(|_| self.text()).collect()
    }

    fn value(&mut self) -> Result<Value, BackupError> {
        let [kind] = self.take()?;
        Ok(match kind {
            0 => Value::Null,
            1 => Value::Integer(i64::from_be_bytes(self.take()?)),
            2 => Value::Real(f64::from_bits(u64::from_be_bytes(self.take()?))),
            3 => Value::Text(self.text()?),
            4 => Value::Blob(self.bytes()?.to_vec()),
            _ => return Err(BackupError::Invalid),
        })
    }
}
