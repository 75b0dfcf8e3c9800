// LevelDB: a block cache larger than the data, a bloom filter of 10 bits a key, a write buffer of 64 MiB as RocksDB's,
// no compression (the data can't be compressed), checksums verified. Commits that survive power loss:
// WriteOptions::sync; kill -9: its default, a write to the log.
#include "pairs.h"

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

namespace bench {
namespace {

leveldb::Slice slice(Bytes from) { return {reinterpret_cast<const char *>(from.data), from.size}; }
Bytes from(const leveldb::Slice &slice) { return {reinterpret_cast<const uint8_t *>(slice.data()), slice.size()}; }

void must(const leveldb::Status &status, const char *what) {
    if (!status.ok()) throw Failure(std::string("LevelDB, ") + what + ": " + status.ToString());
}

class Session {
  public:
    Session(leveldb::DB *db, bool durable, bool frozen) : db_(db) {
        write_.sync = durable;
        read_.verify_checksums = true;
        if (frozen) read_.snapshot = db_->GetSnapshot();
    }
    ~Session() {
        if (read_.snapshot != nullptr) db_->ReleaseSnapshot(read_.snapshot);
    }
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;

    void put(const Change *changes, size_t count, bool) {
        if (count == 1 && !changes->remove) {
            must(db_->Put(write_, slice(changes->key), slice(changes->value)), "put");
            return;
        }
        batch_.Clear();
        for (size_t i = 0; i < count; ++i) {
            if (changes[i].remove)
                batch_.Delete(slice(changes[i].key));
            else
                batch_.Put(slice(changes[i].key), slice(changes[i].value));
        }
        must(db_->Write(write_, &batch_), "write");
    }

    bool get(Bytes key, Bytes &value) {
        const leveldb::Status status = db_->Get(read_, slice(key), &found_);
        if (status.IsNotFound()) return false;
        must(status, "get");
        value = bytes(found_);
        return true;
    }

    template <class Each> void walk(Bytes start, Each each) {
        const std::unique_ptr<leveldb::Iterator> at(db_->NewIterator(read_));
        if (start.size == 0)
            at->SeekToFirst();
        else
            at->Seek(slice(start));
        while (at->Valid() && each(from(at->key()), from(at->value()))) at->Next();
        must(at->status(), "next");
    }

  private:
    leveldb::DB *db_;
    leveldb::WriteOptions write_;
    leveldb::ReadOptions read_;
    leveldb::WriteBatch batch_;
    std::string found_;
};

class LevelDb : public Engine {
  public:
    ~LevelDb() override { LevelDb::close(); }
    void open(const Settings &settings) override {
        durable_ = settings.safety == Safety::power;
        leveldb::Options options;
        options.create_if_missing = true;
        options.compression = leveldb::kNoCompression;
        const uint64_t cache = settings.memory_bytes != 0 ? settings.memory_bytes / 2
                                                          : (uint64_t{256} << 20) + 2 * settings.data_bytes;
        options.write_buffer_size = settings.memory_bytes != 0 ? settings.memory_bytes / 8 : 64u << 20;
        cache_.reset(leveldb::NewLRUCache(cache));
        filter_.reset(leveldb::NewBloomFilterPolicy(10));
        options.block_cache = cache_.get();
        options.filter_policy = filter_.get();
        leveldb::DB *db;
        must(leveldb::DB::Open(options, settings.directory, &db), "open");
        db_.reset(db);
    }
    void close() override { db_.reset(); }
    std::unique_ptr<Writer> writer(unsigned number) override {
        return std::make_unique<PairWriter<Session>>(std::make_unique<Session>(db_.get(), durable_, false), number,
                                                     false);
    }
    std::unique_ptr<Reader> reader(ReadMode mode) override {
        // Its reads are copies already.
        const ReadMode as = mode == ReadMode::copy ? ReadMode::view : mode;
        const bool frozen = mode == ReadMode::snapshot;
        return std::make_unique<PairReader<Session>>(std::make_unique<Session>(db_.get(), false, frozen), as);
    }
    void sync() override {
        // An empty write that is synced makes every one before it durable.
        leveldb::WriteBatch nothing;
        leveldb::WriteOptions write;
        write.sync = true;
        must(db_->Write(write, &nothing), "sync");
    }
    void settle() override { db_->CompactRange(nullptr, nullptr); }

  private:
    std::unique_ptr<leveldb::Cache> cache_;
    std::unique_ptr<const leveldb::FilterPolicy> filter_;
    std::unique_ptr<leveldb::DB> db_;
    bool durable_ = false;
};

} // namespace

EngineKind leveldb_kind() {
    return {"leveldb",
            Role::peer,
            gives_all_of_a_peer,
            std::to_string(leveldb::kMajorVersion) + "." + std::to_string(leveldb::kMinorVersion),
            "block cache > data, bloom 10 bits; checks blocks when cached; reads are copies",
            [] { return std::make_unique<LevelDb>(); }};
}

} // namespace bench
