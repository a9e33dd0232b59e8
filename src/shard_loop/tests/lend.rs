//! Parts of one core's files, sent by another.

use onrush_core::ask::{Answer, FetchedPartition, Place};
use onrush_core::types::ErrorCode;

use super::*;

/// Owns the file; answers `Ready` messages (position and length in `bytes`, from memory if `urgent`) with that part of it.
struct Lender(Files);

impl Machine for Lender {
    fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        let Input::Mesh {
            from,
            msg: CoreMsg::Ready { id, bytes, urgent },
        } = input
        else {
            return self.0.step(now, input, out);
        };
        let (position, len) = (Position(bytes >> 32), u32::try_from(bytes & 0xffff_ffff));
        let (file, len) = (self.0.file, len.expect("half of it"));
        let part = if urgent {
            Part::Tail {
                file,
                position,
                len,
            }
        } else {
            Part::Extent {
                file,
                position,
                len,
            }
        };
        let place = Place {
            topic: 0,
            partition: 0,
        };
        let partition = FetchedPartition {
            records: vec![part],
            ..FetchedPartition::failed(place, ErrorCode::None)
        };
        out.push(Effect::Mesh {
            core: from,
            msg: CoreMsg::Answer {
                id,
                answer: Answer::Fetched(vec![partition]),
            },
        });
    }
}

/// Asks the lender for what its clients ask it (kind, position, length).
struct Borrower;

impl Machine for Borrower {
    fn step(&mut self, _now: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Start => out.push(Effect::Note(Note::Ready)),
            Input::Stop => out.push(Effect::Stopped),
            Input::Frame { conn, frame } => {
                let bytes = u64::from_be_bytes(frame[1..].try_into().expect("two numbers"));
                out.push(Effect::Mesh {
                    core: CoreId(1),
                    msg: CoreMsg::Ready {
                        id: WorkId(conn.0),
                        bytes,
                        urgent: frame[0] == b't',
                    },
                });
            }
            Input::Mesh {
                msg:
                    CoreMsg::Answer {
                        id,
                        answer: Answer::Fetched(mut partitions),
                    },
                ..
            } => {
                let conn = ConnId(id.0);
                let records = std::mem::take(&mut partitions[0].records);
                let bytes: u64 = records.iter().map(Part::len).sum();
                let prefix = u32::try_from(bytes).expect("small").to_be_bytes();
                let mut parts = vec![Part::Head(Bytes::copy_from_slice(&prefix))];
                parts.extend(records);
                out.push(Effect::Send {
                    conn,
                    gather: Gather { parts },
                });
                out.push(Effect::ReadNext { conn });
            }
            _ => {}
        }
    }
}

fn question(kind: u8, position: u64, len: u64) -> Bytes {
    let mut question = BytesMut::new();
    question.put_u8(kind);
    question.put_u64(position << 32 | len);
    framed(&question)
}

#[test]
fn what_is_lent_is_sent_and_outlives_its_owner() {
    let [own, other] = <[MeshEnd; 2]>::try_from(crate::mesh::connect(2).expect("descriptors"))
        .ok()
        .expect("two ends");
    let lender = Core::start_with(NetLimits::default(), other, || Lender(Files::new()));
    let core = Core::start_with(NetLimits::default(), own, || Borrower);
    lender.wait_note(&Note::Ready);
    let content = content();
    let mut stream = core.connect();
    let ranges = [
        (b'e', 0, CONTENT_BYTES),
        (b't', 0, CONTENT_BYTES),
        (b't', 4095, 2),
        (b'e', 4096, 8192),
        (b't', 1_234_567, 2_345_678),
    ];
    for (kind, position, len) in ranges {
        stream
            .write_all(&question(kind, position, len))
            .expect("sent");
        let from = usize::try_from(position).expect("small");
        let end = from + usize::try_from(len).expect("small");
        assert!(read_frame(&mut stream) == content[from..end], "{position}");
    }
    // Larger than what sockets hold: most of it is still to be sent when the lender is gone.
    let mut waiting = [core.connect(), core.connect()];
    for (stream, kind) in waiting.iter_mut().zip([b'e', b't']) {
        stream
            .write_all(&question(kind, 0, CONTENT_BYTES))
            .expect("sent");
        // It has begun to come: the lender has lent it.
        stream.peek(&mut [0; 4]).expect("an answer");
    }
    lender.handle.stopper().stop();
    let (_, outcome) = lender.done.recv_timeout(PATIENCE).expect("it ends");
    assert_eq!(outcome, Outcome::Stopped);
    lender.handle.join().expect("the thread ends");
    for stream in &mut waiting {
        assert!(read_frame(stream) == content);
    }
    assert_eq!(core.end(), Outcome::Stopped);
}
