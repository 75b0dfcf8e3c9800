// sarsen, through its C API: every default, but for the level of a commit and what a row asks for.
//
// The addresses of loose blocks are kept beside the store, as a program that uses them would keep them.
#include "engine.h"

#include <sarsen.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>

namespace bench {
namespace {

[[noreturn]] void fail(sarsen_status status, sarsen_error *error, const char *what) {
    std::string text = std::string("sarsen, ") + what + ": " + sarsen_status_name(status);
    if (error != nullptr) text += std::string(": ") + sarsen_error_message(error);
    sarsen_error_free(error);
    throw Failure(text);
}

// Calls a function of the library and throws unless it answers OK.
template <class... Takes, class... Given>
inline void must(const char *what, sarsen_status (*function)(Takes...), Given... given) {
    sarsen_error *error = nullptr;
    const sarsen_status status = function(given..., &error);
    if (__builtin_expect(status != SARSEN_OK, 0)) fail(status, error, what);
}

// The same, where the last thing may not be there.
template <class... Takes, class... Given>
inline bool there(const char *what, sarsen_status (*function)(Takes...), Given... given) {
    sarsen_error *error = nullptr;
    const sarsen_status status = function(given..., &error);
    if (__builtin_expect(status == SARSEN_OK, 1)) return true;
    if (status != SARSEN_NOT_FOUND && status != SARSEN_END) fail(status, error, what);
    return false;
}

sarsen_tags *set_of(const Tags &tags) {
    sarsen_tags *set = sarsen_tags_new();
    for (const std::string &text : tags.text)
        if (sarsen_tags_add(set, text.data(), text.size()) != SARSEN_OK) throw Failure("sarsen, tag");
    return set;
}

// Blocks of one writer, in the order it appended them.
using Addresses = std::vector<std::vector<sarsen_block>>;

class SarsenWriter : public Writer {
  public:
    SarsenWriter(const sarsen_store *store, std::vector<sarsen_block> &addresses)
        : store_(store), batch_(sarsen_batch_new()), addresses_(addresses) {}
    ~SarsenWriter() override { sarsen_batch_free(batch_); }

    void block(Bytes data) override {
        sarsen_block address;
        must("append", sarsen_block_append, store_, data.data, data.size, &address);
        addresses_.push_back(address);
    }
    void set(Bytes key, Bytes value) override {
        must("set", sarsen_kv_set, store_, key.data, key.size, value.data, value.size);
    }
    void stream(Bytes name, Bytes record) override {
        must("append", sarsen_stream_append, store_, name.data, name.size, record.data, record.size, nullptr);
    }
    void memory(uint64_t id, const Tags &tags, Bytes data) override {
        sarsen_tags *set = set_of(tags);
        must("memory", sarsen_memory_append, store_, id, set, data.data, data.size);
        sarsen_tags_free(set);
    }
    void memories(const uint64_t *ids, const Bytes *data, size_t count) override {
        for (size_t i = 0; i < count; ++i) {
            sarsen_tags *set = set_of(Tags(ids[i]));
            must("batch", sarsen_batch_append_memory, batch_, ids[i], set, data[i].data, data[i].size);
            sarsen_tags_free(set);
        }
        commit(0);
    }
    void apply(const Change *changes, size_t count) override {
        for (size_t i = 0; i < count; ++i) {
            const Bytes key = changes[i].key, value = changes[i].value;
            if (changes[i].remove)
                must("batch", sarsen_batch_delete_kv, batch_, key.data, key.size);
            else
                must("batch", sarsen_batch_set_kv, batch_, key.data, key.size, value.data, value.size);
        }
        commit(0);
    }
    void append(const Record *records, size_t count) override {
        for (size_t i = 0; i < count; ++i) {
            const Bytes name = records[i].stream, data = records[i].data;
            must("batch", sarsen_batch_append_stream, batch_, name.data, name.size, data.data, data.size);
        }
        commit(0);
    }
    void ticket(Bytes key, Bytes value, unsigned window) override {
        must("batch", sarsen_batch_set_kv, batch_, key.data, key.size, value.data, value.size);
        const uint64_t seq = commit(SARSEN_SURVIVE_PROCESS);
        ++asked_;
        must("ticket", sarsen_store_notify_durable, store_, seq, &SarsenWriter::called, static_cast<void *>(this));
        if (asked_ - answered_.load() >= window) wait_for(asked_ - window + 1);
    }
    void drain() override {
        wait_for(asked_);
        if (failed_.load()) throw Failure("sarsen: a ticket was answered with a failure");
    }

  private:
    uint64_t commit(uint32_t survive) {
        uint64_t seq = 0;
        must("commit", sarsen_batch_commit, batch_, store_, survive, &seq);
        return seq;
    }
    static void called(void *user, uint64_t, sarsen_status status) {
        auto *writer = static_cast<SarsenWriter *>(user);
        if (status != SARSEN_OK) writer->failed_.store(true);
        const uint64_t answered = writer->answered_.fetch_add(1) + 1;
        if (answered != writer->wanted_.load()) return;
        const std::lock_guard<std::mutex> hold(writer->mutex_);
        writer->changed_.notify_one();
    }
    void wait_for(uint64_t answers) {
        wanted_.store(answers);
        std::unique_lock<std::mutex> hold(mutex_);
        changed_.wait(hold, [&] { return answered_.load() >= answers; });
    }

    const sarsen_store *store_;
    sarsen_batch *batch_;
    std::vector<sarsen_block> &addresses_;
    uint64_t asked_ = 0;
    std::atomic<uint64_t> answered_{0}, wanted_{0};
    std::atomic<bool> failed_{false};
    std::mutex mutex_;
    std::condition_variable changed_;
};

class SarsenReader : public Reader {
  public:
    SarsenReader(const sarsen_store *store, ReadMode mode, const Addresses &addresses)
        : store_(store), copies_(mode == ReadMode::copy), addresses_(addresses), buffer_(Pool::longest) {
        if (mode == ReadMode::snapshot) must("snapshot", sarsen_snapshot_new, store_, &snapshot_);
    }
    ~SarsenReader() override {
        sarsen_view_release(&view_);
        sarsen_snapshot_free(snapshot_);
    }

    bool block(unsigned writer, uint64_t i, Bytes &data) override {
        const sarsen_block &address = addresses_.at(writer).at(i);
        sarsen_view_release(&view_);
        const bool found =
            there("block", sarsen_block_view, store_, &address, uint64_t{0}, static_cast<size_t>(address.len), &view_);
        return viewed(found, data);
    }
    bool get(Bytes key, Bytes &value) override {
        if (copies_) {
            size_t size;
            if (!there("read", sarsen_kv_read, store_, snapshot_, key.data, key.size, buffer_.data(), buffer_.size(),
                       &size))
                return false;
            value = {buffer_.data(), size};
            return true;
        }
        sarsen_view_release(&view_);
        return viewed(there("get", sarsen_kv_get, store_, snapshot_, key.data, key.size, &view_), value);
    }
    bool record(Bytes stream, uint64_t index, Bytes &data) override {
        sarsen_view_release(&view_);
        const bool found =
            there("record", sarsen_stream_get, store_, snapshot_, stream.data, stream.size, index, &view_);
        return viewed(found, data);
    }
    bool memory(uint64_t id, Bytes &data) override {
        sarsen_view_release(&view_);
        return viewed(there("memory", sarsen_memory_get, store_, snapshot_, id, &view_), data);
    }
    uint64_t get_many(const Bytes *keys, size_t count, uint64_t &found) override {
        static_assert(sizeof(Bytes) == sizeof(sarsen_bytes) && offsetof(sarsen_bytes, len) == offsetof(Bytes, size));
        views_.resize(count);
        statuses_.resize(count);
        must("get_many", sarsen_kv_get_many, store_, snapshot_, reinterpret_cast<const sarsen_bytes *>(keys), count,
             views_.data(), statuses_.data());
        uint64_t sum = 0;
        for (size_t i = 0; i < count; ++i) {
            if (statuses_[i] != SARSEN_OK) continue;
            sum += digest(Bytes{views_[i].data, views_[i].len});
            ++found;
            sarsen_view_release(&views_[i]);
        }
        return sum;
    }
    uint64_t scan(Bytes start, uint64_t limit, uint64_t &count) override {
        sarsen_kv_iter *iter;
        must("scan", sarsen_kv_scan, store_, snapshot_, start.data, start.size, nullptr, size_t{0}, false, &iter);
        sarsen_bytes key, value;
        uint64_t sum = 0, seen = 0;
        while (seen < limit && there("next", sarsen_kv_iter_next, iter, &key, &value)) {
            sum += digest(Bytes{key.data, key.len}, Bytes{value.data, value.len});
            ++seen;
        }
        sarsen_kv_iter_free(iter);
        count += seen;
        return sum;
    }
    uint64_t read_stream(Bytes stream, uint64_t &count) override {
        sarsen_stream_iter *iter;
        must("stream", sarsen_stream_read, store_, snapshot_, stream.data, stream.size, uint64_t{0}, &iter);
        sarsen_bytes record;
        uint64_t sum = 0;
        for (; there("next", sarsen_stream_iter_next, iter, nullptr, &record); ++count)
            sum += digest(Bytes{record.data, record.len});
        sarsen_stream_iter_free(iter);
        return sum;
    }
    uint64_t find(Bytes tag, uint64_t &count) override {
        sarsen_tags *all = sarsen_tags_new();
        if (sarsen_tags_add(all, reinterpret_cast<const char *>(tag.data), tag.size) != SARSEN_OK)
            throw Failure("sarsen, tag");
        sarsen_memory_iter *iter;
        must("find", sarsen_memory_find, store_, snapshot_, all, nullptr, nullptr, uint64_t{0}, &iter);
        uint64_t sum = 0, id;
        sarsen_bytes data;
        for (; there("next", sarsen_memory_iter_next, iter, &id, &data); ++count)
            sum += mix(id) ^ digest(Bytes{data.data, data.len});
        sarsen_memory_iter_free(iter);
        sarsen_tags_free(all);
        return sum;
    }

  private:
    bool viewed(bool found, Bytes &data) {
        if (found) data = {view_.data, view_.len};
        return found;
    }

    const sarsen_store *store_;
    bool copies_;
    const Addresses &addresses_;
    sarsen_snapshot *snapshot_ = nullptr;
    sarsen_view view_{};
    std::vector<uint8_t> buffer_;
    std::vector<sarsen_view> views_;
    std::vector<sarsen_status> statuses_;
};

class Sarsen : public Engine {
  public:
    ~Sarsen() override {
        if (store_ != nullptr) sarsen_store_close(store_, nullptr);
    }
    void open(const Settings &settings) override {
        sarsen_options *options = sarsen_options_new();
        sarsen_options_set_durability(
            options, settings.safety == Safety::power ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS);
        sarsen_options_set_background(options, settings.background);
        if (settings.memory_bytes != 0) sarsen_options_set_memory_bytes(options, settings.memory_bytes);
        if (settings.chunk_bytes != 0) sarsen_options_set_chunk_bytes(options, settings.chunk_bytes);
        if (settings.check_every_read) sarsen_options_set_check(options, SARSEN_CHECK_EVERY_READ);
        must("open", sarsen_store_open, settings.directory.c_str(), static_cast<const sarsen_options *>(options),
             &store_);
        sarsen_options_free(options);
        path_ = settings.directory + "/../addresses";
        if (addresses_.empty()) load();
        addresses_.resize(std::max<size_t>(addresses_.size(), settings.threads));
    }
    void close() override {
        sarsen_store *store = store_;
        store_ = nullptr;
        must("close", sarsen_store_close, store);
        save();
    }
    std::unique_ptr<Writer> writer(unsigned number) override {
        return std::make_unique<SarsenWriter>(store_, addresses_.at(number));
    }
    std::unique_ptr<Reader> reader(ReadMode mode) override {
        return std::make_unique<SarsenReader>(store_, mode, addresses_);
    }
    void sync() override { must("sync", sarsen_store_sync, store_); }
    void settle() override { must("compact", sarsen_store_compact, store_); }
    void maintain(uint64_t budget_us) override {
        must("maintain", sarsen_store_maintain, store_, budget_us, static_cast<bool *>(nullptr));
    }
    std::vector<std::pair<std::string, double>> figures() override {
        sarsen_stats stats;
        sarsen_recovery recovery;
        sarsen_store_stats(store_, &stats, sizeof stats);
        sarsen_store_recovery(store_, &recovery, sizeof recovery);
        const auto number = [](uint64_t of) { return static_cast<double>(of); };
        return {{"heap_bytes", number(stats.heap_bytes)},         {"mapped_bytes", number(stats.mapped_bytes)},
                {"log_bytes", number(stats.log_bytes)},           {"stalls_us", number(stats.stalls_us)},
                {"checkpoints", number(stats.checkpoints)},       {"compactions", number(stats.compactions)},
                {"syncs", number(stats.syncs)},                   {"replayed_bytes", number(recovery.replayed_bytes)},
                {"recovery_us", number(recovery.elapsed_us)}};
    }

  private:
    void load() {
        FILE *file = std::fopen(path_.c_str(), "rb");
        if (file == nullptr) return;
        sarsen_block block;
        addresses_.resize(1);
        while (std::fread(&block, sizeof block, 1, file) == 1) addresses_[0].push_back(block);
        std::fclose(file);
    }
    void save() const {
        if (addresses_[0].empty()) return;
        FILE *file = std::fopen(path_.c_str(), "wb");
        if (file == nullptr) throw Failure("addresses can't be written: " + path_);
        std::fwrite(addresses_[0].data(), sizeof(sarsen_block), addresses_[0].size(), file);
        if (std::fclose(file) != 0) throw Failure("addresses can't be written: " + path_);
    }

    sarsen_store *store_ = nullptr;
    Addresses addresses_;
    std::string path_;
};

} // namespace

EngineKind sarsen_kind() {
    return {"sarsen",
            Role::sarsen,
            gives_all_of_a_peer | gives_tickets | gives_every_read | gives_upkeep,
            sarsen_version(),
            "defaults; checks every byte handed out",
            [] { return std::make_unique<Sarsen>(); }};
}

} // namespace bench
