//! An OK packet as its client should see it: only the session state that the client asked for.

use super::super::frame::{self, FrameHeader, HEADER};
use super::super::status::Status;
use super::super::writer::put_lenenc_bytes;
use super::track::{RawEntries, SYSTEM_VARIABLES, decode, next_variable};
use super::{OkView, Reader, TrackEntry};

/// Drops the whole state block of the OK packet at the start of `frame`, header and status flags included.
///
/// Gives the frame's new length; the bytes between it and the old one are stale. A frame that has no state block,
/// or is no OK packet, stays as it is.
pub fn strip_ok_in_place(frame: &mut [u8]) -> usize {
    let whole = FrameHeader::parse(frame).map_or(frame.len(), FrameHeader::frame_len);
    strip(frame).unwrap_or(whole)
}

fn strip(frame: &mut [u8]) -> Option<usize> {
    let seq = FrameHeader::parse(frame)?.seq;
    let ok = OkView::parse(frame::payload(frame)?)?;
    if !ok.status.contains(Status::STATE_CHANGED) {
        return None;
    }
    let status = ok.status.without(Status::STATE_CHANGED);
    let status_at = ok.status_at;
    let len = match ok.info {
        // MariaDB sets the flag in EOF packets too, which hold nothing else.
        _ if ok.is_eof() => ok.info_end,
        [] => ok.info_at(),
        _ => ok.info_end,
    };
    frame
        .get_mut(HEADER + status_at..)?
        .first_chunk_mut()
        .map(|place| *place = status.0.to_le_bytes())?;
    frame::patch_header(frame, 0, FrameHeader { len, seq });
    Some(HEADER + len)
}

/// Counts one warning more in the OK or EOF packet at the start of `frame`. Another packet stays as it is.
pub fn add_warning(frame: &mut [u8]) {
    change_warnings(frame, |count| count.saturating_add(1));
}

/// Gives the OK or EOF packet at the start of `frame` another count of warnings. Another packet stays as it is.
pub fn set_warnings(frame: &mut [u8], count: u16) {
    change_warnings(frame, |_| count);
}

fn change_warnings(frame: &mut [u8], change: impl FnOnce(u16) -> u16) {
    let Some(ok) = frame::payload(frame).and_then(OkView::parse) else {
        return;
    };
    let (at, warnings) = (HEADER + ok.warnings_at(), change(ok.warnings));
    if let Some(place) = frame.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = warnings.to_le_bytes();
    }
}

/// Sets and clears status flags of the OK or EOF packet at the start of `frame`. What is no such packet
/// stays as it is.
pub fn change_status(frame: &mut [u8], set: u16, clear: u16) {
    let Some(ok) = frame::payload(frame).and_then(OkView::parse) else {
        return;
    };
    let (status, at) = ((ok.status.0 | set) & !clear, ok.status_at);
    let place = frame
        .get_mut(HEADER + at..)
        .and_then(<[u8]>::first_chunk_mut);
    if let Some(place) = place {
        *place = status.to_le_bytes();
    }
}

/// Appends the OK packet at the start of `frame` to `out` with only the entries that `keep` allows; none if the client has
/// no CLIENT_SESSION_TRACK. Several variables of one entry are asked for one by one.
///
/// The sequence id stays. Without an entry left, the packet is as a server sends it when nothing changed. Gives false
/// and appends nothing if `frame` does not begin with a whole OK or EOF packet.
pub fn rewrite_ok(
    frame: &[u8],
    out: &mut Vec<u8>,
    client_has_session_track: bool,
    mut keep: impl FnMut(&TrackEntry<'_>) -> bool,
) -> bool {
    let (Some(header), Some(payload)) = (FrameHeader::parse(frame), frame::payload(frame)) else {
        return false;
    };
    let Some(ok) = OkView::parse(payload) else {
        return false;
    };
    if !ok.status.contains(Status::STATE_CHANGED) {
        out.extend_from_slice(frame.get(..header.frame_len()).unwrap_or_default());
        return true;
    }
    if ok.is_eof() {
        let start = out.len();
        out.extend_from_slice(frame.get(..header.frame_len()).unwrap_or_default());
        strip_ok_in_place(out.get_mut(start..).unwrap_or_default());
        return true;
    }
    let mut state = Vec::new();
    if client_has_session_track {
        keep_entries(ok.state, &mut state, &mut keep);
    }
    let mut seq = header.seq;
    frame::append_with(out, &mut seq, |out| put_ok(out, payload, &ok, &state));
    true
}

fn put_ok(out: &mut Vec<u8>, payload: &[u8], ok: &OkView<'_>, state: &[u8]) {
    let status = match state {
        [] => ok.status.without(Status::STATE_CHANGED),
        _ => ok.status,
    };
    out.extend_from_slice(payload.get(..ok.status_at).unwrap_or_default());
    out.extend_from_slice(&status.0.to_le_bytes());
    out.extend_from_slice(&ok.warnings.to_le_bytes());
    if !state.is_empty() || !ok.info.is_empty() {
        put_lenenc_bytes(out, ok.info);
    }
    if !state.is_empty() {
        put_lenenc_bytes(out, state);
    }
}

/// Copies the entries that `keep` allows. A broken tail is left out: nobody can read it.
fn keep_entries(block: &[u8], out: &mut Vec<u8>, keep: &mut impl FnMut(&TrackEntry<'_>) -> bool) {
    for (kind, data) in RawEntries(Reader::new(block)) {
        let Ok(data) = data else { return };
        if kind == SYSTEM_VARIABLES {
            let kept = keep_variables(data, keep);
            if !kept.is_empty() {
                put_entry(out, kind, &kept);
            }
        } else if keep(&decode(kind, data).unwrap_or(TrackEntry::Other { kind, data })) {
            put_entry(out, kind, data);
        }
    }
}

fn keep_variables(data: &[u8], keep: &mut impl FnMut(&TrackEntry<'_>) -> bool) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut pairs = Reader::new(data);
    while !pairs.is_empty() {
        let entry = next_variable(&mut pairs);
        if let TrackEntry::SystemVariable { name, value } = entry
            && keep(&entry)
        {
            put_lenenc_bytes(&mut kept, name);
            put_lenenc_bytes(&mut kept, value);
        }
    }
    kept
}

fn put_entry(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    out.push(kind);
    put_lenenc_bytes(out, data);
}
