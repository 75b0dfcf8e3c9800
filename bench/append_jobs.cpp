// Appends: durable and process-safe, of each kind of data, in four sizes, by 1, 4 and 16 threads, and with tickets.
//
// Each commit is measured from call to return. Afterwards the store is closed, opened again, and what was
// acknowledged is read back and compared: a sample, with the newest of each thread.
#include "drive.h"

namespace bench {
namespace {

enum class Kind { block, pair, stream, memory };

struct Append {
    std::string row;
    Kind kind;
    Safety safety;
    uint64_t size;
    unsigned threads, window; // window: commits in flight a thread, with tickets; 0: blocking
};

const char *const kind_names[] = {"block", "kv", "stream", "memory"};

uint64_t identity(unsigned thread, uint64_t number) { return (uint64_t{thread} << 32) | number; }

void one(Writer &writer, const Append &what, unsigned thread, const std::string &stream, uint64_t number) {
    const uint64_t id = identity(thread, number);
    const Bytes data = pool().value(id, what.size);
    switch (what.kind) {
    case Kind::block: writer.block(data); break;
    case Kind::pair:
        if (what.window != 0)
            writer.ticket(random_key(id).bytes(), data, what.window);
        else
            writer.set(random_key(id).bytes(), data);
        break;
    case Kind::stream: writer.stream(bytes(stream), data); break;
    case Kind::memory: writer.memory(id, Tags(id), data); break;
    }
}

bool read_back(Reader &reader, const Append &what, bool floor, unsigned thread, uint64_t number, Bytes &data) {
    const uint64_t id = identity(thread, number);
    if (floor || what.kind == Kind::block) return reader.block(thread, number, data);
    if (what.kind == Kind::pair) return reader.get(random_key(id).bytes(), data);
    if (what.kind == Kind::stream) return reader.record(bytes(stream_name(thread)), number, data);
    return reader.memory(id, data);
}

void check(Engine &engine, const Append &what, bool floor, const std::vector<Driven> &driven) {
    const std::unique_ptr<Reader> reader = engine.reader(ReadMode::view);
    for (unsigned thread = 0; thread < driven.size(); ++thread) {
        const uint64_t all = driven[thread].all, step = std::max<uint64_t>(1, all / 200);
        for (uint64_t number = all; number-- > 0; number -= std::min(step - 1, number)) {
            Bytes data;
            const Bytes expected = pool().value(identity(thread, number), what.size);
            const bool found = read_back(*reader, what, floor, thread, number, data);
            if (!found || data.size != expected.size || std::memcmp(data.data, expected.data, data.size) != 0)
                throw Failure("WRONG ANSWER: append " + std::to_string(number) + " of thread " +
                              std::to_string(thread) + (found ? " has other bytes" : " is not there"));
        }
    }
}

void run(Cell &cell, const Append &what) {
    const Options &options = cell.options;
    const bool power = what.safety == Safety::power;
    Settings settings;
    settings.directory = cell.fresh();
    settings.safety = what.window != 0 ? Safety::process : what.safety;
    const double seconds = options.quick ? 0.04 : options.seconds;
    const uint64_t record = what.size + 80, most = (options.quick ? uint64_t{24} : uint64_t{512}) << 20;
    // No disk syncs 20,000 times a second; the floor for many threads makes one call for all of them.
    const uint64_t synced = static_cast<uint64_t>(20'000 * 1.3 * seconds) + 1;
    const uint64_t calls =
        std::min(most / record / what.threads, power && what.window == 0 ? synced : uint64_t{UINT32_MAX});
    settings.append_calls = calls * what.threads;
    settings.append_bytes = settings.append_calls * record;
    settings.data_bytes = settings.append_bytes;
    settings.value_bytes = what.size;
    settings.threads = what.threads;
    const std::unique_ptr<Engine> engine = cell.kind.make();
    engine->open(settings);

    const unsigned each = engine->commits_a_call(what.threads); // commits that one call stands for
    const unsigned threads = each > 1 ? 1 : what.threads;
    Drive how;
    how.operations_most = calls;
    how.seconds = seconds;
    how.warm_seconds = how.seconds / 4;
    how.warm_operations = how.operations_most / 5;
    how.sample = power && what.window == 0 ? 1 : 16;
    std::vector<Driven> driven(threads);
    Gate gate(threads);
    in_threads(threads, [&](unsigned thread) {
        const std::unique_ptr<Writer> writer = engine->writer(thread);
        const std::string stream = stream_name(thread);
        driven[thread] = drive(how, gate, [&](uint64_t number) { one(*writer, what, thread, stream, number); });
        writer->drain();
        if (what.window != 0) driven[thread].end = now_ns(); // only now is every commit durable
    });

    Result result;
    result.row = what.row;
    Histogram latencies;
    for (const Driven &one : driven) {
        result.operations += one.operations * each;
        latencies.merge(one.latencies);
    }
    result.seconds = wall_seconds(driven);
    const double rate = static_cast<double>(result.operations) / result.seconds;
    result.value = power ? rate : 1e9 / rate;
    if (what.window == 0 && each == 1) result.latencies(latencies);
    result.figures = engine->figures();

    engine->close();
    engine->open(settings);
    check(*engine, what, cell.kind.role == Role::floor, driven);
    engine->close();
    cell.emit(result);
}

std::string size_text(uint64_t size) {
    return size >= 1024 ? std::to_string(size >> 10) + " KiB" : std::to_string(size) + " B";
}

void add(std::vector<Job> &jobs, const Append &what, bool in_quick) {
    const bool power = what.safety == Safety::power;
    Row row;
    row.name = what.row;
    row.title = std::string(power ? "durable " : "process-safe ") + kind_names[static_cast<int>(what.kind)] + ", " +
                size_text(what.size) + ", " + std::to_string(what.threads) +
                (what.threads == 1 ? " thread" : " threads");
    if (what.window != 0) row.title += ", tickets, " + std::to_string(what.window) + " in flight a thread";
    row.unit = power ? "/s" : "ns";
    row.more_is_better = power;
    row.needs = (power ? gives_power : gives_process) | (what.threads == 1 ? gives_one_thread : gives_threads) |
                (what.window != 0 ? gives_tickets : 0u);
    row.in_quick = in_quick;
    row.every_place = power;
    jobs.push_back({{row}, [what](Cell &cell) { run(cell, what); }});
}

} // namespace

void append_jobs(const Options &, std::vector<Job> &jobs) {
    for (const Safety safety : {Safety::power, Safety::process}) {
        for (const Kind kind : {Kind::block, Kind::pair, Kind::stream, Kind::memory}) {
            for (const unsigned threads : {1u, 4u, 16u}) {
                for (const uint64_t size : {100u, 1u << 10, 16u << 10, 256u << 10}) {
                    const std::string row =
                        std::string("append.") + (safety == Safety::power ? "power." : "process.") +
                        kind_names[static_cast<int>(kind)] + "." +
                        (size >= 1024 ? std::to_string(size >> 10) + "k" : std::to_string(size)) + ".t" +
                        std::to_string(threads);
                    const bool few = threads == 1 ? size == 100 || kind == Kind::block
                                                  : size == 100 && kind == Kind::pair;
                    add(jobs, {row, kind, safety, size, threads, 0}, few);
                }
            }
        }
    }
    for (const unsigned threads : {4u, 16u})
        add(jobs, {"tickets.kv.100.t" + std::to_string(threads), Kind::pair, Safety::power, 100, threads, 64}, true);
}

} // namespace bench
