//! A form as browsers send one with a file (`multipart/form-data`, RFC 7578): its fields, held, up
//! to S3's limit, and its file, as it comes. What comes after the file is read and thrown away, as
//! S3 does. It knows no field's meaning.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt;

use crate::error::Fault;
use crate::service::{Body, BodyError};

/// The most bytes of a form before its file (S3 API Reference, "POST Object").
const LARGEST_FIELDS: usize = 20 * 1024;

/// The longest boundary (RFC 2046, section 5.1.1).
const LONGEST_BOUNDARY: usize = 70;

/// A form whose file is to come.
pub struct Form {
    /// Names in lower case, which is how they are compared.
    pub(super) fields: Vec<(String, String)>,
    pub(super) file_name: String,
    pub(super) file: Body,
}

impl Form {
    /// The value of that field, whose name is in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Reads a form up to its file.
    ///
    /// # Errors
    ///
    /// `MalformedPOSTRequest`, `MaxPostPreDataLengthExceededError`, `InvalidArgument`: it has no
    /// file, or a field twice.
    pub(super) async fn read(content_type: &str, mut body: Body) -> Result<Form, Fault> {
        let boundary = boundary(content_type).ok_or_else(malformed)?;
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first delimiter has no line before it.
        let mut held = BytesMut::from(&b"\r\n"[..]);
        // Looked at again when there is twice as much, so that small pieces cost no more.
        let mut looked_at = 0;
        loop {
            let frame = body.frame().await;
            let is_end = frame.is_none();
            if let Some(frame) = frame {
                if let Ok(data) = frame.map_err(|_| malformed())?.into_data() {
                    held.extend_from_slice(&data);
                }
                let is_more = held.len() > looked_at + looked_at / 8;
                if !is_more && held.len() <= LARGEST_FIELDS {
                    continue;
                }
            }
            looked_at = held.len();
            if let Some(head) = Head::of(&held, &delimiter)? {
                let file = held.split_off(head.start);
                let file = FileBody {
                    inner: body,
                    delimiter,
                    held: file,
                    is_over: false,
                };
                return Ok(Form {
                    fields: head.fields,
                    file_name: head.file_name,
                    file: file.boxed_unsync(),
                });
            }
            if held.len() > LARGEST_FIELDS {
                return Err(too_much());
            }
            if is_end {
                return Err(malformed());
            }
        }
    }
}

/// What a form has before the bytes of its file.
struct Head {
    fields: Vec<(String, String)>,
    file_name: String,
    /// Where those bytes begin.
    start: usize,
}

impl Head {
    /// That of a form of which so much has come; `None`: not all of it has.
    fn of(held: &[u8], delimiter: &[u8]) -> Result<Option<Head>, Fault> {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut at = 0;
        loop {
            let rest = &held[at..];
            let Some(rest) = rest.strip_prefix(delimiter) else {
                return match delimiter.starts_with(rest) {
                    true => Ok(None),
                    false => Err(malformed()),
                };
            };
            match rest {
                [b'\r', b'\n', ..] => {}
                [b'-', b'-', ..] => return Err(no_file()),
                [] | [b'\r' | b'-'] => return Ok(None),
                _ => return Err(malformed()),
            }
            let head = at + delimiter.len() + 2;
            let Some(length) = find(&held[head..], b"\r\n\r\n") else {
                return Ok(None);
            };
            let start = head + length + 4;
            if start > LARGEST_FIELDS {
                return Err(too_much());
            }
            let (name, file_name) = names(&held[head..head + length]).ok_or_else(malformed)?;
            if name == "file" {
                let file_name = file_name.unwrap_or_default();
                return Ok(Some(Head {
                    fields,
                    file_name,
                    start,
                }));
            }
            let Some(length) = find(&held[start..], delimiter) else {
                return Ok(None);
            };
            let value = std::str::from_utf8(&held[start..start + length]);
            let value = value.map_err(|_| malformed())?;
            if fields.iter().any(|(known, _)| *known == name) {
                let text = "The form has a field more than once.";
                return Err(Fault::argument("Field", &name, text));
            }
            fields.push((name, value.to_owned()));
            at = start + length;
        }
    }
}

/// The name of a part, in lower case, and that of its file, from its headers.
fn names(headers: &[u8]) -> Option<(String, Option<String>)> {
    let headers = std::str::from_utf8(headers).ok()?;
    let mut lines = headers
        .split("\r\n")
        .filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-disposition"))?;
    let rest = value.trim().strip_prefix("form-data")?;
    let name = parameter(rest, "name")?.to_ascii_lowercase();
    // Some browsers send the whole path.
    let file_name = parameter(rest, "filename");
    let last = |path: &str| {
        path.rsplit(['/', '\\'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    Some((name, file_name.map(last)))
}

/// `; name="value"` among such parameters; the value also without quotes.
fn parameter<'a>(mut rest: &'a str, wanted: &str) -> Option<&'a str> {
    loop {
        rest = rest.trim_start().strip_prefix(';')?.trim_start();
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<&str> {
    let (_, parameters) = content_type.split_at(content_type.find(';')?);
    let boundary = parameter(parameters, "boundary")?.trim();
    let is_one = (1..=LONGEST_BOUNDARY).contains(&boundary.len());
    (is_one && boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte))).then_some(boundary)
}

/// Where these bytes are first.
fn find(within: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = within[from..].iter().position(|byte| *byte == wanted[0]) {
        let start = from + at;
        if within[start..].starts_with(wanted) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

/// The bytes of the file: those before the next delimiter.
struct FileBody {
    inner: Body,
    delimiter: Vec<u8>,
    /// What came, and may have the beginning of a delimiter at its end.
    held: BytesMut,
    is_over: bool,
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if !this.is_over {
                let found = find(&this.held, &this.delimiter);
                let sure = this.held.len().saturating_sub(this.delimiter.len() - 1);
                let bytes = this.held.split_to(found.unwrap_or(sure)).freeze();
                if found.is_some() {
                    this.is_over = true;
                    this.held.clear();
                }
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !this.is_over
                    {
                        this.held.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if this.is_over => return Poll::Ready(None),
                None => {
                    let error = BodyError::from("the form ended before its file did");
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

fn malformed() -> Fault {
    let text = "The body of your POST request is not well-formed multipart/form-data.";
    Fault::bad("MalformedPOSTRequest", text)
}

fn too_much() -> Fault {
    let text = "Your POST request fields preceeding the upload file was too large.";
    Fault::bad("MaxPostPreDataLengthExceededError", text)
        .member("MaxPostPreDataLengthBytes", LARGEST_FIELDS.to_string())
}

fn no_file() -> Fault {
    let text = "POST requires exactly one file upload per request.";
    Fault::argument("file", "0", text)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, stream};
    use http_body_util::StreamBody;

    use super::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"a b\"";

    /// The form of that text in pieces of that size.
    fn read(text: &str, piece: usize) -> Result<(Form, Result<Bytes, String>), Fault> {
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(piece)
            .map(|bytes| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(bytes))))
            .collect();
        let body = StreamBody::new(stream::iter(pieces));
        let body = BodyExt::map_err(body, |never| match never {});
        let form = Form::read(TYPE, BodyExt::boxed_unsync(body))
            .now_or_never()
            .unwrap()?;
        let empty = http_body_util::Empty::new().map_err(|never| match never {});
        let Form {
            fields,
            file_name,
            file,
        } = form;
        let file = file.collect().now_or_never().unwrap();
        let file = file
            .map(|file| file.to_bytes())
            .map_err(|error| error.to_string());
        let form = Form {
            fields,
            file_name,
            file: empty.boxed_unsync(),
        };
        Ok((form, file))
    }

    #[test]
    fn a_form_is_read_in_pieces_of_any_size() {
        let file = "\r\n--a-bytes\r\n--a\r\n\r\n--\r\n--a ".repeat(9);
        let text = format!(
            "--a b\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\nu/${{filename}}\r\n\
             --a b\r\ncontent-disposition:form-data;name=empty\r\nX: y\r\n\r\n\r\n\
             --a b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d\\f;=.txt\"\r\n\
             Content-Type: text/plain\r\n\r\n{file}\r\n--a b\r\n\
             Content-Disposition: form-data; name=\"after\"\r\n\r\nx\r\n--a b--\r\n"
        );
        for piece in [1, 2, 3, 7, 64, 100_000] {
            let (form, read) = read(&text, piece).unwrap();
            assert_eq!(form.field("key"), Some("u/${filename}"));
            assert_eq!(form.field("empty"), Some(""));
            assert_eq!((form.field("after"), form.fields.len()), (None, 2));
            assert_eq!(form.file_name, "f;=.txt");
            assert_eq!(read.unwrap(), file, "in pieces of {piece}");
        }
        let cut = &text[..text
            .find("\r\n--a b\r\nContent-Disposition: form-data; name=\"af")
            .unwrap()];
        let (_, ended) = read(cut, 10).unwrap();
        assert!(ended.is_err());
    }

    #[test]
    fn what_is_no_form_is_refused_and_what_is_too_much() {
        let code = |text: &str| read(text, 50).map(|_| ()).unwrap_err().code.into_owned();
        let field = |name: &str, value: &str| {
            format!("--a b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        assert_eq!(code(""), "MalformedPOSTRequest");
        assert_eq!(code("--a c\r\n"), "MalformedPOSTRequest");
        assert_eq!(
            code("--a b\r\nX: y\r\n\r\nv\r\n--a b--"),
            "MalformedPOSTRequest"
        );
        assert_eq!(code("--a b--\r\n"), "InvalidArgument");
        assert_eq!(code(&(field("k", "v") + "--a b--\r\n")), "InvalidArgument");
        let twice = field("k", "1") + &field("K", "2") + &field("file", "x");
        assert_eq!(code(&twice), "InvalidArgument");
        let much = field("k", &"v".repeat(LARGEST_FIELDS)) + &field("file", "x");
        assert_eq!(code(&much), "MaxPostPreDataLengthExceededError");
        assert_eq!(code(&"-".repeat(100_000)), "MalformedPOSTRequest");
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary=\"\"",
            "a;b",
        ] {
            assert_eq!(boundary(content_type), None);
        }
        assert_eq!(boundary("multipart/form-data; boundary=x-y"), Some("x-y"));
    }
}
