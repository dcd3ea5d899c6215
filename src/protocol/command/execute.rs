//! COM_STMT_EXECUTE: another statement id, and the parameter types that a client sends only once.
//!
//! A client may bind the types in its first execution and leave them out later. A statement that was prepared on
//! another connection has never seen them: they have to be put in again.

use super::CommandCode;
use super::params::{Layout, Parameter, bitmap_len, read_values, skip_types};
use crate::protocol::reader::Reader;
use std::ops::Range;

/// The flag that says that the payload has a parameter count though the statement has no parameters. Where query attributes
/// are in force, a statement with parameters has the count and the names in any case (tried on 9.7: 1210 without them).
const PARAMETER_COUNT_AVAILABLE: u8 = 0x08;
/// The flags that ask for a cursor: read only, for update, scrollable.
const CURSOR_TYPES: u8 = 0x07;

/// A view of a COM_STMT_EXECUTE's payload.
#[derive(Clone, Debug)]
pub struct StmtExecute<'a> {
    payload: &'a [u8],
    /// The statement, as the client knows it.
    pub stmt_id: u32,
    /// Cursor type and PARAMETER_COUNT_AVAILABLE.
    pub flags: u8,
    /// How many of the parameters are the statement's; the others are query attributes.
    prepared_params: usize,
    params: Option<Params>,
}

/// Where the parameters' parts stand.
#[derive(Clone, Debug)]
struct Params {
    count: usize,
    named: bool,
    bitmap: Range<usize>,
    /// The byte that says whether types follow.
    bound_flag_at: usize,
    /// The types, with names if query attributes are in force; empty if the flag says there are none.
    types: Range<usize>,
    bound: bool,
}

impl<'a> StmtExecute<'a> {
    /// Views a payload. `prepared_params` is the parameter count that the prepare gave, `query_attributes` whether they
    /// are in force on the connection (CLIENT_QUERY_ATTRIBUTES). `None` if it is malformed.
    pub fn parse(payload: &'a [u8], prepared_params: u16, query_attributes: bool) -> Option<Self> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != CommandCode::StmtExecute as u8 {
            return None;
        }
        let stmt_id = reader.u32()?;
        let flags = reader.u8()?;
        let _iterations = reader.u32()?;
        let counted =
            query_attributes && (prepared_params > 0 || flags & PARAMETER_COUNT_AVAILABLE != 0);
        let mut count = usize::from(prepared_params);
        if counted {
            count = usize::try_from(reader.lenenc()?).ok()?;
        }
        let params = match count {
            0 => None,
            _ => Some(Params::parse(&mut reader, count, counted)?),
        };
        Some(Self {
            payload,
            stmt_id,
            flags,
            prepared_params: usize::from(prepared_params),
            params,
        })
    }

    /// Whether it has query attributes.
    pub fn has_attributes(&self) -> bool {
        let has_more = |params: &Params| params.count > self.prepared_params;
        self.params.as_ref().is_some_and(has_more)
    }

    /// The values of the statement's parameters, and behind them the query attributes. `earlier_types` are
    /// what the client bound before, for an execution that relies on them; `sent_ahead` are the parameters
    /// whose values came by COM_STMT_SEND_LONG_DATA. `None` if they are malformed.
    pub fn values(
        &self,
        earlier_types: &'a [u8],
        sent_ahead: &'a [u16],
    ) -> Option<(Vec<Parameter<'a>>, Vec<Parameter<'a>>)> {
        let (mut own, mut attributes) = (Vec::new(), Vec::new());
        let Some(params) = &self.params else {
            return Some((own, attributes));
        };
        let layout = Layout {
            count: params.count,
            bitmap: self.payload.get(params.bitmap.clone())?,
            types: self.types().unwrap_or(earlier_types),
            named: params.named,
            sent_ahead,
        };
        let mut reader = Reader::new(self.payload.get(params.types.end..)?);
        read_values(&mut reader, layout, |parameter| {
            if own.len() < self.prepared_params {
                own.push(parameter);
            } else {
                attributes.push(parameter);
            }
        })?;
        Some((own, attributes))
    }

    /// Whether the client asks for a cursor, so that rows come by COM_STMT_FETCH.
    pub fn asks_cursor(&self) -> bool {
        self.flags & CURSOR_TYPES != 0
    }

    /// The types that the client binds with this execution; remember them for later ones.
    pub fn types(&self) -> Option<&'a [u8]> {
        let params = self.params.as_ref()?;
        params
            .bound
            .then(|| self.payload.get(params.types.clone()))?
    }

    /// Type and flags of the value of each of the statement's parameters, `None` where it is NULL.
    /// `earlier_types` are what the client bound before, for an execution that relies on them.
    pub fn bound(
        &self,
        earlier_types: &'a [u8],
    ) -> impl Iterator<Item = Option<[u8; 2]>> + Clone + use<'a> {
        let params = self.params.as_ref();
        let bitmap = params.and_then(|params| self.payload.get(params.bitmap.clone()));
        let named = params.is_some_and(|params| params.named);
        let bitmap = bitmap.unwrap_or_default();
        let mut reader = Reader::new(self.types().unwrap_or(earlier_types));
        (0..self.prepared_params).map_while(move |at| {
            let bound = [reader.u8()?, reader.u8()?];
            if named {
                reader.lenenc_bytes()?;
            }
            let null = bitmap.get(at / 8)? >> (at % 8) & 1 == 1;
            Some((!null).then_some(bound))
        })
    }

    /// Whether the execution relies on types bound earlier.
    pub fn needs_types(&self) -> bool {
        self.params.as_ref().is_some_and(|params| !params.bound)
    }

    /// Appends the payload with another statement id and, if the execution relies on types bound
    /// earlier, with these types put in.
    pub fn rewrite(&self, out: &mut Vec<u8>, stmt_id: u32, earlier_types: Option<&[u8]>) {
        out.push(CommandCode::StmtExecute as u8);
        out.extend_from_slice(&stmt_id.to_le_bytes());
        let part = |range: Range<usize>| self.payload.get(range).unwrap_or_default();
        let end = self.payload.len();
        match (&self.params, earlier_types) {
            (Some(params), Some(types)) if !params.bound => {
                out.extend_from_slice(part(5..params.bound_flag_at));
                out.push(1);
                out.extend_from_slice(types);
                out.extend_from_slice(part(params.bound_flag_at + 1..end));
            }
            _ => out.extend_from_slice(part(5..end)),
        }
    }
}

impl Params {
    fn parse(reader: &mut Reader<'_>, count: usize, named: bool) -> Option<Self> {
        let bitmap_at = reader.pos();
        reader.bytes(bitmap_len(count))?;
        let bound_flag_at = reader.pos();
        let bound = reader.u8()? != 0;
        let types_at = reader.pos();
        if bound {
            skip_types(reader, count, named)?;
        }
        Some(Self {
            count,
            named,
            bitmap: bitmap_at..bound_flag_at,
            bound_flag_at,
            types: types_at..reader.pos(),
            bound,
        })
    }
}
