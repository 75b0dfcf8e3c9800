//! What an append costs: `cargo test --release log::tests::cost -- --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::vfs::OsVfs;

#[test]
#[ignore = "a measurement, for an otherwise idle machine"]
fn an_append_of_100_bytes_by_memcpy() {
    let root = std::env::temp_dir().join(format!("sarsen-log-cost-{}", std::process::id()));
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    vfs.create_directory(&root).unwrap();
    for (name, commands_len, written, count) in [
        ("memcpy 100 B", 100, false, 2_000_000_u64),
        ("memcpy 1 KiB", 1_024, false, 200_000),
        ("pwrite 100 B", 100, true, 100_000),
    ] {
        let supply = Supply::new(Arc::clone(&vfs), root.clone(), 1, LogWrite::Mapped, 16 << 20);
        let mut appender = Appender::new(UUID, LogPosition::default(), Vec::new());
        let commands = vec![5_u8; commands_len];
        let (mut inside, mut outside) = (0, 0);
        let mut fastest = u128::MAX;
        let mut seq = 0;
        while seq < count {
            let segment = loop {
                let start = Instant::now();
                match supply.take(2_000) {
                    Some(segment) => break segment,
                    None => while supply.prepare(2_000).unwrap() {},
                }
                outside += start.elapsed().as_nanos();
            };
            appender.switch_to(segment);
            let (start, first) = (Instant::now(), seq);
            while appender.has_room(2_000) && seq < count {
                seq += 1;
                let parts = FrameParts {
                    seq,
                    epoch: 1,
                    durable_seq: 0,
                    command_count: 1,
                    payload_crc: 17,
                    assigned: &ASSIGNED,
                    commands: &commands,
                    image: &[],
                };
                appender.append(&parts, &mut [], written).unwrap();
            }
            let elapsed = start.elapsed().as_nanos();
            inside += elapsed;
            fastest = fastest.min(elapsed / u128::from(seq - first).max(1));
            for released in appender.release_before(u64::MAX) {
                supply.recycle(released).unwrap();
            }
        }
        println!(
            "{name}: {} ns an append ({fastest} in the best segment), preparing {} ns more an append",
            inside / u128::from(count),
            outside / u128::from(count)
        );
        for segment in appender.segments() {
            vfs.unlink(&root.join(segment_file_name(segment.number())))
                .unwrap();
        }
        supply.discard().unwrap();
    }
    vfs.remove_directory(&root).unwrap();
}
