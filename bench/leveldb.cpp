// LevelDB: a block cache larger than the data, a bloom filter of 10 bits a key, a write buffer of 64 MiB as RocksDB's,
// no compression (the data can't be compressed), checksums verified. Commits that survive power loss:
// WriteOptions::sync; kill -9: its default, a write to the log.
#include "lsm.h"

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

namespace bench {
namespace {

struct Library {
    static constexpr const char *name = "LevelDB";
    using Database = leveldb::DB;
    using Slice = leveldb::Slice;
    using Status = leveldb::Status;
    using Iterator = leveldb::Iterator;
    using Batch = leveldb::WriteBatch;
    using WriteOptions = leveldb::WriteOptions;
    using ReadOptions = leveldb::ReadOptions;
    using Found = std::string;

    static Status put(Batch &batch, const Slice &key, const Slice &value) {
        batch.Put(key, value);
        return Status::OK();
    }
    static Status remove(Batch &batch, const Slice &key) {
        batch.Delete(key);
        return Status::OK();
    }
    static Status get(Database &db, const ReadOptions &read, const Slice &key, Found &found) {
        return db.Get(read, key, &found);
    }
    static ReadOptions reading() {
        ReadOptions read;
        read.verify_checksums = true;
        return read;
    }
    // Its reads are copies already.
    static ReadMode mode(ReadMode mode) { return mode == ReadMode::copy ? ReadMode::view : mode; }
};

class LevelDb : public LsmEngine<Library> {
  public:
    ~LevelDb() override { LevelDb::close(); }
    void open(const Settings &settings) override {
        leveldb::Options options;
        options.write_buffer_size = 64u << 20; // without a budget
        options.compression = leveldb::kNoCompression;
        const uint64_t cache_bytes = start(settings, options);
        cache_.reset(leveldb::NewLRUCache(cache_bytes));
        filter_.reset(leveldb::NewBloomFilterPolicy(10));
        options.block_cache = cache_.get();
        options.filter_policy = filter_.get();
        open_with(options, settings.directory);
    }
    void close() override { db_.reset(); }
    void sync() override {
        // An empty write that is synced makes every one before it durable.
        leveldb::WriteBatch nothing;
        leveldb::WriteOptions write;
        write.sync = true;
        must<Library>(db_->Write(write, &nothing), "sync");
    }
    void settle() override { db_->CompactRange(nullptr, nullptr); }

  private:
    std::unique_ptr<leveldb::Cache> cache_;
    std::unique_ptr<const leveldb::FilterPolicy> filter_;
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
