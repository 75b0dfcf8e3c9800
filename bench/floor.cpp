// The floor: what the rows cost with nothing but the bytes moved. No recovery, no index that could grow, no checksum.
//
//   floor          appends: memcpy into a prewritten, touched map, or pwrite + fdatasync on a prewritten file; many
//                  threads' commits: what they would write, then one sync. Pairs: a packed array in key order, under
//                  a hash table of twice its entries, both mapped. Blocks: one after another in a map. Streams: a
//                  packed range of a map each.
//   floor-direct, floor-leader, floor-pwrite, floor-crc: other ways to do the same, for comparison only.
#include "floor_log.h"

#include <algorithm>
#include <optional>

namespace bench {
namespace {

constexpr uint64_t streams_most = 1000;

struct Meta {
    uint64_t pairs = 0, value_size = 0, slots = 0, region = 0;
};

// Pairs at rest: entries in key order, and a table of (fingerprint, entry number + 1).
struct Pairs {
    Mapped entries, table;
    Meta meta;
    uint64_t entry_size() const { return 16 + meta.value_size; }
    const uint8_t *entry(uint64_t i) const { return entries.data() + i * entry_size(); }

    static uint64_t hash(const uint8_t *key) {
        uint64_t word;
        std::memcpy(&word, key, 8);
        return word * 0x9e3779b97f4a7c15u;
    }
    // The entry's number; `meta.pairs`: there is none.
    uint64_t find(const uint8_t *key) const {
        const uint64_t mask = meta.slots - 1, hashed = hash(key);
        const auto *slots = reinterpret_cast<const uint64_t *>(table.data());
        for (uint64_t at = hashed >> 32 & mask;; at = (at + 1) & mask) {
            const uint64_t slot = slots[at];
            if (slot == 0) return meta.pairs;
            if ((slot >> 32) != (hashed & 0xffffffffu)) continue;
            const uint64_t number = (slot & 0xffffffffu) - 1;
            if (std::memcmp(entry(number), key, 16) == 0) return number;
        }
    }
};

struct Shared {
    Settings settings;
    std::unique_ptr<FloorLog> log;
    Pairs pairs;
    Mapped streams;
    Meta meta;
    std::vector<uint64_t> stream_ends = std::vector<uint64_t>(streams_most);
    std::vector<std::vector<std::pair<uint64_t, uint32_t>>> places; // by writer: where each append's data is
};

uint64_t stream_number(Bytes name) {
    uint64_t number = 0;
    for (size_t i = name.size - 4; i < name.size; ++i) number = number * 10 + (name.data[i] - '0');
    return number;
}

class FloorWriter : public Writer {
  public:
    FloorWriter(Shared &shared, unsigned number, unsigned times)
        : to_(shared), places_(shared.places.at(number)), times_(times) {}
    void block(Bytes data) override { put(&data, 1); }
    void set(Bytes key, Bytes value) override {
        const Bytes parts[] = {key, value};
        put(parts, 2);
    }
    void stream(Bytes name, Bytes record) override {
        const Bytes parts[] = {name, record};
        put(parts, 2);
    }
    void memory(uint64_t id, const Tags &tags, Bytes data) override {
        const Bytes number{reinterpret_cast<const uint8_t *>(&id), 8};
        const Bytes parts[] = {number, bytes(tags.text[0]), bytes(tags.text[1]), bytes(tags.text[2]), data};
        put(parts, 5);
    }
    void apply(const Change *changes, size_t count) override {
        for (size_t i = 0; i < count; ++i) {
            const Bytes parts[] = {changes[i].key, changes[i].value};
            to_.log->append(parts, 2);
        }
    }
    // Into the packed range of each stream: u32 length, bytes.
    void append(const Record *records, size_t count) override {
        for (size_t i = 0; i < count; ++i) {
            const uint64_t stream = stream_number(records[i].stream);
            uint64_t &end = to_.stream_ends[stream];
            const auto size = static_cast<uint32_t>(records[i].data.size);
            if (end + 4 + size > to_.meta.region) throw Failure("floor: a stream is full");
            uint8_t *at = to_.streams.data() + stream * to_.meta.region + end;
            std::memcpy(at, &size, 4);
            std::memcpy(at + 4, records[i].data.data, size);
            end += 4 + size;
        }
    }

  private:
    void put(const Bytes *parts, size_t count) {
        uint64_t before = 0;
        for (size_t i = 0; i + 1 < count; ++i) before += parts[i].size;
        const uint64_t place = to_.log->append_group(parts, count, times_);
        places_.emplace_back(place + before, static_cast<uint32_t>(parts[count - 1].size));
    }
    Shared &to_;
    std::vector<std::pair<uint64_t, uint32_t>> &places_;
    unsigned times_;
};

class FloorReader : public Reader {
  public:
    explicit FloorReader(Shared &shared) : of_(shared) {}
    bool block(unsigned writer, uint64_t i, Bytes &data) override {
        const auto &place = of_.places.at(writer).at(i);
        data = of_.log->at(place.first, place.second, buffer_);
        if (of_.settings.check_every_read) checksum_ += crc32c(data.data, data.size);
        return true;
    }
    bool get(Bytes key, Bytes &value) override {
        const uint64_t found = of_.pairs.find(key.data);
        if (found == of_.pairs.meta.pairs) return false;
        value = {of_.pairs.entry(found) + 16, of_.pairs.meta.value_size};
        return true;
    }
    bool record(Bytes, uint64_t, Bytes &) override { throw Failure("floor: no single records"); }
    bool memory(uint64_t, Bytes &) override { throw Failure("floor: no memories"); }
    uint64_t scan(Bytes start, uint64_t limit, uint64_t &count) override {
        const Pairs &pairs = of_.pairs;
        const uint64_t first = start.size == 0 ? 0 : pairs.find(start.data);
        const uint64_t last = first + std::min(limit, pairs.meta.pairs - first);
        uint64_t sum = 0;
        for (uint64_t i = first; i < last; ++i)
            sum += digest(Bytes{pairs.entry(i), 16}, Bytes{pairs.entry(i) + 16, pairs.meta.value_size});
        count += last - first;
        return sum;
    }
    uint64_t read_stream(Bytes stream, uint64_t &count) override {
        const uint64_t number = stream_number(stream);
        const uint8_t *at = of_.streams.data() + number * of_.meta.region;
        const uint8_t *end = at + of_.stream_ends[number];
        uint64_t sum = 0;
        for (; at < end; ++count) {
            uint32_t size;
            std::memcpy(&size, at, 4);
            sum += digest(Bytes{at + 4, size});
            at += 4 + size;
        }
        return sum;
    }
    uint64_t find(Bytes, uint64_t &) override { throw Failure("floor: no tags"); }

  private:
    Shared &of_;
    std::vector<uint8_t> buffer_;
    volatile uint64_t checksum_ = 0;
};

class Floor : public Engine {
  public:
    explicit Floor(std::optional<How> how) : how_(how) {}
    void open(const Settings &settings) override {
        shared_.settings = settings;
        shared_.places.resize(std::max<size_t>(shared_.places.size(), settings.threads));
        for (auto &places : shared_.places) places.reserve(1 << 16);
        if (shared_.log == nullptr && settings.append_bytes != 0 && settings.streams == 0) {
            const How usual = settings.safety == Safety::power ? How::synced : How::map;
            // O_DIRECT takes a whole block for each commit.
            const uint64_t size = settings.append_bytes + (how_ == How::direct ? settings.append_calls * 4096 : 0);
            shared_.log = std::make_unique<FloorLog>(path("log"), size, how_.value_or(usual));
        }
        if (settings.streams != 0 && settings.append_bytes != 0) {
            shared_.meta.region = settings.append_bytes / streams_most;
            shared_.streams.prewrite(path("streams"), settings.append_bytes + 4096);
        }
        load();
    }
    void close() override {
        if (shared_.settings.streams == 0 || shared_.settings.append_bytes == 0) return;
        save("streams.meta", &shared_.meta, sizeof shared_.meta);
        save("streams.ends", shared_.stream_ends.data(), shared_.stream_ends.size() * 8);
    }
    std::unique_ptr<Writer> writer(unsigned number) override {
        return std::make_unique<FloorWriter>(shared_, number, commits_a_call(shared_.settings.threads));
    }
    std::unique_ptr<Reader> reader(ReadMode) override { return std::make_unique<FloorReader>(shared_); }
    void sync() override {
        if (shared_.log != nullptr) shared_.log->sync();
    }
    void settle() override;
    unsigned commits_a_call(unsigned threads) const override {
        return !how_.has_value() && shared_.settings.safety == Safety::power ? threads : 1;
    }

  private:
    std::string path(const char *name) const { return shared_.settings.directory + "/" + name; }
    bool has(const char *name) const { return access(path(name).c_str(), F_OK) == 0; }
    void save(const char *name, const void *data, size_t size) const {
        FILE *file = std::fopen(path(name).c_str(), "wb");
        must(file != nullptr && std::fwrite(data, 1, size, file) == size && std::fclose(file) == 0, name);
    }
    void read(const char *name, void *data, size_t size) const {
        FILE *file = std::fopen(path(name).c_str(), "rb");
        must(file != nullptr && std::fread(data, 1, size, file) == size && std::fclose(file) == 0, name);
    }
    void load() {
        if (has("pairs.meta")) {
            read("pairs.meta", &shared_.pairs.meta, sizeof(Meta));
            shared_.pairs.entries.open(path("pairs"));
            shared_.pairs.table.open(path("table"));
        }
        if (has("streams.meta") && !shared_.streams.is_open()) {
            read("streams.meta", &shared_.meta, sizeof(Meta));
            read("streams.ends", shared_.stream_ends.data(), shared_.stream_ends.size() * 8);
            shared_.streams.open(path("streams"));
        }
        if (has("blocks.meta") && shared_.places[0].empty()) {
            uint64_t shape[2];
            read("blocks.meta", shape, sizeof shape);
            for (uint64_t i = 0; i < shape[0]; ++i)
                shared_.places[0].emplace_back(i * shape[1], static_cast<uint32_t>(shape[1]));
            shared_.log = std::make_unique<FloorLog>(path("log"));
        }
    }

    std::optional<How> how_;
    Shared shared_;
};

// What was loaded, put into its shape at rest: pairs in key order under their table, or just where the blocks are.
void Floor::settle() {
    if (!shared_.places[0].empty()) {
        const uint64_t shape[2] = {shared_.places[0].size(), shared_.places[0][0].second};
        save("blocks.meta", shape, sizeof shape);
        return;
    }
    if (shared_.log == nullptr) return;
    Meta meta;
    meta.value_size = shared_.settings.value_bytes;
    const uint64_t size = 16 + meta.value_size;
    meta.pairs = shared_.log->end() / size;
    for (meta.slots = 1; meta.slots < 2 * meta.pairs;) meta.slots *= 2;
    struct Sorted {
        uint64_t first, second, from;
    };
    std::vector<Sorted> order(meta.pairs);
    for (uint64_t i = 0; i < meta.pairs; ++i) {
        uint64_t words[2];
        std::memcpy(words, shared_.log->data() + i * size, 16);
        order[i] = {__builtin_bswap64(words[0]), __builtin_bswap64(words[1]), i * size};
    }
    std::sort(order.begin(), order.end(), [](const Sorted &a, const Sorted &b) {
        return a.first != b.first ? a.first < b.first : a.second < b.second;
    });
    Mapped entries, table;
    entries.prewrite(path("pairs"), meta.pairs * size);
    table.prewrite(path("table"), meta.slots * 8);
    auto *slots = reinterpret_cast<uint64_t *>(table.data());
    for (uint64_t i = 0; i < meta.pairs; ++i) {
        uint8_t *entry = entries.data() + i * size;
        std::memcpy(entry, shared_.log->data() + order[i].from, size);
        const uint64_t hashed = Pairs::hash(entry);
        uint64_t at = hashed >> 32 & (meta.slots - 1);
        while (slots[at] != 0) at = (at + 1) & (meta.slots - 1);
        slots[at] = (hashed << 32) | (i + 1);
    }
    save("pairs.meta", &meta, sizeof meta);
    must(unlink(path("log").c_str()) == 0, "log");
}

EngineKind kind(const char *name, uint32_t gives, const char *note, std::optional<How> how) {
    return {name, Role::floor, gives, "", note, [how] { return std::make_unique<Floor>(how); }};
}

} // namespace

std::vector<EngineKind> floor_kinds() {
    return {
        kind("floor",
             gives_process | gives_power | gives_pairs | gives_blocks | gives_streams | gives_threads |
                 gives_one_thread,
             "process: memcpy into a prewritten map; power: pwrite + fdatasync on a prewritten file", std::nullopt),
        kind("floor-direct", gives_power | gives_one_thread, "O_DIRECT | O_DSYNC, whole 4 KiB blocks", How::direct),
        kind("floor-leader", gives_power | gives_threads, "each thread writes, one syncs for all", How::leader),
        kind("floor-pwrite", gives_process | gives_one_thread | gives_threads, "pwrite", How::written),
        kind("floor-crc", gives_process | gives_one_thread | gives_threads | gives_every_read,
             "as floor, with a CRC-32C of every byte in three streams", How::map_crc),
    };
}

} // namespace bench
