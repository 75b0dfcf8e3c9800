// A writer at a steady pace beside a reader that never pauses, and upkeep in slices of time that the host gives.
#include "drive.h"

#include <sys/prctl.h>
#include <time.h>

namespace bench {
namespace {

void sleep_until(uint64_t when) {
    const timespec at{static_cast<time_t>(when / 1'000'000'000), static_cast<long>(when % 1'000'000'000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

constexpr uint64_t written_size = 1024, pace_ns = 50'000; // 20,000 a second

// Ends the reader however the writer ends.
struct Ends {
    std::atomic<bool> &over;
    ~Ends() { over.store(true); }
};

// The writer's keys come after those that are read.
void run_beside(Cell &cell) {
    const double seconds = cell.options.quick ? 0.4 : 8;
    const uint64_t count = cell.options.quick ? 20'000 : 200'000;
    const auto writes = static_cast<uint64_t>(seconds * 1e9 / pace_ns);
    Settings settings = pairs_settings(cell.fresh(), count);
    settings.append_bytes = settings.data_bytes;
    const std::unique_ptr<Engine> engine = cell.kind.make();
    engine->open(settings);
    load_pairs(*engine, count);
    engine->settle();
    engine->close();
    // Opened again, now for both.
    const std::unique_ptr<Engine> both = cell.kind.make();
    settings.append_bytes = writes * (written_size + 16) * 2;
    settings.data_bytes += settings.append_bytes;
    settings.threads = 2;
    both->open(settings);

    Histogram writing, reading, late;
    std::atomic<bool> over{false};
    uint64_t read = 0, wrote = 0;
    double read_seconds = 0, write_seconds = 0;
    Gate gate(2);
    in_threads(2, [&](unsigned thread) {
        if (thread == 0) {
            const Ends ends{over};
            prctl(PR_SET_TIMERSLACK, 1);
            const std::unique_ptr<Writer> writer = both->writer(0);
            const auto write = [&](uint64_t i) {
                writer->set(random_key(count + i).bytes(), pool().value(i, written_size));
            };
            for (uint64_t i = 0; i < 200; ++i) write(i);
            gate.pass();
            const uint64_t start = now_ns();
            for (uint64_t i = 200; i < writes; ++i) {
                const uint64_t due = start + (i - 200) * pace_ns;
                if (now_ns() < due) sleep_until(due);
                const uint64_t before = now_ns();
                write(i);
                const uint64_t after = now_ns();
                writing.record(after - before);
                late.record(after - due);
                ++wrote;
            }
            write_seconds = static_cast<double>(now_ns() - start) / 1e9;
            return;
        }
        const std::unique_ptr<Reader> reader = both->reader(ReadMode::view);
        gate.pass();
        const uint64_t start = now_ns();
        while (!over.load(std::memory_order_relaxed)) {
            const uint64_t i = below(read, count), before = now_ns();
            Bytes value;
            const bool found = reader->get(random_key(i).bytes(), value);
            const uint64_t sum = found ? digest(value) : 0;
            reading.record(now_ns() - before);
            if (sum != digest(pool().value(i, value_size))) throw Failure("WRONG ANSWER: beside.reader: other value");
            ++read;
        }
        read_seconds = static_cast<double>(now_ns() - start) / 1e9;
    });
    Result writer;
    writer.row = "beside.writer";
    writer.value = static_cast<double>(writing.at(0.999)) / 1e3;
    writer.operations = wrote;
    writer.seconds = write_seconds;
    writer.latencies(writing);
    writer.figures = both->figures();
    writer.figure("max_us", static_cast<double>(writing.max()) / 1e3);
    writer.figure("behind_schedule_p999_us", static_cast<double>(late.at(0.999)) / 1e3);
    writer.figure("rate", static_cast<double>(wrote) / write_seconds);
    if (cell.wants(writer.row)) cell.emit(writer);
    Result reader;
    reader.row = "beside.reader";
    reader.value = static_cast<double>(reading.at(0.999)) / 1e3;
    reader.operations = read;
    reader.seconds = read_seconds;
    reader.latencies(reading);
    reader.figure("max_us", static_cast<double>(reading.max()) / 1e3);
    reader.figure("rate", static_cast<double>(read) / read_seconds);
    if (cell.wants(reader.row)) cell.emit(reader);

    const std::unique_ptr<Reader> after = both->reader(ReadMode::view);
    for (uint64_t i = 0; cell.kind.role != Role::floor && i < writes; i += 1 + writes / 1000) {
        Bytes value;
        if (!after->get(random_key(count + i).bytes(), value) || digest(value) != digest(pool().value(i, written_size)))
            throw Failure("WRONG ANSWER: beside.writer: a value that was written is not there");
    }
}

// A host with a frame of 16 ms: it writes, gives upkeep 1 ms, and sleeps for the rest.
void run_upkeep(Cell &cell) {
    constexpr uint64_t frame_ns = 16'000'000;
    const uint64_t frames = cell.options.quick ? 30 : 1'000;
    Settings settings;
    settings.directory = cell.fresh();
    settings.background = false;
    const std::unique_ptr<Engine> engine = cell.kind.make();
    engine->open(settings);
    Histogram all, upkeep;
    {
        const std::unique_ptr<Writer> writer = engine->writer(0);
        uint64_t number = 0;
        const uint64_t start = now_ns();
        for (uint64_t frame = 0; frame < frames; ++frame) {
            for (int i = 0; i < 300; ++i, ++number) {
                const uint64_t before = now_ns();
                writer->set(random_key(number).bytes(), pool().value(number, written_size));
                all.record(now_ns() - before);
            }
            const uint64_t before = now_ns();
            engine->maintain(1000);
            const uint64_t took = now_ns() - before;
            all.record(took);
            upkeep.record(took);
            const uint64_t next = start + (frame + 1) * frame_ns;
            if (now_ns() < next) sleep_until(next);
        }
    }
    Result result;
    result.row = "upkeep.call";
    result.value = static_cast<double>(upkeep.at(0.999)) / 1e6;
    result.operations = all.count();
    result.latencies(upkeep);
    result.figures = engine->figures();
    result.figure("any_call_p999_ms", static_cast<double>(all.at(0.999)) / 1e6);
    result.figure("any_call_max_ms", static_cast<double>(all.max()) / 1e6);
    engine->close();
    cell.emit(result);
}

} // namespace

void beside_jobs(const Options &, std::vector<Job> &jobs) {
    jobs.push_back({{{"beside.writer", "writer of 1 KiB at 20,000/s beside a reader, p99.9", "us", false,
                      gives_pairs | gives_process},
                     {"beside.reader", "reader beside that writer, p99.9", "us", false, gives_pairs | gives_process}},
                    run_beside});
    jobs.push_back({{{"upkeep.call", "upkeep of 1 ms once in 16 ms, p99.9 of the call", "ms", false, gives_upkeep}},
                    run_upkeep});
}

} // namespace bench
