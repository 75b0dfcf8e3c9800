// What a store is asked to do. A driver is one file that implements this for one engine, set up as its own
// documentation advises for the settings given.
//
// Each call of a Writer is one commit that has the engine's safety when the call returns. What a Reader hands out is
// good until the next call on it. A Writer and a Reader belong to one thread each; they go before their engine is
// closed. Failures are thrown as Failure. The virtual call costs one or two nanoseconds and is the same for all.
#pragma once

#include "data.h"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

class Failure : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// What a commit survives when the call returns.
enum class Safety { process, power };

// How a value is read: as of now and in place; in place within one snapshot for all reads; as of now and copied out.
enum class ReadMode { view, snapshot, copy };

// What an engine can be asked for. A row that asks for what an engine does not give is left out for it.
enum Gives : uint32_t {
    gives_process = 1u << 0,     // commits that survive kill -9 of the host
    gives_power = 1u << 1,       // commits that survive power loss
    gives_pairs = 1u << 2,       // loads, point reads, scans
    gives_blocks = 1u << 3,      // 64 KiB blocks read in place
    gives_streams = 1u << 4,     // many streams, appended in batches
    gives_tags = 1u << 5,        // memories found by tag
    gives_tickets = 1u << 6,     // durable later: a callback for each commit
    gives_store = 1u << 7,       // opening, recovery, upkeep: whatever makes sense for a store only
    gives_every_read = 1u << 8,  // bytes checked at every read
    gives_upkeep = 1u << 9,      // chunks, and upkeep in slices of time that the host gives
    gives_threads = 1u << 10,    // appends by many threads
    gives_one_thread = 1u << 11, // appends by one thread
};

struct Settings {
    std::string directory;
    Safety safety = Safety::process;
    uint64_t data_bytes = 0;   // what the store will hold at most: maps and caches are made larger than that
    uint64_t append_bytes = 0; // what this opening appends at most
    uint64_t append_calls = 0; // in how many calls, where it is many small ones
    uint64_t value_bytes = 100;
    uint64_t memory_bytes = 0; // the budget for caches and buffers; 0: as much as serves the engine best
    uint64_t chunk_bytes = 0; // of a store that is made of chunks; 0: its default
    bool check_every_read = false;
    bool background = true;
    unsigned threads = 1;
    unsigned streams = 0; // how many, where the store holds many streams
};

struct Change {
    Bytes key, value;
    bool remove = false;
};

struct Record {
    Bytes stream, data;
};

class Writer {
  public:
    virtual ~Writer() = default;
    virtual void block(Bytes data) = 0;
    virtual void set(Bytes key, Bytes value) = 0;
    virtual void stream(Bytes name, Bytes record) = 0;
    virtual void memory(uint64_t id, const Tags &tags, Bytes data) = 0;
    virtual void apply(const Change *changes, size_t count) = 0;
    virtual void append(const Record *records, size_t count) = 0;
    virtual void memories(const uint64_t *ids, const Bytes *data, size_t count) {
        for (size_t i = 0; i < count; ++i) memory(ids[i], Tags(ids[i]), data[i]);
    }
    // Commits a pair that will be durable later, and waits only while `window` commits of this writer are not yet.
    virtual void ticket(Bytes, Bytes, unsigned) { throw Failure("no tickets"); }
    // Waits until every ticket was called back.
    virtual void drain() {}
};

class Reader {
  public:
    virtual ~Reader() = default;
    // The block that writer number `writer` appended as its number `i`.
    virtual bool block(unsigned writer, uint64_t i, Bytes &data) = 0;
    virtual bool get(Bytes key, Bytes &value) = 0;
    virtual bool record(Bytes stream, uint64_t index, Bytes &data) = 0;
    virtual bool memory(uint64_t id, Bytes &data) = 0;
    // The sum of the digests of those values that there are, and their number.
    virtual uint64_t get_many(const Bytes *keys, size_t count, uint64_t &found) {
        uint64_t sum = 0;
        Bytes value;
        for (size_t i = 0; i < count; ++i)
            if (get(keys[i], value)) sum += digest(value), ++found;
        return sum;
    }
    // Up to `limit` pairs from `start` on: the sum of their digests, and their number.
    virtual uint64_t scan(Bytes start, uint64_t limit, uint64_t &count) = 0;
    // A whole stream.
    virtual uint64_t read_stream(Bytes stream, uint64_t &count) = 0;
    // Every memory with a tag, ids and bytes.
    virtual uint64_t find(Bytes tag, uint64_t &count) = 0;
};

class Engine {
  public:
    virtual ~Engine() = default;
    virtual void open(const Settings &settings) = 0;
    virtual void close() = 0;
    virtual std::unique_ptr<Writer> writer(unsigned number) = 0;
    virtual std::unique_ptr<Reader> reader(ReadMode mode) = 0;
    // Makes everything so far durable.
    virtual void sync() = 0;
    // Brings the store into the shape that it reads best in, as a load that is over would leave it.
    virtual void settle() {}
    // Commits that one call of a writer stands for: the floor for many threads writes what they would and syncs once.
    virtual unsigned commits_a_call(unsigned) const { return 1; }
    // One slice of upkeep of about this many microseconds.
    virtual void maintain(uint64_t) {}
    // Figures of the engine's own, for the results file.
    virtual std::vector<std::pair<std::string, double>> figures() { return {}; }
};

enum class Role { floor, sarsen, peer };

struct EngineKind {
    std::string name;
    Role role;
    uint32_t gives;
    std::string version, note;
    std::function<std::unique_ptr<Engine>()> make;
};

// One a driver; what floor_kinds gives are variants of the floor.
std::vector<EngineKind> floor_kinds();
EngineKind sarsen_kind();
EngineKind lmdb_kind();
EngineKind rocksdb_kind();
EngineKind leveldb_kind();
EngineKind sqlite_kind();
EngineKind redb_kind();
EngineKind fjall_kind();
// The control: answers wrongly.
EngineKind liar_kind();

constexpr uint32_t gives_all_of_a_peer = gives_process | gives_power | gives_pairs | gives_blocks | gives_streams |
                                         gives_tags | gives_store | gives_threads | gives_one_thread;

} // namespace bench
